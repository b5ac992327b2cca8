/**
 * The news of a namespace: connections, disconnections, changes of rooms, broadcasts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Queue, Schema, Scope, Stream } from "effect"

import type { Host, RoomChange } from "../../src/adapter/Adapter.ts"
import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import * as InMemoryAdapter from "../../src/adapter/InMemoryAdapter.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { call, connect, next, serve } from "../support/serve.ts"

const Say = Event.make("say", { payload: Schema.String, ack: Schema.Int })
const At = Event.make("at", { args: [Schema.Date, Schema.Int] })

class Room extends Namespace.make("/room", {
  clientToServer: [Event.make("sync", { ack: Schema.Void })],
  serverToClient: [Say, At]
}) {}

type RoomSocket = ServerSocket<typeof Room>

const handlers = Room.of({ sync: () => Effect.void })

/** A room with a contract, beside "/", and its handles. */
const room = Effect.fnUntraced(function* (
  build: (socket: RoomSocket) => Effect.Effect<unknown, never, Scope.Scope> = () => Effect.void
) {
  const sockets = yield* Queue.unbounded<RoomSocket>()
  const { server, url } = yield* serve(
    Layer.merge(
      SocketIoServer.layerNamespace(Room, (socket) =>
        Effect.gen(function* () {
          yield* build(socket)
          yield* Queue.offer(sockets, socket)
          return handlers
        })
      ),
      SocketIoServer.layerNamespace("/", (socket) => socket.on("sync", () => Effect.void))
    )
  )
  const handle = yield* Effect.provideContext(SocketIoServer.namespace(Room), server)
  const plain = yield* Effect.provideContext(SocketIoServer.namespace("/room"), server)
  /** A client, and its socket on the server. */
  const enter = Effect.gen(function* () {
    const client = yield* connect(`${url}/room`)
    return [client, yield* Queue.take(sockets)] as const
  })
  return { enter, handle, plain, url: `${url}/room` }
})

/** The values of a stream from now on. */
const watch = Effect.fnUntraced(function* <A, E>(stream: Stream.Stream<A, E>) {
  const seen = yield* Queue.unbounded<A>()
  const reading = yield* Effect.forkScoped(
    Stream.runForEach(stream, (value) => Queue.offer(seen, value)),
    { startImmediately: true }
  )
  return { next: Queue.take(seen), rest: Queue.clear(seen), ended: Fiber.join(reading), stop: Fiber.interrupt(reading) }
})

/** The values of a stream from now on, up to the first one of a kind, which is left out. */
const until = Effect.fnUntraced(function* <A, E>(stream: Stream.Stream<A, E>, isLast: (value: A) => boolean) {
  const reading = yield* Effect.forkScoped(Stream.runCollect(Stream.takeWhile(stream, (value) => !isLast(value))), {
    startImmediately: true
  })
  return Fiber.join(reading)
})

/** A change of rooms in one word. */
const brief = (change: RoomChange): string =>
  `${change._tag} ${change.room}${change._tag === "Joined" || change._tag === "Left" ? ` ${change.sid}` : ""}`

describe("connections", () => {
  it.live("are told once the handlers are there, with the contract's socket", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { handle, url } = yield* room(() => Deferred.await(gate))
      const connections = yield* watch(handle.connections())
      const client = yield* connect(url)
      // A round trip behind the CONNECT: the builder has been running for a while.
      const main = client.io.socket("/").connect()
      yield* call(main, "sync")
      assert.deepStrictEqual(yield* connections.rest, [])
      yield* Deferred.succeed(gate, undefined)
      const socket = yield* connections.next
      assert.strictEqual(socket.id, client.id)
      const said = next(client, "at")
      yield* socket.emit("at", [new Date(0), 1])
      assert.deepStrictEqual(yield* said, ["1970-01-01T00:00:00.000Z", 1])
    })
  )

  it.live("of a plain handle are plain sockets", () =>
    Effect.gen(function* () {
      const { enter, plain } = yield* room()
      const connections = yield* watch(plain.connections())
      const [client] = yield* enter
      const said = next(client, "whatever")
      yield* (yield* connections.next).emit("whatever", 1, 2)
      assert.deepStrictEqual(yield* said, [1, 2])
    })
  )

  it.live("are told from the moment on in which the stream is run", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* room()
      const stream = handle.connections()
      yield* enter
      const connections = yield* watch(stream)
      const [second] = yield* enter
      assert.strictEqual((yield* connections.next).id, second.id)
    })
  )

  it.live("leave out sockets that never got their handlers", () =>
    Effect.gen(function* () {
      let ways = 0
      const { enter, handle, url } = yield* room((socket) => {
        ways++
        return ways === 1 ? socket.disconnect() : ways === 2 ? Effect.die("no handlers") : Effect.void
      })
      const connections = yield* watch(handle.connections())
      const disconnections = yield* watch(handle.disconnections())
      for (let i = 0; i < 2; i++) {
        yield* connect(url)
        assert.strictEqual((yield* disconnections.next).reason, "server namespace disconnect")
      }
      const [third] = yield* enter
      assert.strictEqual((yield* connections.next).id, third.id)
    })
  )
})

describe("disconnections", () => {
  it.live("are told with their reasons", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* room()
      const disconnections = yield* watch(handle.disconnections())
      const [leaving] = yield* enter
      const left = leaving.id!
      leaving.disconnect()
      assert.deepStrictEqual(yield* disconnections.next, { id: left, reason: "client namespace disconnect" })
      const [vanishing] = yield* enter
      const vanished = vanishing.id!
      vanishing.io.engine.close()
      assert.deepStrictEqual(yield* disconnections.next, { id: vanished, reason: "transport close" })
      for (const close of [false, true]) {
        const [, socket] = yield* enter
        yield* socket.disconnect({ close })
        assert.deepStrictEqual(yield* disconnections.next, { id: socket.id, reason: "server namespace disconnect" })
      }
    })
  )

  it.live("are all told before the stream ends with its server", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { enter, handle } = yield* Scope.provide(room(), scope)
      const disconnections = yield* watch(handle.disconnections())
      const sids = [(yield* enter)[1].id, (yield* enter)[1].id, (yield* enter)[1].id]
      yield* Scope.close(scope, Exit.void)
      yield* disconnections.ended
      assert.sameDeepMembers(
        yield* disconnections.rest,
        sids.map((id) => ({ id, reason: "server shutting down" as const }))
      )
    })
  )
})

describe("disconnections from a dynamic namespace", () => {
  class Desk extends Namespace.dynamic("/desk/:id") {}

  it.live("are all told before the stream ends with its layer", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(Layer.empty)
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        SocketIoServer.layerDynamicNamespace(Desk, () => Effect.succeed(() => Effect.succeed(Desk.of({})))).pipe(
          Layer.provide(Layer.succeedContext(server))
        ),
        scope
      )
      const sids = [(yield* connect(`${url}/desk/1`)).id!, (yield* connect(`${url}/desk/1`)).id!]
      const desks = yield* Effect.provideContext(SocketIoServer.dynamicNamespaces(Desk), server)
      const disconnections = yield* watch(desks.get({ id: "1" }).disconnections())
      yield* Scope.close(scope, Exit.void)
      yield* disconnections.ended
      assert.sameDeepMembers(
        yield* disconnections.rest,
        sids.map((id) => ({ id, reason: "server shutting down" as const }))
      )
    })
  )
})

describe("changes of rooms", () => {
  it.live("are told in their order: a room is there before it is joined, and goes after it is left", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* room()
      const [, first] = yield* enter
      const [, second] = yield* enter
      const [a, b] = [first.id, second.id]
      yield* first.join("before")
      const changes = yield* until(handle.roomChanges(), ({ room }) => room === "end")
      yield* first.join(["x", "y"])
      yield* second.join("x")
      yield* first.leave("x")
      yield* first.leave("before")
      yield* handle.socketsLeave(["x", "y"])
      yield* first.join("end")
      assert.deepStrictEqual((yield* changes).map(brief), [
        "Created x",
        `Joined x ${a}`,
        "Created y",
        `Joined y ${a}`,
        `Joined x ${b}`,
        `Left x ${a}`,
        `Left before ${a}`,
        "Deleted before",
        `Left y ${a}`,
        "Deleted y",
        `Left x ${b}`,
        "Deleted x"
      ])
    })
  )

  it.live("are those of a socket that disconnects, too", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* room()
      const [leaving, gone] = yield* enter
      const [, staying] = yield* enter
      yield* gone.join(["shared", "own"])
      yield* staying.join("shared")
      const changes = yield* watch(Stream.map(handle.roomChanges(), brief))
      leaving.disconnect()
      assert.strictEqual(yield* changes.next, `Left shared ${gone.id}`)
      assert.strictEqual(yield* changes.next, `Left own ${gone.id}`)
      assert.strictEqual(yield* changes.next, "Deleted own")
      yield* staying.leave("shared")
      assert.strictEqual(yield* changes.next, `Left shared ${staying.id}`)
    })
  )

  it.live("are told of what changes alone, and not of the room of a socket's own id", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* room()
      const [leaving, gone] = yield* enter
      const [, staying] = yield* enter
      yield* staying.join("here")
      const changes = yield* until(handle.roomChanges(), ({ room }) => room === "end")
      yield* staying.join(["here", staying.id])
      yield* handle.socketsJoin("here").pipe(Effect.andThen(gone.leave("here")))
      yield* staying.leave(["elsewhere", staying.id])
      leaving.disconnect()
      yield* gone.disconnected
      yield* gone.join("too late")
      yield* staying.join("end")
      assert.deepStrictEqual((yield* changes).map(brief), [`Joined here ${gone.id}`, `Left here ${gone.id}`])
    })
  )

  it.live("are told in their order to a subscriber that changes rooms itself", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* room()
      const [, socket] = yield* enter
      const changes = yield* watch(
        Stream.tap(handle.roomChanges(), ({ _tag, room }) =>
          _tag === "Created" && room === "x" ? handle.socketsLeave("x") : Effect.void
        )
      )
      yield* socket.join("x")
      const told = [yield* changes.next, yield* changes.next, yield* changes.next, yield* changes.next]
      assert.deepStrictEqual(
        told.map(({ _tag }) => _tag),
        ["Created", "Joined", "Left", "Deleted"]
      )
    })
  )

  it.live("need not be reported by the adapter while nobody listens", () =>
    Effect.gen(function* () {
      const hosts: Array<Host> = []
      const factory = (host: Host) =>
        Effect.andThen(
          Effect.sync(() => hosts.push(host)),
          InMemoryAdapter.make(host)
        )
      const { enter, handle } = yield* Effect.provideService(room(), AdapterFactory, factory)
      const [, socket] = yield* enter
      yield* socket.join("a")
      const host = hosts.find(({ namespace }) => namespace === "/room")!
      assert.isFalse(host.watchesRooms)
      const first = yield* watch(handle.roomChanges())
      const second = yield* watch(handle.roomChanges())
      // Others listen to other things.
      yield* watch(handle.connections())
      assert.isTrue(host.watchesRooms)
      yield* first.stop
      assert.isTrue(host.watchesRooms)
      yield* second.stop
      assert.isFalse(host.watchesRooms)
      const third = yield* watch(handle.roomChanges())
      assert.isTrue(host.watchesRooms)
      yield* socket.leave("a")
      assert.strictEqual((yield* third.next)._tag, "Left")
      assert.deepStrictEqual(yield* second.rest, [])
    })
  )
})

describe("broadcasts", () => {
  it.live("are told with their payloads or arguments and their rooms, from wherever they come", () =>
    Effect.gen(function* () {
      const { enter, handle, plain } = yield* room()
      const [, socket] = yield* enter
      const [client, other] = yield* enter
      client.on("say", (_text, answer) => answer?.(1))
      const [fetched] = yield* handle.to(other.id).fetchSockets
      const at: readonly [Date, number] = [new Date(0), 1]
      const told = yield* until(handle.broadcasts(), ({ payload }) => payload === "end")
      const plainlyTold = yield* until(plain.broadcasts(), ({ args }) => args[0] === "end")
      yield* handle.emit("at", at)
      yield* handle.to(["a", "b"]).except("c").emit("say", "1")
      yield* plain.to("a").to("b").volatile.local.emit("whatever", 1, null)
      yield* socket.broadcast.emit("say", "2")
      yield* socket.to("a").emit("say", "3")
      yield* socket.except("a").emit("say", "4")
      yield* Stream.runDrain(handle.to(other.id).emitWithAck("say", "5"))
      yield* fetched!.emit("say", "6")
      // An event for one client alone, and for no room, is no broadcast.
      yield* socket.emit("say", "7")
      yield* other.emitWithAck("say", "8")
      // The contract's events are told by their payloads, whoever emits them; what it does not declare is not told.
      yield* plain.emit("say", "9")
      yield* plain.emit("at", "1970-01-01T00:00:00.000Z", 2)
      yield* plain.emit("at", "no date")
      yield* handle.emit("say", "end")
      const seen = yield* told
      assert.deepStrictEqual(seen, [
        { event: "at", payload: at, rooms: [], except: [] },
        { event: "say", payload: "1", rooms: ["a", "b"], except: ["c"] },
        { event: "say", payload: "2", rooms: [], except: [socket.id] },
        { event: "say", payload: "3", rooms: ["a"], except: [socket.id] },
        { event: "say", payload: "4", rooms: [], except: [socket.id, "a"] },
        { event: "say", payload: "5", rooms: [other.id], except: [] },
        { event: "say", payload: "6", rooms: [other.id], except: [] },
        { event: "say", payload: "9", rooms: [], except: [] },
        { event: "at", payload: [new Date(0), 2], rooms: [], except: [] }
      ])
      // It is the value that was emitted.
      assert.strictEqual(seen[0]!.payload, at)
      assert.deepStrictEqual(yield* plainlyTold, [
        { event: "at", args: ["1970-01-01T00:00:00.000Z", 1], rooms: [], except: [] },
        { event: "say", args: ["1"], rooms: ["a", "b"], except: ["c"] },
        { event: "whatever", args: [1, null], rooms: ["a", "b"], except: [] },
        { event: "say", args: ["2"], rooms: [], except: [socket.id] },
        { event: "say", args: ["3"], rooms: ["a"], except: [socket.id] },
        { event: "say", args: ["4"], rooms: [], except: [socket.id, "a"] },
        { event: "say", args: ["5"], rooms: [other.id], except: [] },
        { event: "say", args: ["6"], rooms: [other.id], except: [] },
        { event: "say", args: ["9"], rooms: [], except: [] },
        { event: "at", args: ["1970-01-01T00:00:00.000Z", 2], rooms: [], except: [] },
        { event: "at", args: ["no date"], rooms: [], except: [] }
      ])
    })
  )

  it.live("are told before what their subscribers emit in turn is sent", () =>
    Effect.gen(function* () {
      const { enter, plain } = yield* room()
      const [client] = yield* enter
      const arrived: Array<string> = []
      client.onAny((event) => arrived.push(event))
      const answered = next(client, "answer")
      yield* watch(
        Stream.tap(plain.broadcasts(), ({ event }) => (event === "question" ? plain.emit("answer") : Effect.void))
      )
      yield* plain.emit("question")
      yield* answered
      assert.deepStrictEqual(arrived, ["question", "answer"])
    })
  )

  it.live("are told when they are run, each time", () =>
    Effect.gen(function* () {
      const { handle, plain } = yield* room()
      const emit = handle.emit("say", "again")
      const ask = Stream.runDrain(handle.emitWithAck("say", "again"))
      const told = yield* until(plain.broadcasts(), ({ event }) => event === "end")
      yield* emit
      yield* emit
      yield* ask
      yield* ask
      yield* plain.emit("end")
      assert.lengthOf(yield* told, 4)
    })
  )
})

describe("streams of a namespace", () => {
  it.live("tell every subscriber everything, and one that stops takes nothing from the others", () =>
    Effect.gen(function* () {
      const { plain } = yield* room()
      const first = yield* watch(plain.broadcasts())
      yield* plain.emit("one")
      const second = yield* watch(plain.broadcasts())
      yield* plain.emit("two")
      assert.strictEqual((yield* first.next).event, "one")
      assert.strictEqual((yield* first.next).event, "two")
      assert.strictEqual((yield* second.next).event, "two")
      yield* first.stop
      yield* plain.emit("three")
      assert.strictEqual((yield* second.next).event, "three")
      assert.deepStrictEqual(yield* first.rest, [])
      // One that takes what it wants, and no more, has stopped as well.
      const third = yield* watch(Stream.take(plain.broadcasts(), 1))
      yield* plain.emit("four")
      yield* third.ended
      yield* plain.emit("five")
      assert.deepStrictEqual(
        (yield* third.rest).map(({ event }) => event),
        ["four"]
      )
      assert.strictEqual((yield* second.next).event, "four")
      assert.strictEqual((yield* second.next).event, "five")
    })
  )

  it.live("lose the oldest for a subscriber that wants it so and is 10,000 late, and for no other", () =>
    Effect.gen(function* () {
      const { plain } = yield* room()
      const [reading, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const slow = yield* watch(
        Stream.tap(plain.broadcasts({ overflow: "dropOldest" }), ({ event }) =>
          event === "start" ? Effect.andThen(Deferred.succeed(reading, undefined), Deferred.await(gate)) : Effect.void
        )
      )
      const quick = yield* watch(plain.broadcasts())
      yield* plain.emit("start")
      yield* Deferred.await(reading)
      yield* quick.next
      for (let i = 0; i < 12_000; i++) {
        yield* plain.emit("n", i)
        assert.deepStrictEqual((yield* quick.next).args, [i])
      }
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* slow.next).event, "start")
      for (let i = 2_000; i < 12_000; i++) assert.deepStrictEqual((yield* slow.next).args, [i])
      // It has caught up.
      yield* plain.emit("end")
      assert.strictEqual((yield* slow.next).event, "end")
    })
  )

  it.live("end with the server", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { handle } = yield* Scope.provide(room(), scope)
      const ends = [
        yield* watch(handle.connections()),
        yield* watch(handle.disconnections()),
        yield* watch(handle.roomChanges()),
        yield* watch(handle.broadcasts())
      ]
      yield* Scope.close(scope, Exit.void)
      for (const { ended } of ends) yield* ended
    })
  )
})
