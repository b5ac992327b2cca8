/**
 * The official client of Socket.IO 2 in a browser: bytes over XHR, scripts (JSONP), WebSocket.
 */
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import type { Page } from "puppeteer-core"

import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { launchChromium, type TestBrowser } from "../support/browser.ts"
import { requires } from "../support/peers.ts"
import { listen } from "../support/serve.ts"

const client = readFileSync(new URL("../../node_modules/socket.io-client-v2/dist/socket.io.js", import.meta.url))

const EchoLive = SocketIoServer.layerNamespace("/", (socket) =>
  Effect.gen(function* () {
    yield* socket.on("echo", (...args) => socket.emit("echo", ...args))
    yield* socket.on("transport", () => Effect.sync(() => [socket.transport, socket.handshake.query.get("j") ?? ""]))
    yield* socket.on("bye", () => socket.disconnect())
  })
)

describe("the client of version 2 in Chromium", requires("Chromium"), () => {
  const scope = Scope.makeUnsafe()
  let url: string
  let browser: TestBrowser

  beforeAll(async () => {
    const http = Http.createServer((request, response) => {
      if (request.url === "/client.js") response.writeHead(200, { "content-type": "text/javascript" }).end(client)
      else if (request.url === "/") {
        response
          .writeHead(200, { "content-type": "text/html" })
          .end("<!doctype html><link rel=icon href=data:><body><script src=/client.js></script></body>")
      } else response.writeHead(404).end()
    })
    url = await Effect.runPromise(Scope.provide(listen(http), scope))
    await Effect.runPromise(
      Layer.buildWithScope(
        EchoLive.pipe(
          Layer.provide(NodeSocketIoServer.layerAttached(http, { allowEIO3: true, drainTimeout: "1 second" }))
        ),
        scope
      )
    )
    browser = await launchChromium()
  })

  afterAll(async () => {
    await browser?.close()
    await Effect.runPromise(Scope.close(scope, Exit.void))
  })

  /** Echoes text and bytes, asks for the transport, and is sent away, in a page of its own. */
  const exercise = (page: Page, options: object) =>
    page.evaluate(
      (options) =>
        new Promise<any>((resolve, reject) => {
          const socket = (globalThis as any).io({ forceNew: true, reconnection: false, ...options })
          setTimeout(() => reject(new Error("not done in time")), 15_000)
          for (const event of ["error", "connect_error"]) socket.on(event, reject)
          const result: any = {}
          socket.on("connect", () =>
            socket.emit("echo", "späte\n\\n grüße \u2028😀", new Uint8Array([1, 2, 255]).buffer)
          )
          socket.on("echo", (text: string, bytes: any) => {
            result.text = text
            result.bytes = Array.from(new Uint8Array(bytes))
            socket.emit("transport", (transport: any) => {
              result.transport = transport
              socket.on("disconnect", (reason: string) => resolve({ ...result, reason }))
              socket.emit("bye")
            })
          })
        }),
      options
    )

  const expected = (transport: string, index = "") => ({
    text: "späte\n\\n grüße \u2028😀",
    bytes: [1, 2, 255],
    transport: [transport, index],
    reason: "io server disconnect"
  })

  it("polls with bytes in bodies", async () => {
    const page = await browser.open(url)
    const types: Array<string> = []
    page.on("response", (response) => types.push(response.headers()["content-type"] ?? ""))
    assert.deepStrictEqual(await exercise(page, { transports: ["polling"] }), expected("polling"))
    assert.include(types, "application/octet-stream")
  })

  it("polls with scripts and forms where it cannot do better", async () => {
    const page = await browser.open(url)
    const scripts: Array<string> = []
    page.on("response", async (response) => {
      if (response.url().includes("&j=") && response.request().method() === "GET") scripts.push(response.url())
    })
    const result = await exercise(page, { transports: ["polling"], forceJSONP: true })
    assert.deepStrictEqual(result, expected("polling", "0"))
    assert.isAbove(scripts.length, 1)
  })

  it("upgrades to WebSocket", async () => {
    const page = await browser.open(url)
    const result = await exercise(page, { transports: ["websocket"] })
    assert.deepStrictEqual(result, expected("websocket"))
    const both = await exercise(page, { transports: ["polling", "websocket"] })
    assert.deepStrictEqual({ ...both, transport: undefined }, { ...expected(""), transport: undefined })
  })

  it("takes bytes as base64 where it asks for that", async () => {
    const page = await browser.open(url)
    for (const transport of ["polling", "websocket"]) {
      const result = await exercise(page, { transports: [transport], forceBase64: true })
      assert.deepStrictEqual(result, expected(transport))
    }
  })
})
