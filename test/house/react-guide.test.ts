/**
 * The code of the guides about React and about atoms, run in Chromium.
 */
import * as Http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule, Schema } from "effect"
import { build } from "esbuild"
import type { Page } from "puppeteer-core"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { launchChromium } from "../support/browser.ts"
import { requires } from "../support/peers.ts"
import { listen } from "../support/serve.ts"
import { read, root } from "../support/sources.ts"

const codeOf = (guide: string) =>
  Array.from(read(`examples/guides/${guide}`).matchAll(/^```ts\n([^]*?)^```$/gm), ([, block]) => block)

const code = codeOf("react.md")

/** A page whose components are those of the guide. `show` and `hide` mount and unmount them. */
const page = `${code.join("\n")}
import { createRoot } from "react-dom/client"
import { createElement as h, StrictMode } from "react"
const Room = () => {
  const { status, messages, say } = useChat()
  globalThis.say = say
  return h("section", null, h("p", null, status), messages.map((message, i) => h("i", { key: i }, message.text)))
}
const Official = () => h("section", null, useOfficialChat().map((message, i) => h("b", { key: i }, message.text)))
const root = createRoot(document.body)
globalThis.show = () => root.render(h(StrictMode, null, h(Room), h(Room), h(Official)))
globalThis.hide = () => root.render(null)
globalThis.frames = () => runtime.runPromise(Stream.runCollect(newest(Stream.range(1, 10_000))))
`

/** A page with the atoms of the guide, twice. */
const atomsPage = `${codeOf("atoms.md").join("\n")}
import { createRoot } from "react-dom/client"
import { createElement as h, StrictMode } from "react"
const Room = () => {
  const { status, messages, say, answer } = useChat()
  globalThis.say = (text) => say({ text })
  return h("section", null, h("p", null, status), h("b", null, String(AsyncResult.getOrElse(answer, () => "none"))),
    messages.map((message, i) => h("i", { key: i }, message.text)))
}
const root = createRoot(document.body)
globalThis.show = () => root.render(h(StrictMode, null, h(Room), h(Room)))
globalThis.hide = () => root.render(null)
`

class Chat extends Namespace.make("/chat", {
  clientToServer: [Event.make("say", { payload: { text: Schema.String }, ack: Schema.Int })],
  serverToClient: [Event.make("said", { payload: Schema.Struct({ from: Schema.String, text: Schema.String }) })]
}) {}

const ChatLive = SocketIoServer.layerNamespace(
  Chat,
  Effect.fnUntraced(function* (socket) {
    const chat = yield* SocketIoServer.namespace(Chat)
    return Chat.of({
      say: ({ text }) =>
        Effect.andThen(
          chat.emit("said", { from: socket.id, text }),
          Effect.map(chat.sockets, ({ length }) => length)
        )
    })
  })
)

/** A page with this code in Chromium, beside a server; waits until this many sockets are in the chat. */
const opened = Effect.fnUntraced(function* (contents: string) {
  const bundle = yield* Effect.promise(() =>
    build({
      stdin: { contents, resolveDir: root, loader: "ts" },
      bundle: true,
      format: "iife",
      platform: "browser",
      define: { "process.env.NODE_ENV": '"development"' },
      write: false,
      logLevel: "silent"
    })
  )
  const http = Http.createServer((request, response) =>
    request.url === "/client.js"
      ? response.setHeader("content-type", "text/javascript").end(bundle.outputFiles[0]!.contents)
      : response
          .setHeader("content-type", "text/html; charset=utf-8")
          .end('<!doctype html><body></body><script src="client.js"></script>')
  )
  const url = yield* listen(http)
  const server = yield* Layer.build(
    ChatLive.pipe(Layer.provideMerge(NodeSocketIoServer.layerAttached(http, { drainTimeout: "1 second" })))
  )
  const chat = yield* Effect.provide(SocketIoServer.namespace(Chat), server)
  const browser = yield* Effect.acquireRelease(Effect.promise(launchChromium), (browser) =>
    Effect.promise(() => browser.close())
  )
  const tab = yield* Effect.promise(() => browser.open(url))
  const sockets = (count: number) =>
    Effect.repeat(chat.sockets, {
      until: ({ length }) => length === count,
      schedule: Schedule.spaced("20 millis")
    }).pipe(Effect.timeout("10 seconds"))
  return { browser, chat, sockets, tab, run: (script: string) => Effect.promise(() => tab.evaluate(script)) }
})

describe("the guide about React", requires("Chromium"), () => {
  it.live("shows messages, shares a socket between components, and leaves none behind", () =>
    Effect.gen(function* () {
      assert.isAtLeast(code.length, 5)
      const { browser, run, sockets, tab } = yield* opened(page)
      for (const text of ["hello", "again"]) {
        yield* run("show()")
        yield* Effect.promise(() => texts(tab, "p", ["Connected", "Connected"]))
        // One of the client of this library, for both components, and one of the official client.
        yield* sockets(2)
        assert.strictEqual(yield* run(`say("${text}")`), 2)
        yield* Effect.promise(() => texts(tab, "i", [text, text]))
        yield* Effect.promise(() => texts(tab, "b", [text]))
        yield* run("hide()")
        yield* sockets(0)
      }
      const frames = (yield* run("frames()")) as ReadonlyArray<number>
      assert.strictEqual(frames.at(-1), 10_000)
      assert.isBelow(frames.length, 1_000)
      assert.deepStrictEqual(browser.errors, [])
    })
  )
})

describe("the guide about atoms", requires("Chromium"), () => {
  it.live("shows messages and answers, shares a socket and a state, and leaves the namespace with the last view", () =>
    Effect.gen(function* () {
      const { browser, run, sockets, tab } = yield* opened(atomsPage)
      for (const text of ["hello", "again"]) {
        yield* run("show()")
        yield* Effect.promise(() => texts(tab, "p", ["Connected", "Connected"]))
        yield* sockets(1)
        yield* Effect.promise(() => texts(tab, "b", ["none", "none"]))
        yield* run(`say("${text}")`)
        yield* Effect.promise(() => texts(tab, "i", [text, text]))
        yield* Effect.promise(() => texts(tab, "b", ["1", "1"]))
        yield* run("hide()")
        yield* sockets(0)
      }
      assert.deepStrictEqual(browser.errors, [])
    })
  )
})

/** Waits until the elements have these texts. */
const texts = (tab: Page, selector: string, expected: ReadonlyArray<string>) =>
  tab.waitForFunction(
    (selector, expected) =>
      JSON.stringify(Array.from(document.querySelectorAll(selector), ({ textContent }) => textContent)) === expected,
    { timeout: 10_000 },
    selector,
    JSON.stringify(expected)
  )
