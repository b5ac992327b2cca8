/**
 * The client in Chromium, Firefox and WebKit, in a page that our server serves: against that server, and against the official one on
 * another origin.
 */
import { fileURLToPath } from "node:url"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { build } from "esbuild"

import type { Sent } from "../support/clientPage.ts"
import { type BrowserEngine, type EnginePage, engines } from "../support/browserEngines.ts"
import { rows } from "../support/extent.ts"
import { requires } from "../support/peers.ts"
import * as ReferenceServer from "../support/ReferenceServer.ts"
import type { RunningServer, TestServerOptions } from "../support/TestServer.ts"
import * as TestServer from "../support/TestServer.ts"

const ways = [
  ["polling", "polling", { transports: ["polling"] }],
  ["WebSocket", "websocket", { transports: ["websocket"] }],
  ["an upgrade", "websocket", {}]
] as const

const peers = [
  ["our server", TestServer.start],
  ["the official server", ReferenceServer.start]
] as const

const text = "späte\n\\n grüße \u2028😀"
const all: ReadonlyArray<number> = Array.from({ length: 256 }, (_, i) => i)
const sent: ReadonlyArray<Sent> = [
  text,
  { bytes: all, as: "ArrayBuffer" },
  { bytes: [1, 2, 255], as: "Uint8Array" },
  { bytes: all, as: "Blob" },
  { bytes: [], as: "Blob" },
  { bytes: [3, 254], as: "File" }
]
/** Bytes come in as `Uint8Array`, however they were sent. */
const received = sent.map((value) => (typeof value === "string" ? value : { bytes: value.bytes, as: "Uint8Array" }))

/** The answers to many messages at once. */
const many = Array.from({ length: 20 }, (_, i) =>
  i % 2 === 0 ? [i] : [i, { bytes: Array.from(String(i), (digit) => digit.charCodeAt(0)), as: "Uint8Array" }]
)

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
      else if (request.url === "/elsewhere") {
        response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><link rel=icon href=data:>")
      } else if (request.url === "/") {
        response
          .writeHead(200, { "content-type": "text/html" })
          .end("<!doctype html><meta charset=utf-8><link rel=icon href=data:><script src=/client.js></script>")
      } else response.writeHead(404).end()
    }
  })
})

afterAll(() => pages?.stop())

for (const [name, { launch, restores }] of [
  ["Chromium", engines.Chromium],
  ["Firefox", engines.Firefox],
  ["WebKit", engines.WebKit]
] as const) {
  describe(`the client in ${name}`, requires(name), () => {
    let browser: BrowserEngine

    beforeAll(async () => {
      browser = await launch()
    })

    afterAll(() => browser?.close())

    const withPage = async <A>(use: (page: EnginePage) => Promise<A>) => {
      const page = await browser.open(pages.url)
      try {
        await use(page)
        await page.call("leave")
      } finally {
        await page.close()
      }
    }

    // A short run has every way once: with an upgrade both transports are used.
    for (const [way, transport, options] of rows(ways, ([way]) => way === "an upgrade")) {
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
          // At once: also while an upgrade is under way.
          assert.deepStrictEqual(await page.call("exchangeMany", many.length), many)
          await exchanges(page)
        }))

      if (restores) {
        it(`connects again over ${way} when its page comes back from the back/forward cache`, () =>
          withPage(async (page) => {
            const before: string = await page.call("connect", { url: pages.url, ...options })
            await page.call("isOver", transport)
            await page.visit(`${pages.url}/elsewhere`)
            assert.isTrue(await page.call("wasRestored"))
            assert.notStrictEqual(await page.call("reconnected", before), before)
            assert.deepStrictEqual(await page.call("echo", text), [text])
          }))
      }

      for (const [peer, start] of rows(peers, ([peer]) => peer === "the official server")) {
        it(`exchanges the same over ${way} with ${peer} on another origin, also after that was restarted`, async () => {
          const settings: TestServerOptions = { cors: { origin: pages.url } }
          let server = await start(settings)
          try {
            await withPage(async (page) => {
              const before = await page.call("connect", { url: server.url, ...options })
              assert.deepStrictEqual(await page.call("exchangeMany", many.length), many)
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

    for (const [peer, start] of rows(peers, ([peer]) => peer === "our server")) {
      it(`carries messages between two tabs in a room at ${peer}, whatever transport each of them has`, async () => {
        const server = await start({ cors: { origin: pages.url } })
        try {
          await withPage((ada) =>
            withPage(async (bob) => {
              await ada.call("connect", { url: server.url, transports: ["polling"] })
              await bob.call("connect", { url: server.url, transports: ["websocket"] })
              for (const page of [ada, bob]) {
                await page.call("watch", "room-message")
                await page.call("join", "the room")
              }
              await ada.call("toRoom", "another room", "nobody sees it")
              await ada.call("toRoom", "the room", ...sent)
              await ada.call("toRoom", "the room", "and again")
              assert.deepStrictEqual(await bob.call("watched", 2), [received, ["and again"]])
              await bob.call("toRoom", "the room", ...sent)
              assert.deepStrictEqual(await ada.call("watched", 1), [received])
            })
          )
        } finally {
          await server.stop().catch(() => {})
        }
      })
    }
  })
}
