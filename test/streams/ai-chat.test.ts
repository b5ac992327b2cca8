/**
 * The AI SDK's own chat over the official client: an answer survives a cut, shows in a second tab, and is stopped after that.
 */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer } from "effect"
import type { UIMessage } from "ai"

import { AiLive } from "../../examples/ai-chat/ai.ts"
import { Chat, textOf } from "../../examples/ai-chat/official-chat.ts"
import { SocketIoChatTransport } from "../../examples/ai-chat/transport.ts"
import { within } from "../support/RawClient.ts"
import { faultyProxy } from "../support/FaultyProxy.ts"
import { call, connect, serve } from "../support/serve.ts"

const words = Array.from({ length: 60 }, (_, i) => `word${i}`).join(" ")

const world = Effect.gen(function* () {
  const { url } = yield* serve(
    AiLive.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ PAUSE: 5 }))))
  )
  const proxy = yield* faultyProxy(url)
  const reconnecting = { reconnection: true, reconnectionDelay: 10 }
  /** A tab, whose answer is told of every change. */
  const tab = Effect.fnUntraced(function* (id: string, at = url) {
    const socket = yield* connect(`${at}/ai`, reconnecting)
    let wake = () => {}
    let answer = ""
    const chat = new Chat(id, new SocketIoChatTransport(socket), (messages: ReadonlyArray<UIMessage>) => {
      const last = messages.at(-1)
      answer = last?.role === "assistant" ? textOf(last) : ""
      wake()
    })
    const has = (count: number) =>
      within(
        `${count} words`,
        new Promise<void>((resolve) => {
          wake = () => {
            if (answer.split(" ").length >= count) resolve()
          }
          wake()
        })
      )
    return { chat, socket, has: (count: number) => Effect.promise(() => has(count)), answer: () => answer }
  })
  return { url, proxy, tab }
})

describe("the AI SDK's chat", () => {
  it.live("has its answer word for word after a cut, and so does a second tab", () =>
    Effect.gen(function* () {
      const { proxy, tab } = yield* world
      const id = crypto.randomUUID()
      const one = yield* tab(id, proxy.url)
      let outages = 0
      one.socket.on("disconnect", () => outages++)
      const asked = one.chat.sendMessage({ text: words })
      yield* one.has(10)
      proxy.reset()
      const two = yield* tab(id)
      const resumed = two.chat.resumeStream()
      yield* Effect.promise(() => within("both answers", Promise.all([asked, resumed])))
      assert.strictEqual(outages, 1)
      assert.strictEqual(one.answer(), words)
      assert.strictEqual(two.answer(), words)
      assert.deepStrictEqual([one.chat.status, two.chat.status], ["ready", "ready"])
      // Nothing runs any more.
      const three = yield* tab(id)
      yield* Effect.promise(() => three.chat.resumeStream())
      assert.strictEqual(three.answer(), "")
    })
  )

  it.live("is stopped by a tab that has resumed it, which ends the work on the server", () =>
    Effect.gen(function* () {
      const { tab, url } = yield* world
      const id = crypto.randomUUID()
      const one = yield* tab(id)
      const asked = one.chat.sendMessage({ text: words })
      yield* one.has(5)
      const two = yield* tab(id)
      const resumed = two.chat.resumeStream()
      yield* two.has(8)
      yield* Effect.promise(() => two.chat.stop())
      yield* Effect.promise(() => within("both ends", Promise.all([asked, resumed])))
      assert.isNull(yield* call(yield* connect(`${url}/ai`), "answer:find", id))
      assert.isBelow(one.answer().split(" ").length, 60)
      assert.isTrue(words.startsWith(one.answer()))
    })
  )

  it.live("tells an error of the model, and a refusal", () =>
    Effect.gen(function* () {
      const { tab } = yield* world
      const failing = yield* tab(crypto.randomUUID())
      yield* Effect.promise(() => failing.chat.sendMessage({ text: "busy" }))
      assert.strictEqual(failing.chat.error?.message, "Failure")
      const refused = yield* tab("short")
      yield* Effect.promise(() => refused.chat.sendMessage({ text: "hi" }))
      assert.strictEqual(refused.chat.error?.message, "EventRefused")
    })
  )
})
