/**
 * Streams that resume, read by the official client: by hand, with plain events.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Cause, Deferred, Effect, Queue, Schema, Stream } from "effect"
import type { Socket } from "socket.io-client"

import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as StreamEvent from "../../src/StreamEvent.ts"
import { call, connect, serve } from "../support/serve.ts"
import { read } from "./officialReader.ts"

class ModelFailed extends Schema.TaggedError<ModelFailed>()("ModelFailed", { why: Schema.String }) {}

const Answer = StreamEvent.make("answer", {
  payload: { chat: Schema.String, prompt: Schema.String },
  item: Schema.String,
  error: ModelFailed,
  key: ({ chat }) => chat
})

const Ticks = StreamEvent.make("ticks", { item: Schema.Date })

class Chat extends Namespace.make("/chat").add(Answer).add(Ticks) {}

const chat = "a chat whose id is hard to guess"

/** A model that says one word for each that it is allowed to say. */
const model = Effect.gen(function* () {
  const words = yield* Queue.unbounded<string, ModelFailed | Cause.Done>()
  const interrupted = yield* Deferred.make<void>()
  return {
    words,
    interrupted,
    started: 0,
    stream(this: { started: number }) {
      this.started++
      return Stream.fromQueue(words).pipe(Stream.ensuring(Deferred.succeed(interrupted, undefined)))
    }
  }
})

const open = Effect.gen(function* () {
  const its = yield* model
  const { logs, url } = yield* serve(
    SocketIoServer.layerNamespace(Chat, () =>
      Effect.succeed(
        Chat.of({
          answer: ({ prompt }) => (prompt === "die" ? Stream.die(new Error("a bug")) : its.stream()),
          ticks: () => Stream.fromIterable([new Date(0), new Date(1)])
        })
      )
    )
  )
  const start = (socket: Socket, prompt = "hi") =>
    Effect.map(call(socket, "answer", { chat, prompt }), ({ stream }) => stream as string)
  return { ...its, logs, url: `${url}/chat`, its, start }
})

describe("a stream event, read by the official client", () => {
  it.live("gives its values, and its end", () =>
    Effect.gen(function* () {
      const { its, start, url, words } = yield* open
      const socket = yield* connect(url)
      const id = yield* start(socket)
      assert.match(id, /^[\w-]{20}$/)
      const reader = yield* read(socket, "answer", id)
      yield* Queue.offer(words, "one")
      yield* reader.has(1)
      yield* Queue.offerAll(words, ["two", "three"])
      yield* Queue.end(words)
      assert.deepStrictEqual(yield* reader.end, { _tag: "Success" })
      assert.deepStrictEqual(reader.values, ["one", "two", "three"])
      assert.strictEqual(its.started, 1)
    })
  )

  it.live("encodes its values, and may have no payload", () =>
    Effect.gen(function* () {
      const { url } = yield* open
      const socket = yield* connect(url)
      const { stream } = yield* call(socket, "ticks")
      const reader = yield* read(socket, "ticks", stream)
      assert.deepStrictEqual(yield* reader.end, { _tag: "Success" })
      assert.deepStrictEqual(reader.values, ["1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.001Z"])
    })
  )

  it.live("outlives its socket, and is read on from any position", () =>
    Effect.gen(function* () {
      const { start, url, words } = yield* open
      const first = yield* connect(url)
      const id = yield* start(first)
      const cut = yield* read(first, "answer", id)
      yield* Queue.offerAll(words, ["one", "two"])
      yield* cut.has(2)
      first.disconnect()
      yield* Queue.offerAll(words, ["three", "four"])
      yield* Queue.end(words)
      const second = yield* connect(url)
      const reader = yield* read(second, "answer", id, 2)
      assert.deepStrictEqual(yield* reader.end, { _tag: "Success" })
      assert.deepStrictEqual(reader.values, ["three", "four"])
      // And once more from its beginning, after its end.
      const late = yield* read(second, "answer", id)
      yield* late.end
      assert.deepStrictEqual(late.values, ["one", "two", "three", "four"])
    })
  )

  it.live("is found by its key while it runs, by whoever knows it, and started once", () =>
    Effect.gen(function* () {
      const { its, start, url, words } = yield* open
      const one = yield* connect(url)
      const two = yield* connect(url)
      assert.isNull(yield* call(two, "answer:find", chat))
      const id = yield* start(one)
      assert.strictEqual(yield* call(two, "answer:find", chat), id)
      assert.strictEqual(yield* start(two), id)
      assert.strictEqual(its.started, 1)
      const [first, second] = [yield* read(one, "answer", id), yield* read(two, "answer", id)]
      yield* Queue.offerAll(words, ["a", "b"])
      yield* Queue.end(words)
      yield* first.end
      yield* second.end
      assert.deepStrictEqual(first.values, ["a", "b"])
      assert.deepStrictEqual(second.values, ["a", "b"])
      assert.isNull(yield* call(two, "answer:find", chat))
    })
  )

  it.live("is stopped by any of its clients, which interrupts its work and is final", () =>
    Effect.gen(function* () {
      const { interrupted, start, url, words } = yield* open
      const one = yield* connect(url)
      const two = yield* connect(url)
      const id = yield* start(one)
      const reader = yield* read(one, "answer", id)
      yield* Queue.offer(words, "one")
      yield* reader.has(1)
      assert.deepStrictEqual(yield* call(two, "answer:stop", { stream: id }), { gone: false })
      // The answer comes after the end of the work.
      assert.isTrue(yield* Deferred.isDone(interrupted))
      assert.deepStrictEqual(yield* reader.end, { _tag: "Stopped" })
      yield* Queue.offer(words, "two")
      assert.deepStrictEqual(yield* call(two, "answer:stop", { stream: id }), { gone: false })
      const late = yield* read(two, "answer", id)
      assert.deepStrictEqual(yield* late.end, { _tag: "Stopped" })
      assert.deepStrictEqual(late.values, ["one"])
    })
  )

  it.live("tells its declared failure, and nothing of a defect", () =>
    Effect.gen(function* () {
      const { logs, start, url, words } = yield* open
      const socket = yield* connect(url)
      const failing = yield* read(socket, "answer", yield* start(socket))
      yield* Queue.fail(words, new ModelFailed({ why: "tired" }))
      assert.deepStrictEqual(yield* failing.end, { _tag: "Failure", error: { _tag: "ModelFailed", why: "tired" } })
      const dying = yield* read(socket, "answer", yield* start(socket, "die"))
      assert.deepStrictEqual(yield* dying.end, { _tag: "InternalError" })
      assert.strictEqual(logs.filter((line) => line.includes("a stream failed") && line.includes("a bug")).length, 1)
    })
  )

  it.live("is not there for a wrong id, and for the id of another event", () =>
    Effect.gen(function* () {
      const { start, url } = yield* open
      const socket = yield* connect(url)
      const id = yield* start(socket)
      const gone = { gone: true, from: 0 }
      assert.deepStrictEqual(yield* call(socket, "answer:read", { stream: "x", after: 0 }), gone)
      assert.deepStrictEqual(yield* call(socket, "ticks:read", { stream: id, after: 0 }), gone)
      assert.deepStrictEqual(yield* call(socket, "ticks:stop", { stream: id }), { gone: true })
      const refused = yield* call(socket, "answer:read", { stream: id, after: -1 })
      assert.strictEqual(refused.error._tag, "PayloadRefused")
    })
  )

  it.live("gives no more than its window beyond the last acknowledgement", () =>
    Effect.gen(function* () {
      const { start, url, words } = yield* open
      const socket = yield* connect(url)
      yield* Queue.offerAll(words, ["1", "2", "3", "4", "5"])
      yield* Queue.end(words)
      const id = yield* start(socket)
      const reader = yield* read(socket, "answer", id, 0, 2)
      yield* reader.has(2)
      // Its answer comes after everything that was sent before.
      yield* call(socket, "answer:find", chat)
      assert.deepStrictEqual(reader.values, ["1", "2"])
      socket.emit("answer:ack", { stream: id, at: 1 })
      yield* reader.has(3)
      // Nobody acknowledges what was not sent.
      socket.emit("answer:ack", { stream: id, at: 1_000 })
      yield* reader.has(5)
      socket.emit("answer:ack", { stream: id, at: 5 })
      assert.deepStrictEqual(yield* reader.end, { _tag: "Success" })
    })
  )
})
