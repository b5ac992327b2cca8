/**
 * The client in Chromium, Firefox and WebKit, in a page that our server serves: against that server, and against the official one on
 * another origin.
 */
import { fileURLToPath } from "node:url"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { build } from "esbuild"

import type { Sent } from "../support/clientPage.ts"
import { type BrowserEngine, type EnginePage, engines } from "../support/browserEngines.ts"
import * as ReferenceServer from "../support/ReferenceServer.ts"
import type { RunningServer, TestServerOptions } from "../support/TestServer.ts"
import * as TestServer from "../support/TestServer.ts"

const ways = [
  ["polling", "polling", { transports: ["polling"] }],
  ["WebSocket", "websocket", { transports: ["websocket"] }],
  ["an upgrade", "websocket", {}]
] as const

const text = "späte\n\\n grüße \u2028😀"
const all: ReadonlyArray<number> = Array.from({ length: 256 }, (_, i) => i)
const sent: ReadonlyArray<Sent> = [text, { bytes: all, as: "ArrayBuffer" }, { bytes: [1, 2, 255], as: "Uint8Array" }]
/** Bytes come in as `Uint8Array`, however they were sent. */
const received = [text, { bytes: all, as: "Uint8Array" }, { bytes: [1, 2, 255], as: "Uint8Array" }]

let pages: RunningServer

beforeAll(async () => {
  const bundle = await build({
    entryPoints: [fileURLToPath(new URL("../support/clientPage.ts", import.meta.url))],
    bundle: true,
    format: "iife",
    platform: "browser",
    write: false,
    logLevel: "silent"
  })
  const script = bundle.outputFiles[0]!.contents
  pages = await TestServer.start({
    page: (request, response) => {
      if (request.url === "/client.js") response.writeHead(200, { "content-type": "text/javascript" }).end(script)
      else if (request.url === "/") {
        response
          .writeHead(200, { "content-type": "text/html" })
          .end("<!doctype html><meta charset=utf-8><link rel=icon href=data:><script src=/client.js></script>")
      } else response.writeHead(404).end()
    }
  })
})

afterAll(() => pages?.stop())

for (const [name, { isHere, launch }] of Object.entries(engines)) {
  describe.runIf(isHere())(`the client in ${name}`, () => {
    let browser: BrowserEngine

    beforeAll(async () => {
      browser = await launch()
    })

    afterAll(() => browser?.close())

    const withPage = async (use: (page: EnginePage) => Promise<void>) => {
      const page = await browser.open(pages.url)
      try {
        await use(page)
        await page.call("leave")
      } finally {
        await page.close()
      }
    }

    for (const [way, transport, options] of ways) {
      const exchanges = async (page: EnginePage) => {
        assert.strictEqual(await page.call("isOver", transport), transport)
        assert.deepStrictEqual(await page.call("echo", ...sent), received)
        assert.deepStrictEqual(await page.call("acknowledged", ...sent), received)
        for (const [i, value] of sent.entries()) {
          assert.deepStrictEqual(await page.call("answered", value), [received[i]])
        }
      }

      it(`exchanges text, bytes and acknowledgements over ${way} with the server that its page is from`, () =>
        withPage(async (page) => {
          assert.isString(await page.call("connect", { url: pages.url, ...options }))
          await exchanges(page)
        }))

      for (const [peer, start] of [
        ["our server", TestServer.start],
        ["the official server", ReferenceServer.start]
      ] as const) {
        it(`exchanges the same over ${way} with ${peer} on another origin, also after that was restarted`, async () => {
          const settings: TestServerOptions = { cors: { origin: pages.url } }
          let server = await start(settings)
          try {
            await withPage(async (page) => {
              const before = await page.call("connect", { url: server.url, ...options })
              await exchanges(page)
              await server.stop()
              server = await start({ ...settings, port: server.port })
              const after = await page.call("reconnected", before)
              assert.isString(after)
              assert.notStrictEqual(after, before)
              await exchanges(page)
            })
          } finally {
            await server.stop().catch(() => {})
          }
        })
      }
    }
  })
}
