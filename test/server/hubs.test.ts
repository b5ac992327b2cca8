/**
 * Events as hubs: sinks and a `PubSub` to send them, one stream of all that come.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, PubSub, Queue, Schema, Scope, Stream } from "effect"
import type { Socket } from "socket.io-client"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import { untypedEncoding } from "../../src/server/internal/encoding.ts"
import { makeEventPubSub } from "../../src/server/internal/eventPubSub.ts"
import type { Emission } from "../../src/server/internal/emissions.ts"
import { Hub } from "../../src/server/internal/hub.ts"
import type { Broadcaster, Reference } from "../../src/server/internal/ports.ts"
import { EventRefused, type ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { call, connect, serve } from "../support/serve.ts"
import { soon } from "../support/handshake.ts"

class Price extends Schema.Class<Price>("Price")({ symbol: Schema.String, at: Schema.Date }) {}

class Market extends Namespace.make("/market", {
  clientToServer: [
    Event.make("order", { payload: Schema.Int }),
    Event.make("move", { args: [Schema.Int, Schema.Int] }),
    Event.make("leave"),
    Event.make("sync", { ack: Schema.Void })
  ],
  serverToClient: [
    Event.make("price", { payload: Price }),
    Event.make("moved", { args: [Schema.Int, Schema.Int] }),
    Event.make("closed")
  ]
}) {}

const price = (symbol: string) => new Price({ symbol, at: new Date(0) })

/** A market whose sockets are prepared by the test. */
const market = Effect.fnUntraced(function* (
  prepare: (socket: ServerSocket<typeof Market>) => Effect.Effect<unknown, never, Scope.Scope> = () => Effect.void
) {
  const sockets = yield* Queue.unbounded<ServerSocket<typeof Market>>()
  const nothing = () => Effect.void
  const serving = yield* serve(
    SocketIoServer.layerNamespace(Market, (socket) =>
      Effect.gen(function* () {
        yield* prepare(socket)
        yield* Queue.offer(sockets, socket)
        return Market.of({ order: nothing, move: nothing, leave: nothing, sync: nothing })
      })
    )
  )
  const [handle, plain] = yield* Effect.provideContext(
    Effect.all([SocketIoServer.namespace(Market), SocketIoServer.namespace("/market")]),
    serving.server
  )
  /** A client, its socket on the server, and the events that it gets. */
  const enter = Effect.gen(function* () {
    const got: Array<unknown> = []
    const client = yield* connect(`${serving.url}/market`)
    client.onAny((...event) => got.push(event))
    return [client, yield* Queue.take(sockets), got] as const
  })
  return { ...serving, handle, plain, enter }
})

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect, { startImmediately: true })

/** Everything that was sent to a client before has come. */
const settled = (client: Socket) => call(client, "sync")

const wirePrice = (symbol: string) => ["price", { symbol, at: "1970-01-01T00:00:00.000Z" }]

describe("a sink of an event", () => {
  it.live("emits the payloads of a stream: to a selection, to a namespace, to a socket", () =>
    Effect.gen(function* () {
      const { enter, handle, plain } = yield* market()
      const [client, socket, got] = yield* enter
      const [other, , others] = yield* enter
      yield* socket.join("board")
      const prices = Stream.make(price("a"), price("b"))
      yield* Stream.run(prices, handle.to("board").sink("price"))
      yield* Stream.run(Stream.make([1, 2] as const), handle.sink("moved"))
      yield* Stream.run(Stream.make(undefined), socket.sink("closed"))
      yield* Stream.run(prices, socket.volatile.sink("price"))
      yield* Stream.run(Stream.make([1, "x"], []), plain.to("board").sink("any"))
      yield* Stream.run(Stream.make(["one"]), socket.untyped.sink("any"))
      yield* settled(client)
      yield* settled(other)
      assert.deepStrictEqual(got, [
        wirePrice("a"),
        wirePrice("b"),
        ["moved", 1, 2],
        ["closed"],
        wirePrice("a"),
        wirePrice("b"),
        ["any", 1, "x"],
        ["any"],
        ["any", "one"]
      ])
      assert.deepStrictEqual(others, [["moved", 1, 2]])
    })
  )

  it.live("dies of a payload that its schema refuses, after those before it", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* market()
      const [client, socket, got] = yield* enter
      const moves = Stream.make([1, 2], [3, "x"] as any, [5, 6]) as Stream.Stream<readonly [number, number]>
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Stream.run(moves, handle.sink("moved")))))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Stream.run(moves, socket.sink("moved")))))
      yield* settled(client)
      assert.deepStrictEqual(got, [
        ["moved", 1, 2],
        ["moved", 1, 2]
      ])
    })
  )
})

describe("the PubSub of an event", () => {
  it.live("is fed by one stream and read by another, and clients get each payload once", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* market()
      const [client, , got] = yield* enter
      const prices = yield* handle.pubsub("price", { overflow: "dropOldest" })
      const [a, b] = [price("a"), price("b")]
      const read = yield* fork(Stream.runCollect(Stream.take(Stream.fromPubSub(prices), 2)))
      yield* Stream.runForEach(Stream.make(a, b), (each) => PubSub.publish(prices, each))
      const seen = yield* Fiber.join(read)
      // The payloads themselves, not copies.
      assert.isTrue(seen[0] === a && seen[1] === b)
      yield* settled(client)
      assert.deepStrictEqual(got, [wirePrice("a"), wirePrice("b")])
    })
  )

  it.live("gives what is broadcast to its rooms, from wherever it is emitted, by the contract", () =>
    Effect.gen(function* () {
      const { enter, handle, plain } = yield* market()
      const [, socket] = yield* enter
      const rooms = yield* handle.to("a").pubsub("moved", { overflow: "dropOldest" })
      const nobody = yield* handle.to([]).pubsub("moved", { overflow: "dropOldest" })
      const untyped = yield* plain.to("a").pubsub("moved", { overflow: "dropOldest" })
      const [reader, deaf, untypedReader] = [
        yield* PubSub.subscribe(rooms),
        yield* PubSub.subscribe(nobody),
        yield* PubSub.subscribe(untyped)
      ]
      yield* handle.to("a").emit("moved", [1, 1])
      yield* handle.to(["b", "a"]).emit("moved", [2, 2])
      yield* handle.emit("moved", [3, 3])
      yield* socket.broadcast.emit("moved", [4, 4])
      yield* plain.to("a").emit("moved", 5, 5)
      yield* PubSub.publishAll(rooms, [
        [6, 6],
        [7, 7]
      ])
      // None of these: other rooms, another event, one client, arguments that the contract does not allow.
      yield* handle.to("b").emit("moved", [0, 0])
      yield* handle.except("a").emit("moved", [0, 0])
      yield* handle.emit("closed")
      yield* socket.emit("moved", [0, 0])
      yield* plain.emit("moved", "x")
      assert.deepStrictEqual(yield* PubSub.takeAll(reader), [
        [1, 1],
        [2, 2],
        [3, 3],
        [4, 4],
        [5, 5],
        [6, 6],
        [7, 7]
      ])
      assert.strictEqual(yield* PubSub.size(nobody), 0)
      assert.deepStrictEqual(yield* PubSub.takeUpTo(deaf, 1), [])
      assert.lengthOf(yield* PubSub.takeAll(untypedReader), 8)
    })
  )

  it.live("drops the oldest or the newest payload of a subscriber that is late, and of no other", () =>
    Effect.gen(function* () {
      const { handle } = yield* market()
      const emit = (n: number) => handle.emit("moved", [n, n])
      for (const [overflow, left] of [
        ["dropOldest", [3, 4]],
        ["dropNewest", [1, 2]]
      ] as const) {
        const moves = yield* handle.pubsub("moved", { overflow, capacity: 2 })
        const [late, quick] = [yield* PubSub.subscribe(moves), yield* PubSub.subscribe(moves)]
        const seen: Array<number> = []
        for (const n of [1, 2, 3, 4]) {
          yield* emit(n)
          seen.push((yield* PubSub.take(quick))[0])
        }
        assert.deepStrictEqual(seen, [1, 2, 3, 4])
        assert.isTrue(yield* PubSub.isFull(moves))
        assert.deepStrictEqual(
          (yield* PubSub.takeAll(late)).map(([n]) => n),
          [...left]
        )
      }
    })
  )

  it.live("tells a subscriber of a broadcast before what it emits in turn is sent", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* market()
      const [client, , got] = yield* enter
      const moves = yield* handle.pubsub("moved", { overflow: "dropOldest" })
      const reading = yield* fork(
        Stream.runForEach(Stream.take(Stream.fromPubSub(moves), 1), () => handle.emit("closed"))
      )
      yield* handle.emit("moved", [1, 2])
      yield* Fiber.join(reading)
      yield* settled(client)
      assert.deepStrictEqual(got, [["moved", 1, 2], ["closed"]])
    })
  )

  it.live("dies of a payload that its schema refuses, and publishes nothing where an effect cannot run", () =>
    Effect.gen(function* () {
      const { handle } = yield* market()
      const moves = yield* handle.pubsub("moved", { overflow: "dropOldest" })
      assert.isTrue(Exit.hasDies(yield* Effect.exit(PubSub.publish(moves, [1, "x"] as any))))
      assert.isFalse(PubSub.publishUnsafe(moves, [1, 2]))
    })
  )

  it.live("shuts down with its scope, and with the server", () =>
    Effect.gen(function* () {
      for (const which of ["its own", "the server's"]) {
        const [own, servers] = [yield* Scope.make(), yield* Scope.make()]
        const { handle } = yield* Scope.provide(market(), servers)
        const moves = yield* Scope.provide(handle.pubsub("moved", { overflow: "dropNewest" }), own)
        const reading = yield* fork(Stream.runCollect(Stream.fromPubSub(moves)))
        yield* PubSub.publish(moves, [1, 2])
        yield* Effect.yieldNow
        yield* Scope.close(which === "its own" ? own : servers, Exit.void)
        yield* soon("end", Fiber.join(reading))
        assert.isTrue(yield* PubSub.isShutdown(moves))
        assert.isFalse(yield* PubSub.publish(moves, [1, 2]))
        yield* Scope.close(own, Exit.void)
        yield* Scope.close(servers, Exit.void)
      }
    })
  )

  it.effect("listens to broadcasts while it has subscribers alone", () =>
    Effect.gen(function* () {
      const emissions = new Hub<Emission>()
      const namespace = { scoped: Effect.succeed({ emissions } as Broadcaster) } as unknown as Reference<Broadcaster>
      const target = { encoding: untypedEncoding, namespace }
      const emit = () => Effect.void
      const values = yield* makeEventPubSub(
        { event: "n", target, rooms: undefined, emit },
        { overflow: "dropOldest", capacity: 1 }
      )
      assert.isTrue(yield* PubSub.publish(values, [1]))
      assert.isFalse(emissions.isWatched)
      for (let times = 0; times < 2; times++) {
        yield* Effect.scoped(Effect.andThen(PubSub.subscribe(values), PubSub.subscribe(values)))
        const scope = yield* Scope.make()
        yield* Scope.provide(PubSub.subscribe(values), scope)
        assert.isTrue(emissions.isWatched)
        yield* Scope.close(scope, Exit.void)
        assert.isFalse(emissions.isWatched)
      }
    })
  )
})

describe("all events of a socket", () => {
  it.live("come as one stream, in their order, decoded, after middleware, until the socket disconnects", () =>
    Effect.gen(function* () {
      const { enter, logs } = yield* market((socket) =>
        socket.use(({ args }) => (args[0] === 13 ? Effect.fail(new EventRefused({ message: "no" })) : Effect.void))
      )
      const [client, socket] = yield* enter
      const declared = yield* fork(Stream.runCollect(socket.events()))
      const others = yield* fork(Stream.runCollect(socket.untyped.events()))
      client.emit("order", 1)
      client.emit("order", "not a number")
      client.emit("order", 13)
      client.emit("other", "a", 1)
      client.emit("move", 2, 3)
      client.emit("leave")
      yield* settled(client)
      client.disconnect()
      assert.deepStrictEqual(yield* soon("end", Fiber.join(declared)), [
        { event: "order", payload: 1 },
        { event: "move", payload: [2, 3] },
        { event: "leave", payload: undefined },
        { event: "sync", payload: undefined }
      ])
      assert.deepStrictEqual(yield* soon("end", Fiber.join(others)), [{ event: "other", args: ["a", 1] }])
      // It is read, but nothing has handled it; there may be many readers that only look on.
      assert.isFalse(logs.some((line) => line.includes("event without a handler")))
    })
  )

  it.live("come from all sockets of a namespace with the socket, to those that ask for them", () =>
    Effect.gen(function* () {
      const { enter, handle, plain } = yield* market()
      const [one, first] = yield* enter
      const declared = yield* fork(Stream.runCollect(Stream.take(handle.events(), 3)))
      const others = yield* fork(Stream.runCollect(Stream.take(plain.events(), 1)))
      const [two, second] = yield* enter
      one.emit("order", 1)
      yield* settled(one)
      two.emit("other", "a")
      two.emit("order", 2)
      yield* settled(two)
      const seen = yield* soon("events", Fiber.join(declared))
      assert.deepStrictEqual(
        seen.map(({ socket, ...event }) => [socket.id, event]),
        [
          [first.id, { event: "order", payload: 1 }],
          [first.id, { event: "sync", payload: undefined }],
          [second.id, { event: "order", payload: 2 }]
        ]
      )
      assert.strictEqual(seen[0]!.socket, first)
      const [other] = yield* soon("event", Fiber.join(others))
      assert.strictEqual(other!.socket.id, second.id)
      assert.deepStrictEqual([other!.event, other!.args], ["other", ["a"]])
    })
  )

  it.live("end with the server", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { handle } = yield* Scope.provide(market(), scope)
      const reading = yield* fork(Stream.runDrain(handle.events()))
      yield* Scope.close(scope, Exit.void)
      yield* soon("end", Fiber.join(reading))
    })
  )
})

it.live("a dynamic namespace's PubSub ends when the namespace closes, and one by its name can be there before it", () =>
  Effect.gen(function* () {
    class Desk extends Namespace.dynamic("/desk/:id", {
      serverToClient: [Event.make("n", { payload: Schema.Int })]
    }) {}
    const { server, url } = yield* serve(
      SocketIoServer.layerDynamicNamespace(Desk, () => Effect.succeed(() => Effect.succeed(Desk.of({}))), {
        idleTimeToLive: 0
      }).pipe(Layer.provide(Layer.empty))
    )
    const desks = yield* Effect.provideContext(SocketIoServer.dynamicNamespaces(Desk), server)
    const desk = desks.get({ id: "1" })
    const values = yield* desk.pubsub("n", { overflow: "dropOldest" })
    const read: Array<number> = []
    const reading = yield* fork(
      Stream.runForEach(Stream.fromPubSub(values), (n) => Effect.sync(() => void read.push(n)))
    )
    yield* PubSub.publish(values, 1)
    const client = yield* connect(`${url}/desk/1`)
    yield* desk.emit("n", 2)
    yield* desks.emit("n", 3)
    yield* soon("payloads", Effect.repeat(Effect.yieldNow, { until: () => read.length === 3 }))
    assert.deepStrictEqual(read, [1, 2, 3])
    client.disconnect()
    yield* soon("end", Fiber.join(reading))
  })
)
