/**
 * Events before and beside their handlers: packet middleware, taps, streams; and the news for a socket of its
 * end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Metric, Queue, Schema, Scope, Stream } from "effect"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as ServerMetrics from "../../src/server/ServerMetrics.ts"
import { EventRefused, type ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { call, connect, next, serve } from "../support/serve.ts"

class Full extends Schema.TaggedError<Full>()("Full", {}) {}

const Enter = Event.make("enter", { payload: Schema.String, ack: Schema.Int, error: Full })
const Say = Event.make("say", { payload: Schema.String, ack: Schema.Void })
const Move = Event.make("move", { args: [Schema.Finite, Schema.Finite] })

class Room extends Namespace.make("/room", {
  clientToServer: [Enter, Say, Move],
  serverToClient: [Say, Event.make("ask", { payload: Schema.String, ack: Schema.String })]
}) {}

type RoomSocket = ServerSocket<typeof Room>

/** A room whose sockets are prepared by the test, and what it has heard. */
const room = (prepare: (socket: RoomSocket) => Effect.Effect<unknown, never, any>, heard: Array<string> = []) =>
  Effect.gen(function* () {
    const sockets = yield* Queue.unbounded<RoomSocket>()
    const { logs, server, url } = yield* serve(
      SocketIoServer.layerNamespace(Room, (socket) =>
        Effect.gen(function* () {
          yield* prepare(socket) as Effect.Effect<unknown>
          yield* Queue.offer(sockets, socket)
          return Room.of({
            enter: (name) => Effect.sync(() => heard.push(name)),
            say: (text) => Effect.sync(() => void heard.push(text)),
            move: (position) => Effect.sync(() => heard.push(position.join()))
          })
        })
      )
    )
    return { url: `${url}/room`, heard, logs, socket: Queue.take(sockets), server }
  })

/** A namespace without a contract whose sockets are prepared by the test. */
const plain = (prepare: (socket: ServerSocket<Namespace.Untyped>) => Effect.Effect<void, never, any>) =>
  serve(SocketIoServer.layerNamespace("/", (socket) => prepare(socket) as Effect.Effect<void>))

describe("packet middleware", () => {
  it.live("sees every event before its handler, with the wire arguments", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const { heard, url } = yield* room((socket) =>
        socket.use((event) => Effect.sync(() => void seen.push({ ...event, heard: heard.length })))
      )
      const socket = yield* connect(url)
      socket.emit("move", 1, 2)
      yield* call(socket, "say", "hello")
      assert.deepStrictEqual(seen, [
        { event: "move", args: [1, 2], needsAck: false, heard: 0 },
        { event: "say", args: ["hello"], needsAck: true, heard: 1 }
      ])
      assert.deepStrictEqual(heard, ["1,2", "hello"])
    })
  )

  it.live("refuses an event: its handler does not run, the client is told where a failure is declared", () =>
    Effect.gen(function* () {
      const counter = Metric.withAttributes(ServerMetrics.eventsRefused, { namespace: "/room", event: "enter" })
      const before = (yield* Metric.value(counter)).count
      const { heard, url } = yield* room((socket) =>
        socket.use(({ args }) =>
          args[0] === "secret" ? Effect.fail(new EventRefused({ message: "no", data: { code: 403 } })) : Effect.void
        )
      )
      const socket = yield* connect(url)
      assert.deepStrictEqual(yield* call(socket, "enter", "secret"), {
        _tag: "Failure",
        error: { _tag: "EventRefused", message: "no", data: { code: 403 } }
      })
      socket.emit("say", "secret")
      assert.deepStrictEqual(yield* call(socket, "enter", "lobby"), { _tag: "Success", value: 1 })
      assert.deepStrictEqual(heard, ["lobby"])
      assert.strictEqual((yield* Metric.value(counter)).count, before + 1)
    })
  )

  it.live("refuses an event without its data where they cannot be encoded", () =>
    Effect.gen(function* () {
      const { logs, url } = yield* room((socket) =>
        socket.use(() => Effect.fail(new EventRefused({ message: "no", data: 1n })))
      )
      assert.deepStrictEqual(yield* call(yield* connect(url), "enter", "lobby"), {
        _tag: "Failure",
        error: { _tag: "EventRefused", message: "no" }
      })
      assert.match(logs[0]!, /not encodable/)
    })
  )

  it.live("runs in the order of its registration, and stops at the first refusal", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const { url } = yield* room((socket) =>
        Effect.gen(function* () {
          yield* socket.use(() => Effect.sync(() => seen.push("first")))
          yield* socket.use(({ args }) =>
            args[0] === "x" ? Effect.fail(new EventRefused({ message: "no" })) : Effect.sync(() => seen.push("second"))
          )
          yield* socket.use(() => Effect.sync(() => seen.push("third")))
        })
      )
      const socket = yield* connect(url)
      yield* call(socket, "enter", "x")
      yield* call(socket, "enter", "y")
      assert.deepStrictEqual(seen, ["first", "first", "second", "third"])
    })
  )

  it.live("keeps the order of events while it is at work on one of them", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { heard, url } = yield* room((socket) =>
        socket.use(({ args }) => (args[0] === "slow" ? Deferred.await(gate) : Effect.void))
      )
      const socket = yield* connect(url)
      const slow = yield* Effect.forkChild(call(socket, "say", "slow"), { startImmediately: true })
      const quick = yield* Effect.forkChild(call(socket, "say", "quick"), { startImmediately: true })
      // A round trip that does not pass the middleware shows that both are there.
      const server = yield* connect(url)
      yield* call(server, "say", "other")
      assert.deepStrictEqual(heard, ["other"])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(slow)
      yield* Fiber.join(quick)
      assert.deepStrictEqual(heard, ["other", "slow", "quick"])
    })
  )

  it.live("refuses the event that it dies of, and says so in the log", () =>
    Effect.gen(function* () {
      const { heard, logs, url } = yield* room((socket) =>
        socket.use(({ args }) => (args[0] === "boom" ? Effect.die(new Error("broken")) : Effect.void))
      )
      const socket = yield* connect(url)
      assert.deepStrictEqual(yield* call(socket, "enter", "boom"), {
        _tag: "Failure",
        error: { _tag: "InternalError" }
      })
      yield* call(socket, "say", "fine")
      assert.deepStrictEqual(heard, ["fine"])
      assert.include(logs.join(), "broken")
    })
  )

  it.live("has the services of where it was registered, and works without a contract", () =>
    Effect.gen(function* () {
      const { url } = yield* plain(
        Effect.fnUntraced(function* (socket) {
          yield* socket.use(({ event }) =>
            event === "forbidden" ? Effect.fail(new EventRefused({ message: "no" })) : Effect.scope
          )
          yield* socket.on("forbidden", () => socket.emit("heard"))
          yield* socket.on("ping", () => Effect.succeed("pong"))
        })
      )
      const socket = yield* connect(url)
      const heard: Array<string> = []
      socket.onAny((event) => heard.push(event))
      socket.emit("forbidden")
      assert.strictEqual(yield* call(socket, "ping"), "pong")
      assert.deepStrictEqual(heard, [])
    })
  )
})

describe("taps", () => {
  it.live("onAny sees what comes in before middleware, refused or not, declared or not", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const { url } = yield* room((socket) =>
        Effect.gen(function* () {
          yield* socket.use(({ event }) =>
            event === "say" ? Effect.fail(new EventRefused({ message: "no" })) : Effect.void
          )
          yield* socket.onAny((event, args) => Effect.sync(() => seen.push([event, ...args])))
        })
      )
      const socket = yield* connect(url)
      socket.emit("say", "refused")
      socket.emit("unheard-of", 1)
      yield* call(socket, "enter", "x")
      assert.deepStrictEqual(seen, [
        ["say", "refused"],
        ["unheard-of", 1],
        ["enter", "x"]
      ])
    })
  )

  it.live("onAnyOutgoing sees emits, requests and broadcasts as they go out, and no acknowledgements", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const { server, socket, url } = yield* room((socket) =>
        socket.onAnyOutgoing((event, args) => Effect.sync(() => seen.push([event, ...args])))
      )
      const official = yield* connect(url, {}, (socket) => socket.on("ask", (_question, answer) => answer("yes")))
      const ours = yield* socket
      const all = yield* Effect.provideContext(SocketIoServer.namespace(Room), server)
      yield* ours.emit("say", "one")
      yield* all.emit("say", "all")
      yield* all.except(ours.id).emit("say", "others")
      assert.strictEqual(yield* ours.emitWithAck("ask", "well?"), "yes")
      yield* call(official, "say", "acked")
      assert.deepStrictEqual(seen, [
        ["say", "one"],
        ["say", "all"],
        ["ask", "well?"]
      ])
    })
  )
})

describe("streams of events", () => {
  it.live("give decoded payloads beside the handler, from the moment on in which they are run", () =>
    Effect.gen(function* () {
      const { heard, socket, url } = yield* room(() => Effect.void)
      const official = yield* connect(url)
      const ours = yield* socket
      yield* call(official, "say", "before")
      const moves = yield* Effect.forkChild(Stream.runCollect(Stream.take(ours.stream("move"), 2)), {
        startImmediately: true
      })
      official.emit("move", 1, 2)
      official.emit("move", "not a number", 2)
      official.emit("move", 3, 4)
      assert.deepStrictEqual(Array.from(yield* Fiber.join(moves)), [
        [1, 2],
        [3, 4]
      ])
      yield* call(official, "say", "after")
      assert.deepStrictEqual(heard, ["before", "1,2", "3,4", "after"])
    })
  )

  it.live("end when the socket disconnects, after what came before", () =>
    Effect.gen(function* () {
      const { socket, url } = yield* room(() => Effect.void)
      const official = yield* connect(url)
      const ours = yield* socket
      const said = yield* Effect.scoped(
        Effect.gen(function* () {
          const stream = yield* ours.subscribe("say")
          yield* call(official, "say", "a")
          yield* call(official, "say", "b")
          official.disconnect()
          yield* ours.disconnected
          return yield* Stream.runCollect(stream)
        })
      )
      assert.deepStrictEqual(Array.from(said), ["a", "b"])
      assert.deepStrictEqual(Array.from(yield* Stream.runCollect(ours.stream("say"))), [])
    })
  )

  it.live("lose nothing between subscribe and the first read, and nothing comes after their scope", () =>
    Effect.gen(function* () {
      const sockets = yield* Queue.unbounded<ServerSocket<Namespace.Untyped>>()
      const { url } = yield* plain((socket) => Queue.offer(sockets, socket))
      const official = yield* connect(url)
      const ours = yield* Queue.take(sockets)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const stream = yield* ours.subscribe("tick")
          const other = yield* ours.subscribe("sync")
          official.emit("tick", 1, "x")
          official.emit("tick", 2, "y")
          official.emit("sync")
          yield* Stream.runHead(other)
          assert.deepStrictEqual(Array.from(yield* Stream.runCollect(Stream.take(stream, 2))), [
            [1, "x"],
            [2, "y"]
          ])
        })
      )
    })
  )

  it.live("close the connection of a client that is faster than their reader, beyond the bound", () =>
    Effect.gen(function* () {
      const sockets = yield* Queue.unbounded<ServerSocket<Namespace.Untyped>>()
      const { url } = yield* serve(
        SocketIoServer.layerNamespace("/", (socket) => Effect.asVoid(Queue.offer(sockets, socket))),
        { limits: { maxPendingEvents: 3 } }
      )
      const official = yield* connect(url)
      const ours = yield* Queue.take(sockets)
      const stream = yield* ours.subscribe("tick")
      for (let i = 0; i < 5; i++) official.emit("tick", i)
      assert.strictEqual(yield* ours.disconnected, "inbound overflow")
      assert.deepStrictEqual(
        Array.from(yield* Stream.runCollect(stream), ([i]) => i),
        [0, 1, 2]
      )
    })
  )

  it.live("of events that the contract does not declare are a defect", () =>
    Effect.gen(function* () {
      const { socket, url } = yield* room(() => Effect.void)
      yield* connect(url)
      const ours = yield* socket
      const undeclared = yield* Effect.exit(Stream.runHead(ours.stream("ask" as "say")))
      assert.include(String(undeclared), "not among the events that clients send")
      const declared = yield* Effect.exit(Stream.runHead(ours.untyped.stream("say")))
      assert.include(String(declared), "is an event of the contract")
    })
  )
})

describe("a handler that is added in a scope", () => {
  // Within the socket's scope, and beside it.
  for (const [where, make] of [
    ["within the socket's", Effect.flatMap(Effect.scope, Scope.fork)],
    ["of the application", Scope.make()]
  ] as const) {
    it.live(`${where} leaves with it, and its work ends with the scope or the socket`, () =>
      Effect.gen(function* () {
        const told: Array<string> = []
        const scopes: Array<Scope.Closeable> = []
        const started = yield* Queue.unbounded<string>()
        const { socket, url } = yield* room((socket) =>
          Effect.gen(function* () {
            for (const name of ["first", "second"]) {
              const scope: Scope.Closeable = yield* make
              scopes.push(scope)
              const work = Effect.andThen(Queue.offer(started, name), Effect.never).pipe(
                Effect.onInterrupt(() => Effect.sync(() => told.push(`${name} interrupted`)))
              )
              yield* Scope.provide(
                socket.onAny(() => work),
                scope
              )
              yield* Scope.provide(
                socket.onDisconnecting(() => Effect.sync(() => told.push(`${name} disconnecting`))),
                scope
              )
            }
          })
        )
        const official = yield* connect(url)
        const ours = yield* socket
        official.emit("move", 1, 2)
        assert.deepStrictEqual([yield* Queue.take(started), yield* Queue.take(started)], ["first", "second"])
        yield* Scope.close(scopes[0]!, Exit.void)
        assert.deepStrictEqual(told, ["first interrupted"])
        official.emit("move", 1, 2)
        assert.strictEqual(yield* Queue.take(started), "second")
        official.disconnect()
        yield* ours.disconnected
        yield* Effect.yieldNow
        assert.deepStrictEqual(told.toSorted(), [
          "first interrupted",
          "second disconnecting",
          "second interrupted",
          "second interrupted"
        ])
        yield* Scope.close(scopes[1]!, Exit.void)
        assert.lengthOf(told, 4)
      })
    )
  }
})

describe("a socket that disconnects", () => {
  it.live("is told before it leaves its rooms, and can still say goodbye to them", () =>
    Effect.gen(function* () {
      const told = yield* Queue.unbounded<unknown>()
      const { socket, url } = yield* room((socket) =>
        Effect.gen(function* () {
          yield* socket.join("lobby")
          yield* socket.onDisconnecting((reason) =>
            Effect.gen(function* () {
              yield* socket.to("lobby").emit("say", "bye")
              yield* Queue.offer(told, [reason, Array.from(socket.rooms), socket.connected])
            })
          )
        })
      )
      const leaving = yield* connect(url)
      const { id } = leaving
      const ours = yield* socket
      const staying = yield* connect(url)
      const goodbye = next(staying, "say")
      leaving.disconnect()
      assert.deepStrictEqual(yield* goodbye, ["bye"])
      assert.deepStrictEqual(yield* Queue.take(told), ["client namespace disconnect", [id, "lobby"], true])
      assert.strictEqual(yield* ours.disconnected, "client namespace disconnect")
      assert.deepStrictEqual(Array.from(ours.rooms), [id!, "lobby"])
    })
  )

  it.live("can still send to its own client when the server disconnects it", () =>
    Effect.gen(function* () {
      const { socket, url } = yield* room((socket) => socket.onDisconnecting(() => socket.emit("say", "the end")))
      const official = yield* connect(url)
      const order: Array<string> = []
      official.on("say", (text) => order.push(text))
      const gone = next(official, "disconnect")
      yield* (yield* socket).disconnect()
      assert.strictEqual((yield* gone)[0], "io server disconnect")
      assert.deepStrictEqual(order, ["the end"])
    })
  )

  it.live("may disconnect itself once more when it is told: it happens once", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const { socket, url } = yield* room((socket) =>
        socket.onDisconnecting((reason) =>
          Effect.andThen(
            Effect.sync(() => told.push(reason)),
            socket.disconnect()
          )
        )
      )
      const official = yield* connect(url)
      const ours = yield* socket
      official.io.engine.close()
      assert.strictEqual(yield* ours.disconnected, "transport close")
      assert.deepStrictEqual(told, ["transport close"])
    })
  )
})
