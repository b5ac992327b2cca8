/**
 * The page of a document, in Chromium, beside a server whose events are tried on it.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, References, Schema, Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import type { Page } from "puppeteer-core"

import * as AsyncApi from "../../src/AsyncApi.ts"
import * as Binary from "../../src/Binary.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NodeSocketIoHttp from "../../src/node/NodeSocketIoHttp.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { launchChromium, type TestBrowser } from "../support/browser.ts"
import { requires } from "../support/peers.ts"

/** It ends every element and attribute that it may be in, and runs. */
const evil = `</script></title></textarea><script>window.hacked = true</script><img src=x onerror="window.hacked = true">"'`

class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { capacity: Schema.Int }) {}

class Note extends Schema.Class<Note>("Note")({ text: Schema.String.annotate({ description: evil }) }) {}

class Chat extends Namespace.make("/chat", {
  description: `Rooms to talk in. ${evil}`,
  auth: Schema.Struct({ name: Schema.String }),
  examples: [{ name: "Ada" }],
  clientToServer: [
    Event.make("join", {
      description: evil,
      payload: { room: Schema.String },
      ack: Schema.Int,
      error: RoomFull,
      examples: [{ room: "lobby" }],
      rateLimit: { limit: 100 }
    }),
    Event.make("size", { payload: { content: Binary.Bytes }, ack: Schema.Int, deprecated: true }),
    Event.make("note", { payload: Note, examples: [new Note({ text: evil })] })
  ],
  serverToClient: [
    Event.make("joined", { args: [Schema.String, Binary.Bytes] }),
    Event.make("question", { payload: Schema.String, ack: Schema.Literals(["yes", "no"]) }),
    Event.make(`said ${evil}`, { payload: Schema.String })
  ]
}) {}

class Room extends Namespace.dynamic("/room/:id", {
  params: { id: Schema.FiniteFromString },
  clientToServer: [Event.make("which", { ack: Schema.Finite })]
}) {}

const ChatLive = SocketIoServer.layerNamespace(Chat, (socket) =>
  Effect.succeed(
    Chat.of({
      join: Effect.fnUntraced(function* ({ room }) {
        if (room === "full") return yield* new RoomFull({ capacity: 3 })
        yield* socket.emit("joined", [socket.auth.name, Uint8Array.of(1, 2, 3)])
        return (yield* Effect.orDie(socket.emitWithAck("question", "are you there?"))) === "yes" ? 7 : 0
      }),
      size: ({ content }) => Effect.succeed(content.length),
      note: ({ text }) => socket.emit(`said ${evil}`, text)
    })
  )
)

const RoomLive = SocketIoServer.layerDynamicNamespace(Room, ({ params: { id } }) =>
  Effect.succeed(() => Effect.succeed(Room.of({ which: () => Effect.succeed(id) })))
)

const Docs = AsyncApi.layerHttp({
  namespaces: [Chat, Room],
  title: `Chat ${evil}`,
  version: "1.0.0",
  path: "/docs/events"
})

describe("the page of contracts in Chromium", requires("Chromium"), () => {
  const scope = Scope.makeUnsafe()
  let browser: TestBrowser
  let url: string

  beforeAll(async () => {
    const App = Layer.mergeAll(ChatLive, RoomLive, HttpRouter.serve(Docs, { disableLogger: true })).pipe(
      Layer.provideMerge(NodeSocketIoHttp.layer({ port: 0, host: "127.0.0.1" })),
      Layer.provide(Logger.layer([])),
      Layer.provide(Layer.succeed(References.MinimumLogLevel, "None"))
    )
    const context = await Effect.runPromise(Layer.buildWithScope(App, scope))
    const { address } = await Effect.runPromise(Effect.provideContext(HttpServer.HttpServer, context))
    url = `http://127.0.0.1:${(address as { readonly port: number }).port}`
    browser = await launchChromium()
  })

  afterAll(async () => {
    await browser?.close()
    await Effect.runPromise(Scope.close(scope, Exit.void))
  })

  /** Without what is no fault of a script: a request that the end of its connection has cut off. */
  const scriptErrors = () => browser.errors.filter((error) => !error.startsWith("Failed to load resource"))

  const open = async (): Promise<Page> => {
    const page = await browser.open(`${url}/docs/events`)
    await page.waitForSelector("main[data-ready]")
    return page
  }

  /** The details of an event; opened, as its user sees them. */
  const event = (page: Page, name: string) =>
    page.evaluateHandle((name) => {
      const found = Array.from(document.querySelectorAll("details")).find(
        (details) => details.querySelector("summary b")!.textContent === name
      )!
      found.open = true
      return found
    }, name)

  const sends = async (page: Page, name: string, args?: string): Promise<string> => {
    const details = await event(page, name)
    if (args !== undefined) await details.$eval("textarea", (area, args) => void (area.value = args), args)
    await details.$eval("button", (button) => button.click())
    await page.waitForFunction(
      (details) => details.querySelector(".result")!.textContent !== "",
      { timeout: 10_000 },
      details
    )
    return details.$eval(".result", (result) => result.textContent)
  }

  /** The lines that a namespace has received, the latest first. */
  const received = (page: Page, id: string) =>
    page.$$eval(`#${id} .log li`, (lines) => lines.map((line) => line.textContent))

  it("is small, and lets nothing run but its own script and the client", async () => {
    const response = await fetch(`${url}/docs/events`)
    const page = await response.text()
    assert.isAtMost(Buffer.byteLength(page), 15_000)
    const policy = response.headers.get("content-security-policy")!
    assert.match(policy, /default-src 'none'; script-src 'self' 'sha256-[^']+'; style-src 'sha256-[^']+';/)
    const document = await (await fetch(`${url}/docs/events.json`)).json()
    assert.deepStrictEqual(
      document,
      JSON.parse(
        JSON.stringify(
          AsyncApi.fromNamespaces([Chat, Room], {
            title: `Chat ${evil}`,
            version: "1.0.0"
          })
        )
      )
    )
  })

  it("shows namespaces, events by direction, schemas and examples", async () => {
    const page = await open()
    const text = await page.$eval("main", (main) => main.textContent)
    for (const shown of [
      "/chat",
      "/room/:id",
      "Clients send",
      "The server sends",
      "RoomFullEncoded",
      "100 per 1000 ms"
    ]) {
      assert.include(text, shown)
    }
    const join = await event(page, "join")
    assert.include(await join.evaluate((details) => details.textContent), `room: string`)
    assert.strictEqual(await join.$eval("textarea", (area) => area.value), '[\n  {\n    "room": "lobby"\n  }\n]')
    await page.close()
  })

  it("sends events with the official client, and shows answers, failures and events of the server", async () => {
    const page = await open()
    assert.strictEqual(JSON.parse(await sends(page, "join")).value, 7)
    assert.deepStrictEqual(await received(page, "chat"), [
      'question [\n  "are you there?"\n]',
      'joined [\n  "Ada",\n  {\n    "$bytes": "AQID"\n  }\n]'
    ])
    assert.deepStrictEqual(JSON.parse(await sends(page, "join", '[{ "room": "full" }]')), {
      _tag: "Failure",
      error: { _tag: "RoomFull", capacity: 3 }
    })
    assert.include(await sends(page, "join", "[1]"), "PayloadRefused")
    assert.include(await sends(page, "join", "[1"), "SyntaxError")
    assert.strictEqual(await sends(page, "size", '[{ "content": { "$bytes": "AQIDBA==" } }]'), "4")
    await page.close()
    assert.deepStrictEqual(scriptErrors(), [])
  })

  it("opens a dynamic namespace by its parameters, and says why one is not there", async () => {
    const page = await open()
    const id = "section[id^=room] label input"
    await page.$eval(id, (input) => void ((input as HTMLInputElement).value = "12"))
    assert.strictEqual(await sends(page, "which"), "12")
    await page.$eval("section[id^=room] button:nth-of-type(2)", (button) => (button as HTMLButtonElement).click())
    await page.$eval(id, (input) => void ((input as HTMLInputElement).value = "nowhere"))
    assert.include(await sends(page, "which"), "Invalid namespace")
    await page.close()
  })

  it("shows every text as text", async () => {
    const page = await open()
    const textOf = (selector: string) => page.$eval(selector, (element) => element.textContent)
    assert.strictEqual(await page.title(), `Chat ${evil}`)
    assert.strictEqual(await textOf("#chat > .text"), `Rooms to talk in. ${evil}`)
    assert.strictEqual(await (await event(page, "join")).$eval(".text", (element) => element.textContent), evil)
    assert.strictEqual(await sends(page, "note"), "sent")
    await page.waitForFunction(() => document.querySelector("#chat .log li") !== null, { timeout: 10_000 })
    const [line] = await received(page, "chat")
    assert.strictEqual(line, `said ${evil} ${JSON.stringify([evil], undefined, 2)}`)
    assert.isFalse(await page.evaluate(() => "hacked" in window))
    assert.strictEqual(await page.$$eval("img", (images) => images.length), 0)
    assert.strictEqual(await page.$$eval("main script", (scripts) => scripts.length), 0)
    await page.close()
    assert.deepStrictEqual(scriptErrors(), [])
  })

  it("says where the client is missing", async () => {
    const http = createServer((_request, response) => response.writeHead(404).end())
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve))
    const client = `http://127.0.0.1:${(http.address() as AddressInfo).port}/socket.io.min.js`
    const elsewhere = Scope.makeUnsafe()
    const Elsewhere = HttpRouter.serve(
      AsyncApi.layerHttp({ namespaces: [Chat], title: "Chat", version: "1", client }),
      { disableLogger: true }
    ).pipe(Layer.provideMerge(NodeSocketIoHttp.layer({ port: 0, host: "127.0.0.1" })), Layer.provide(Logger.layer([])))
    const context = await Effect.runPromise(Layer.buildWithScope(Elsewhere, elsewhere))
    const { address } = await Effect.runPromise(Effect.provideContext(HttpServer.HttpServer, context))
    const page = await browser.open(`http://127.0.0.1:${(address as { readonly port: number }).port}/asyncapi`)
    await page.waitForSelector("main[data-ready]")
    assert.include(await sends(page, "join"), "the official client is not there")
    await page.close()
    await Effect.runPromise(Scope.close(elsewhere, Exit.void))
    http.close()
  })
})
