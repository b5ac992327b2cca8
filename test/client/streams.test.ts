/**
 * The streams of a client's socket: their options, all events as one stream, and the end of a connection.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import { StreamOverflow } from "../../src/StreamOptions.ts"
import { fakeClient } from "../support/fakeClient.ts"

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

class Chat extends Namespace.make("/", {
  clientToServer: [Event.make("say", { payload: Schema.String })],
  serverToClient: [
    Event.make("said", { payload: Schema.String }),
    Event.make("cursor", { args: [Schema.Int, Schema.Int] }),
    Event.make("bye")
  ]
}) {}

/** A socket, and the server that it sees. */
const setup = <const T extends Namespace.Static | "/">(target: T, options: Partial<ClientOptions> = {}) =>
  Effect.gen(function* () {
    const { last, platform, use } = yield* fakeClient(options)
    const socket = yield* use(SocketIoClient.socket(target as "/"))
    const admit = Effect.gen(function* () {
      last().accept()
      yield* Effect.yieldNow
      last().events.onText('40{"sid":"id"}')
      yield* Effect.yieldNow
    })
    const send = (...event: ReadonlyArray<unknown>) => last().events.onText(`42${JSON.stringify(event)}`)
    yield* admit
    return { socket: socket as unknown as SocketIoClient.SocketOf<T>, send, last, admit, platform }
  })

describe("a stream of a client's socket", () => {
  it.effect("fails when more values wait than it has capacity for, after the events that it has kept", () =>
    Effect.gen(function* () {
      const { send, socket } = yield* setup("/")
      const stream = yield* socket.subscribe("n", { capacity: 3 })
      for (let n = 0; n < 5; n++) send("n", n)
      const read: Array<number> = []
      const error = yield* Effect.flip(Stream.runForEach(stream, ([n]) => Effect.sync(() => read.push(Number(n)))))
      assert.deepStrictEqual(read, [0, 1, 2])
      assert.deepStrictEqual(error, new StreamOverflow({ stream: "n", capacity: 3 }))
      assert.isTrue(socket.connected)
    })
  )

  it.effect("drops the oldest or the newest events where that is said, and has no error then", () =>
    Effect.gen(function* () {
      const { send, socket } = yield* setup(Chat)
      const oldest = yield* socket.subscribe("said", { capacity: 2, overflow: "dropOldest" })
      const newest = yield* socket.subscribe("said", { capacity: 2, overflow: "dropNewest" })
      for (const text of ["a", "b", "c"]) send("said", text)
      const two = <A>(stream: Stream.Stream<A>) => Stream.runCollect(Stream.take(stream, 2))
      assert.deepStrictEqual(yield* two(oldest), ["b", "c"])
      assert.deepStrictEqual(yield* two(newest), ["a", "b"])
    })
  )

  it.effect("takes its options when it is run, too", () =>
    Effect.gen(function* () {
      const { send, socket } = yield* setup("/")
      const reading = yield* fork(
        Effect.flip(Stream.runForEach(socket.stream("n", { capacity: 1 }), () => Effect.yieldNow))
      )
      send("n", 1)
      send("n", 2)
      assert.strictEqual((yield* Fiber.join(reading)).capacity, 1)
    })
  )
})

describe("all events of a client's socket", () => {
  it.effect(
    "are one stream, in their order and with their payloads; what the contract does not declare is left out",
    () =>
      Effect.gen(function* () {
        const { send, socket } = yield* setup(Chat)
        const reading = yield* fork(Stream.runCollect(Stream.take(socket.events(), 3)))
        send("said", "hello")
        send("undeclared", 1)
        send("cursor", 1, 2)
        send("said", 7)
        send("bye")
        assert.deepStrictEqual(yield* Fiber.join(reading), [
          { event: "said", payload: "hello" },
          { event: "cursor", payload: [1, 2] },
          { event: "bye", payload: undefined }
        ])
      })
  )

  it.effect("include those that came right after the connection, and reach streams of one event as well", () =>
    Effect.gen(function* () {
      const { send, socket } = yield* setup(Chat)
      send("said", "early")
      const all = yield* fork(Stream.runCollect(Stream.take(socket.events(), 2)))
      const one = yield* fork(Stream.runCollect(Stream.take(socket.stream("said"), 1)))
      send("said", "late")
      assert.deepStrictEqual(
        (yield* Fiber.join(all)).map(({ payload }) => payload),
        ["early", "late"]
      )
      assert.deepStrictEqual(yield* Fiber.join(one), ["late"])
    })
  )

  it.effect("have their arguments where there is no contract, and the policy of any stream", () =>
    Effect.gen(function* () {
      const { send, socket } = yield* setup("/")
      const reading = yield* fork(Effect.flip(Stream.runForEach(socket.events({ capacity: 1 }), () => Effect.never)))
      const others = yield* fork(Stream.runCollect(Stream.take(socket.events({ overflow: "dropOldest" }), 2)))
      send("a", 1, { b: 2 })
      send("c")
      assert.deepStrictEqual(yield* Fiber.join(others), [
        { event: "a", args: [1, { b: 2 }] },
        { event: "c", args: [] }
      ])
      yield* Fiber.interrupt(reading)
    })
  )
})

describe("a client's socket", () => {
  it.effect("tells when it is not connected any more, and why", () =>
    Effect.gen(function* () {
      const { admit, last, socket } = yield* setup("/")
      const lost = yield* fork(socket.disconnected)
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(lost.pollUnsafe())
      last().fail("gone")
      assert.strictEqual(yield* Fiber.join(lost), "transport error")
      assert.strictEqual(yield* socket.disconnected, "transport error")
      yield* TestClock.adjust("2 seconds")
      yield* admit
      const left = yield* fork(socket.disconnected)
      assert.isUndefined(left.pollUnsafe())
      yield* socket.disconnect()
      assert.strictEqual(yield* Fiber.join(left), "io client disconnect")
    })
  )

  it.effect("that the server refuses or disconnects has ended for this reason", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup("/")
      last().events.onText("41")
      assert.strictEqual(yield* socket.disconnected, "io server disconnect")
      yield* fork(Effect.exit(socket.reconnect()))
      last().accept()
      yield* Effect.yieldNow
      last().events.onText('44{"message":"no"}')
      assert.strictEqual(yield* socket.disconnected, "io server disconnect")
    })
  )

  it.effect("logs a failure of a handler that sees every event, and goes on", () =>
    Effect.gen(function* () {
      const logged: Array<unknown> = []
      const logger = Logger.make(({ message }) => logged.push(message))
      yield* Effect.gen(function* () {
        const { send, socket } = yield* setup("/")
        const seen: Array<string> = []
        yield* socket.onAny((event) =>
          Effect.suspend(() => {
            seen.push(event)
            return Effect.fail("not today")
          })
        )
        send("a")
        send("b")
        yield* Effect.yieldNow
        assert.deepStrictEqual(seen, ["a", "b"])
        assert.deepStrictEqual(logged.flat(), ["event handler failed", "event handler failed"])
      }).pipe(Effect.provide(Logger.layer([logger])))
    })
  )

  it.effect("has flags on each of its emitters", () =>
    Effect.gen(function* () {
      const { last, socket } = yield* setup("/")
      last().take()
      yield* socket.compress(false).volatile.emit("a")
      yield* socket.volatile.compress(true).emit("b")
      yield* Effect.yieldNow
      // The second one is dropped, as the first one has not left yet.
      assert.deepStrictEqual(last().take(), ['42["a"]'])
      last().fail("gone")
      yield* socket.volatile.emit("c")
      assert.strictEqual((yield* Effect.flip(socket.volatile.emitWithAck("d"))).reason._tag, "NotSent")
    })
  )
})
