/**
 * Streams that resume, read by this library's client.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Cause, Deferred, Effect, Fiber, Layer, Option, Queue, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

import * as SocketStream from "../../src/client/SocketStream.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as StreamEvent from "../../src/StreamEvent.ts"
import * as StreamLog from "../../src/streams/StreamLog.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

class ModelFailed extends Schema.TaggedError<ModelFailed>()("ModelFailed", { why: Schema.String }) {}

const Answer = StreamEvent.make("answer", {
  payload: { chat: Schema.String, prompt: Schema.String },
  item: Schema.Struct({ word: Schema.String, at: Schema.Date }),
  error: ModelFailed,
  key: ({ chat }) => chat,
  idle: "1 minute"
})

const Ticks = StreamEvent.make("ticks", { item: Schema.Int })

class Chat extends Namespace.make("/chat").add(Answer).add(Ticks) {}

const chat = "a chat whose id is hard to guess"
const item = (word: string) => ({ word, at: new Date(0) })
const words = (items: ReadonlyArray<{ readonly word: string }>) => items.map(({ word }) => word).join(" ")

/** Runs a test with what the model of the server is made to say. */
const world = <A, E, R>(
  test: (model: {
    readonly said: Queue.Queue<string, ModelFailed | Cause.Done>
    readonly interrupted: Deferred.Deferred<void>
  }) => Effect.Effect<A, E, R>,
  limits: StreamLog.Limits = {}
) =>
  Effect.gen(function* () {
    const said = yield* Queue.unbounded<string, ModelFailed | Cause.Done>()
    const interrupted = yield* Deferred.make<void>()
    const ChatLive = SocketIoServer.layerNamespace(Chat, () =>
      Effect.succeed(
        Chat.of({
          answer: () =>
            Stream.fromQueue(said).pipe(Stream.map(item), Stream.ensuring(Deferred.succeed(interrupted, undefined))),
          ticks: () => Stream.range(1, 5_000)
        })
      )
    )
    return yield* Effect.provide(
      test({ said, interrupted }),
      ChatLive.pipe(Layer.provideMerge(TestSocketIo.layer()), Layer.provide(StreamLog.layerMemory(limits)))
    )
  })

describe("SocketStream", () => {
  it.effect("reads a stream to its end, decoded", () =>
    world(
      Effect.fnUntraced(function* ({ said }) {
        const { client } = yield* TestSocketIo.TestSocketIo
        const socket = yield* client.connect(Chat)
        const answer = yield* Effect.forkChild(
          Stream.runCollect(SocketStream.open(socket, "answer", { chat, prompt: "hi" })),
          { startImmediately: true }
        )
        yield* Queue.offerAll(said, ["one", "two", "three"])
        yield* Queue.end(said)
        assert.deepStrictEqual(yield* Fiber.join(answer), [item("one"), item("two"), item("three")])
      })
    )
  )

  it.effect("gives more than its window, and more than fits into a message", () =>
    world(
      Effect.fnUntraced(function* () {
        const { client } = yield* TestSocketIo.TestSocketIo
        const socket = yield* client.connect(Chat)
        const ticks = yield* SocketStream.start(socket, "ticks")
        const all = Array.from({ length: 5_000 }, (_, i) => i + 1)
        assert.deepStrictEqual(yield* Stream.runCollect(ticks.values({ window: 3 })), all)
        assert.deepStrictEqual(yield* Stream.runCollect(ticks.values()), all)
        assert.deepStrictEqual(
          yield* Stream.runCollect(ticks.values({ after: 4_990, window: 10_000 })),
          all.slice(4_990)
        )
      })
    )
  )

  it.effect("goes on after an outage, by itself, and gives every value once", () =>
    world(
      Effect.fnUntraced(function* ({ said }) {
        const { client } = yield* TestSocketIo.TestSocketIo
        const socket = yield* client.connect(Chat)
        const seen = yield* Queue.unbounded<string>()
        const answer = yield* SocketStream.open(socket, "answer", { chat, prompt: "hi" }).pipe(
          Stream.tap(({ word }) => Queue.offer(seen, word)),
          Stream.runCollect,
          Effect.forkChild({ startImmediately: true })
        )
        yield* Queue.offer(said, "one")
        assert.strictEqual(yield* Queue.take(seen), "one")
        yield* client.network.cut
        yield* Queue.offerAll(said, ["two", "three"])
        yield* client.network.restore
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* Queue.take(seen), "two")
        yield* Queue.offer(said, "four")
        yield* Queue.end(said)
        assert.strictEqual(words(yield* Fiber.join(answer)), "one two three four")
      })
    )
  )

  it.effect("follows the stream of a key from another socket, and resumes one by its id", () =>
    world(
      Effect.fnUntraced(function* ({ said }) {
        const { client } = yield* TestSocketIo.TestSocketIo
        const socket = yield* client.connect(Chat)
        const other = yield* (yield* TestSocketIo.makeClient()).connect(Chat)
        assert.isTrue(Option.isNone(yield* SocketStream.follow(other, "answer", chat)))
        const started = yield* SocketStream.start(socket, "answer", { chat, prompt: "hi" })
        yield* Queue.offerAll(said, ["one", "two"])
        const followed = Option.getOrThrow(yield* SocketStream.follow(other, "answer", chat))
        assert.strictEqual(followed.id, started.id)
        const collected = yield* Effect.forkChild(Stream.runCollect(followed.values()), { startImmediately: true })
        yield* Queue.offer(said, "three")
        yield* Queue.end(said)
        assert.strictEqual(words(yield* Fiber.join(collected)), "one two three")
        const resumed = SocketStream.resume(other, "answer", started.id).values({ after: 2 })
        assert.strictEqual(words(yield* Stream.runCollect(resumed)), "three")
      })
    )
  )

  it.effect("fails as the stream has failed, and says how else it has ended", () =>
    world(
      Effect.fnUntraced(function* ({ interrupted, said }) {
        const { client } = yield* TestSocketIo.TestSocketIo
        const socket = yield* client.connect(Chat)
        const stopped = yield* SocketStream.start(socket, "answer", { chat, prompt: "hi" })
        const reading = yield* Effect.forkChild(Effect.flip(Stream.runDrain(stopped.values())), {
          startImmediately: true
        })
        yield* stopped.stop
        yield* Deferred.await(interrupted)
        const error = yield* Fiber.join(reading)
        assert.instanceOf(error, SocketStream.StreamEnded)
        assert.strictEqual(error.message, 'stream of "answer": Stopped after 0 values')
        const gone = yield* Effect.flip(Stream.runDrain(SocketStream.resume(socket, "answer", "none").values()))
        assert.deepPropertyVal(gone, "reason", { _tag: "Gone" })
        const failing = SocketStream.open(socket, "answer", { chat, prompt: "hi" })
        const failed = yield* Effect.forkChild(Effect.flip(Stream.runDrain(failing)), { startImmediately: true })
        yield* Queue.fail(said, new ModelFailed({ why: "tired" }))
        assert.deepStrictEqual(yield* Fiber.join(failed), new ModelFailed({ why: "tired" }))
      })
    )
  )

  it.effect("fails with AckError when its socket does not connect again", () =>
    world(
      Effect.fnUntraced(function* () {
        const { client } = yield* TestSocketIo.TestSocketIo
        const socket = yield* client.connect(Chat)
        const reading = yield* SocketStream.open(socket, "answer", { chat, prompt: "hi" }).pipe(
          Stream.runDrain,
          Effect.flip,
          Effect.forkChild({ startImmediately: true })
        )
        yield* Effect.yieldNow
        yield* socket.disconnect()
        const error = yield* Fiber.join(reading)
        assert.propertyVal(error, "_tag", "AckError")
      })
    )
  )

  it.effect("tells that values were dropped before they were read", () =>
    world(
      Effect.fnUntraced(function* () {
        const { client } = yield* TestSocketIo.TestSocketIo
        const socket = yield* client.connect(Chat)
        const ticks = yield* SocketStream.start(socket, "ticks")
        // Without readers, the stream waits for a while before it drops what is more than its log keeps.
        const quick = yield* Stream.runCollect(ticks.values())
        assert.strictEqual(quick.length, 5_000)
        // A socket keeps what comes in its first second for readers that are late.
        yield* TestClock.adjust("2 seconds")
        const late = yield* Effect.flip(Stream.runDrain(ticks.values()))
        assert.deepPropertyVal(late, "reason", { _tag: "Trimmed", from: 4_900 })
      }),
      { maxItems: 100 }
    )
  )

  it.effect("leaves the stream running when its reader goes, and the server stops one without readers", () =>
    world(
      Effect.fnUntraced(function* ({ interrupted, said }) {
        const { client } = yield* TestSocketIo.TestSocketIo
        const socket = yield* client.connect(Chat)
        const started = yield* SocketStream.start(socket, "answer", { chat, prompt: "hi" })
        yield* Queue.offerAll(said, ["one", "two"])
        assert.strictEqual(words(yield* Stream.runCollect(Stream.take(started.values(), 1))), "one")
        yield* TestClock.adjust("59 seconds")
        assert.isFalse(yield* Deferred.isDone(interrupted))
        yield* TestClock.adjust("3 seconds")
        assert.isTrue(yield* Deferred.isDone(interrupted))
        const late = yield* Effect.flip(Stream.runDrain(started.values()))
        assert.deepPropertyVal(late, "reason", { _tag: "Idle" })
      })
    )
  )
})
