/**
 * The policies of streams whose readers are too slow.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Metric, Option, Queue, Schema, Scope, Stream } from "effect"

import * as EngineMetrics from "../../src/engine/EngineMetrics.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { StreamOverflow } from "../../src/StreamOptions.ts"
import { call, connect, serve } from "../support/serve.ts"
import { soon } from "../support/handshake.ts"

class Work extends Namespace.make("/", {
  clientToServer: [
    Event.make("n", { payload: Schema.Int }),
    Event.make("bytes", { payload: Schema.String }),
    Event.make("sync", { ack: Schema.Void })
  ],
  serverToClient: [Event.make("n", { payload: Schema.Int })]
}) {}

const range = (count: number) => Array.from({ length: count }, (_, i) => i)

/** A client, and its socket on the server. */
const enter = Effect.fnUntraced(function* (options: NodeOptions = {}) {
  const registry = new Map()
  const sockets = yield* Queue.unbounded<ServerSocket<typeof Work>>()
  const nothing = () => Effect.void
  const { server, url } = yield* serve(
    SocketIoServer.layerNamespace(Work, (socket) =>
      Effect.as(Queue.offer(sockets, socket), Work.of({ n: nothing, bytes: nothing, sync: nothing }))
    ),
    { drainTimeout: "50 millis", reading: { pauseTimeout: "1 hour" }, ...options }
  ).pipe(Effect.provideService(Metric.MetricRegistry, registry))
  const pauses = Effect.map(
    Effect.provideService(Metric.value(EngineMetrics.readPauses), Metric.MetricRegistry, registry),
    ({ count }) => Number(count)
  )
  const client = yield* connect(url, { transports: ["websocket"] })
  const socket = yield* Queue.take(sockets)
  const send = (count: number) => {
    for (const n of range(count)) client.emit("n", n)
  }
  const handle = yield* Effect.provideContext(SocketIoServer.namespace(Work), server)
  const plain = yield* Effect.provideContext(SocketIoServer.namespace("/"), server)
  return { client, handle, pauses, plain, send, socket, synced: call(client, "sync") }
})

/** Reads a stream to its end or its failure. */
const read = Effect.fnUntraced(function* <A, E>(stream: Stream.Stream<A, E>) {
  const values: Array<A> = []
  const exit = yield* Effect.exit(Stream.runForEach(stream, (value) => Effect.sync(() => void values.push(value))))
  return { values, error: Option.getOrUndefined(Exit.findErrorOption(exit)) }
})

describe("a stream of a socket's events", () => {
  it.live("makes the client wait by default, and loses nothing", () =>
    Effect.gen(function* () {
      const { pauses, send, socket, synced } = yield* enter()
      const stream = yield* socket.subscribe("n", { capacity: 5 })
      const all = yield* socket.subscribe("n")
      // More than one packet of the socket can bring at once.
      send(3_000)
      yield* soon("pause", Effect.repeat(Effect.andThen(Effect.sleep("1 millis"), pauses), { until: (n) => n > 0 }))
      const reads = [stream, all].map((each) => Stream.runCollect(Stream.take(each, 3_000)))
      const values = yield* soon("all events", Effect.all(reads, { concurrency: "unbounded" }))
      assert.deepStrictEqual(values, [range(3_000), range(3_000)])
      yield* synced
      assert.isTrue(socket.connected)
    })
  )

  it.live("makes the client wait where `suspend` is written out, for one event, for all, and for any", () =>
    Effect.gen(function* () {
      const { client, pauses, send, socket, synced } = yield* enter()
      const suspend = { overflow: "suspend", capacity: 5 } as const
      const one = yield* socket.subscribe("n", suspend)
      const other = yield* socket.untyped.subscribe("other", suspend)
      const all = yield* Effect.forkScoped(
        Stream.runCollect(
          Stream.take(
            Stream.filter(socket.events(suspend), ({ event }) => event === "n"),
            3_000
          )
        ),
        { startImmediately: true }
      )
      send(3_000)
      for (const n of range(100)) client.emit("other", n)
      yield* soon("pause", Effect.repeat(Effect.andThen(Effect.sleep("1 millis"), pauses), { until: (n) => n > 0 }))
      const reads = [Stream.runCollect(Stream.take(one, 3_000)), Stream.runCollect(Stream.take(other, 100))] as const
      const [numbers, others] = yield* soon("all events", Effect.all(reads, { concurrency: "unbounded" }))
      assert.deepStrictEqual(numbers, range(3_000))
      assert.deepStrictEqual(
        others,
        range(100).map((n) => [n])
      )
      const events = yield* soon("events of the contract", Fiber.join(all))
      assert.deepStrictEqual(
        events.map(({ payload }) => payload),
        range(3_000)
      )
      yield* synced
      assert.isTrue(socket.connected)
    })
  )

  it.live("lets a client that waits go on when the reader's scope closes", () =>
    Effect.gen(function* () {
      const { pauses, send, socket, synced } = yield* enter()
      const scope = yield* Scope.make()
      yield* Scope.provide(socket.subscribe("n", { capacity: 1 }), scope)
      send(2)
      yield* soon("pause", Effect.repeat(Effect.andThen(Effect.sleep("1 millis"), pauses), { until: (n) => n > 0 }))
      yield* Scope.close(scope, Exit.void)
      yield* synced
    })
  )

  it.live("drops the oldest, drops the newest, or fails, as it is told, and the client does not wait", () =>
    Effect.gen(function* () {
      const { client, pauses, send, socket, synced } = yield* enter()
      const oldest = yield* socket.subscribe("n", { overflow: "dropOldest", capacity: 3 })
      const newest = yield* socket.subscribe("n", { overflow: "dropNewest", capacity: 3 })
      const failing = yield* socket.subscribe("n", { overflow: "fail", capacity: 3 })
      const events = yield* Effect.forkScoped(read(socket.events({ overflow: "fail", capacity: 0 })), {
        startImmediately: true
      })
      const plain = yield* socket.untyped.subscribe("other", { overflow: "fail", capacity: 1 })
      send(5_000)
      client.emit("other", 1)
      client.emit("other", 2)
      yield* synced
      client.disconnect()
      assert.deepStrictEqual(yield* read(oldest), { values: [4_997, 4_998, 4_999], error: undefined })
      assert.deepStrictEqual(yield* read(newest), { values: [0, 1, 2], error: undefined })
      const error = new StreamOverflow({ stream: "n", capacity: 3 })
      assert.deepStrictEqual(yield* read(failing), { values: [0, 1, 2], error })
      const none = new StreamOverflow({ stream: "events", capacity: 0 })
      assert.deepStrictEqual(yield* Fiber.join(events), { values: [], error: none })
      const other = new StreamOverflow({ stream: "other", capacity: 1 })
      assert.deepStrictEqual(yield* read(plain), { values: [[1]], error: other })
      assert.strictEqual(yield* pauses, 0)
    })
  )

  it.live("holds no more of a client's bytes than half of what may wait of it, whatever its policy", () =>
    Effect.gen(function* () {
      const { client, pauses, socket, synced } = yield* enter({ limits: { maxPendingBytes: 20_000 } })
      const oldest = yield* socket.subscribe("bytes", { overflow: "dropOldest" })
      const kilobyte = "x".repeat(1_000)
      for (const n of range(100)) client.emit("bytes", `${n} ${kilobyte}`)
      yield* synced
      const values = yield* Stream.runCollect(Stream.map(Stream.take(oldest, 2), (text) => Number.parseInt(text, 10)))
      assert.isAbove(values[0]!, 90)
      const failing = yield* socket.subscribe("bytes", { overflow: "fail" })
      const newest = yield* socket.subscribe("bytes", { overflow: "dropNewest" })
      for (const n of range(100)) client.emit("bytes", `${n} ${kilobyte}`)
      yield* synced
      client.disconnect()
      const kept = yield* read(newest)
      assert.isBelow(kept.values.length, 10)
      const failed = yield* read(failing)
      assert.isBelow(failed.values.length, 10)
      assert.instanceOf(failed.error, StreamOverflow)
      assert.strictEqual(yield* pauses, 0)
    })
  )

  it.live("closes a connection that sends on though its reader does not read", () =>
    Effect.gen(function* () {
      const { send, socket } = yield* enter({
        reading: { pauseTimeout: "10 millis" },
        limits: { maxPendingEvents: 50 }
      })
      yield* socket.subscribe("n")
      send(51)
      assert.strictEqual(yield* soon("end", socket.disconnected), "inbound overflow")
    })
  )
})

describe("a stream of a namespace", () => {
  /** Takes the first value, waits until the others were published, and reads on. */
  const late = Effect.fnUntraced(function* <A, E>(stream: Stream.Stream<A, E>) {
    const [reading, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
    const values = yield* Effect.forkScoped(
      read(Stream.tap(stream, () => Effect.andThen(Deferred.done(reading, Exit.void), Deferred.await(gate)))),
      { startImmediately: true }
    )
    return {
      reading: soon("first value", Deferred.await(reading)),
      rest: Effect.andThen(Deferred.succeed(gate, undefined), soon("end", Fiber.join(values)))
    }
  })

  it.live("fails when its reader is late, unless it drops values", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { handle, plain } = yield* Scope.provide(enter(), scope)
      const numbers = <E>(stream: Stream.Stream<{ readonly payload: number }, E>) =>
        Stream.map(stream, ({ payload }) => payload)
      const failing = yield* late(numbers(handle.broadcasts({ capacity: 2 })))
      const oldest = yield* late(numbers(handle.broadcasts({ capacity: 2, overflow: "dropOldest" })))
      const newest = yield* late(numbers(handle.broadcasts({ capacity: 2, overflow: "dropNewest" })))
      const untold = yield* late(plain.broadcasts())
      yield* handle.emit("n", 0)
      for (const { reading } of [failing, oldest, newest, untold]) yield* reading
      for (const n of range(10_001)) yield* handle.emit("n", n + 1)
      yield* Scope.close(scope, Exit.void)
      const error = new StreamOverflow({ stream: "broadcasts", capacity: 2 })
      assert.deepStrictEqual(yield* failing.rest, { values: [0, 1, 2], error })
      assert.deepStrictEqual(yield* oldest.rest, { values: [0, 10_000, 10_001], error: undefined })
      assert.deepStrictEqual(yield* newest.rest, { values: [0, 1, 2], error: undefined })
      const { error: byDefault, values } = yield* untold.rest
      assert.deepStrictEqual(byDefault, new StreamOverflow({ stream: "broadcasts", capacity: 10_000 }))
      assert.lengthOf(values, 10_001)
    })
  )

  it.live("is named in its failure", () =>
    Effect.gen(function* () {
      const { client, handle, socket, synced } = yield* enter()
      const none = { capacity: 0 }
      const failures = yield* Effect.forEach(
        [
          Stream.drain(handle.connections(none)),
          Stream.drain(handle.disconnections(none)),
          Stream.drain(handle.roomChanges(none)),
          Stream.drain(handle.broadcasts(none)),
          Stream.drain(handle.events(none))
        ],
        (stream) => Effect.forkScoped(Effect.flip(Stream.runDrain(stream)), { startImmediately: true })
      )
      yield* socket.join("a")
      yield* handle.emit("n", 1)
      yield* synced
      client.disconnect()
      client.connect()
      const streams = yield* Effect.forEach(failures, (failure) =>
        Effect.map(soon("failure", Fiber.join(failure)), ({ stream }) => stream)
      )
      assert.deepStrictEqual(streams, ["connections", "disconnections", "roomChanges", "broadcasts", "events"])
    })
  )

  it.live("of all events holds no more of a client's bytes than half of what may wait of it", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { client, handle, pauses, synced } = yield* Scope.provide(
        enter({ limits: { maxPendingBytes: 20_000 } }),
        scope
      )
      const { reading, rest } = yield* late(
        Stream.filter(handle.events({ overflow: "dropNewest" }), ({ event }) => event === "bytes")
      )
      for (const n of range(100)) client.emit("bytes", `${n} ${"x".repeat(1_000)}`)
      yield* reading
      yield* synced
      assert.strictEqual(yield* pauses, 0)
      yield* Scope.close(scope, Exit.void)
      const { values } = yield* rest
      assert.isAbove(values.length, 1)
      assert.isBelow(values.length, 20)
    })
  )
})
