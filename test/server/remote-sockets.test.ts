/**
 * Sockets as others see and move them: fetched, made to join and leave rooms, disconnected; and the data that they carry.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, Queue, Schema } from "effect"

import type { BroadcastFlags, Host, LocalSocket, SocketDetails } from "../../src/adapter/Adapter.ts"
import * as InMemoryAdapter from "../../src/adapter/InMemoryAdapter.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import type { RemoteSocketBase } from "../../src/server/BroadcastOperator.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { call, connect, next, serve } from "../support/serve.ts"

class Busy extends Schema.TaggedError<Busy>()("Busy", { until: Schema.Int }) {}

class Crew extends Namespace.make("/crew", {
  auth: Schema.Struct({
    name: Schema.optionalKey(Schema.String),
    rooms: Schema.optionalKey(Schema.Array(Schema.String))
  }),
  clientToServer: [Event.make("sync", { ack: Schema.Void })],
  serverToClient: [
    Event.make("note", { payload: Schema.Date }),
    Event.make("ask", { payload: Schema.String, ack: Schema.Int, error: Busy })
  ],
  data: { rank: Schema.String, since: Schema.Date, score: Schema.Int }
}) {}

type CrewSocket = ServerSocket<typeof Crew>

/** A crew whose members call themselves by the `name` of their auth payload and are put in the rooms of its `rooms`. */
const crew = Effect.fnUntraced(function* (
  build: (socket: CrewSocket) => Effect.Effect<unknown, never, any> = () => Effect.void
) {
  const sockets = yield* Queue.unbounded<CrewSocket>()
  const { server, url } = yield* serve(
    Layer.merge(
      SocketIoServer.layerNamespace(Crew, (socket) =>
        Effect.gen(function* () {
          yield* socket.join(socket.auth.rooms ?? [])
          yield* build(socket) as Effect.Effect<unknown>
          yield* Queue.offer(sockets, socket)
          return Crew.of({ sync: () => Effect.void })
        })
      ),
      SocketIoServer.layerNamespace("/", (socket) => socket.on("sync", () => Effect.void))
    )
  )
  const handle = yield* Effect.provideContext(SocketIoServer.namespace(Crew), server)
  const plain = yield* Effect.provideContext(SocketIoServer.namespace("/crew"), server)
  /** A client, and its socket on the server. */
  const enter = Effect.fnUntraced(function* (name: string, ...rooms: ReadonlyArray<string>) {
    const client = yield* connect(`${url}/crew`, { auth: { name, rooms } })
    return [client, yield* Queue.take(sockets)] as const
  })
  return { enter, handle, plain, url }
})

/** The names of what was fetched, in alphabetical order. */
const names = (sockets: ReadonlyArray<RemoteSocketBase>): ReadonlyArray<unknown> =>
  sockets.map(({ handshake }) => handshake.auth.name as string).toSorted()

const roomsOf = (socket: { readonly id: string; readonly rooms: ReadonlySet<string> }): ReadonlyArray<string> =>
  Array.from(socket.rooms)
    .filter((room) => room !== socket.id)
    .toSorted()

describe("a socket of this process", () => {
  it.live("is found by its id, with its contract or without, while it is connected", () =>
    Effect.gen(function* () {
      const { enter, handle, plain } = yield* crew()
      const [client, ada] = yield* enter("Ada", "deck")
      yield* enter("Bob")
      assert.strictEqual(Option.getOrThrow(yield* handle.socket(ada.id)), ada)
      assert.strictEqual(Option.getOrThrow(yield* plain.socket(ada.id)), ada.untyped)
      assert.isTrue(Option.isNone(yield* handle.socket("deck")))
      client.disconnect()
      yield* ada.disconnected
      assert.isTrue(Option.isNone(yield* handle.socket(ada.id)))
    })
  )
})

describe("fetching sockets", () => {
  it.live("gives whom the selection names, once each", () =>
    Effect.gen(function* () {
      const { enter, handle, plain } = yield* crew()
      const [, ada] = yield* enter("Ada", "deck", "mess")
      yield* enter("Bob", "deck")
      yield* enter("Cy")
      assert.deepStrictEqual(names(yield* handle.fetchSockets), ["Ada", "Bob", "Cy"])
      assert.deepStrictEqual(names(yield* handle.to(["deck", "mess"]).fetchSockets), ["Ada", "Bob"])
      assert.deepStrictEqual(names(yield* handle.to("mess").in("mess").fetchSockets), ["Ada"])
      assert.deepStrictEqual(names(yield* handle.except("mess").fetchSockets), ["Bob", "Cy"])
      assert.deepStrictEqual(names(yield* handle.to("deck").except(ada.id).fetchSockets), ["Bob"])
      assert.deepStrictEqual(names(yield* handle.all.local.fetchSockets), ["Ada", "Bob", "Cy"])
      assert.deepStrictEqual(names(yield* plain.to("deck").local.fetchSockets), ["Ada", "Bob"])
      assert.deepStrictEqual(names(yield* ada.broadcast.fetchSockets), ["Bob", "Cy"])
      assert.deepStrictEqual(names(yield* ada.to("deck").fetchSockets), ["Bob"])
      assert.deepStrictEqual(names(yield* handle.to("nowhere").fetchSockets), [])
    })
  )

  it.live("gives a socket's id, handshake, rooms and data, as they are then", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* crew()
      const [client, socket] = yield* enter("Ada", "deck")
      yield* socket.setData({ rank: "captain" })
      const [ada] = yield* handle.fetchSockets
      yield* socket.join("mess")
      yield* socket.setData({ rank: "pirate" })
      assert.strictEqual(ada!.id, client.id)
      assert.deepStrictEqual(ada!.handshake, socket.handshake)
      assert.deepStrictEqual(ada!.handshake.auth, { name: "Ada", rooms: ["deck"] })
      assert.deepStrictEqual(ada!.rooms, new Set([client.id!, "deck"]))
      assert.deepStrictEqual(ada!.data, { rank: "captain" })
      assert.deepStrictEqual((yield* handle.fetchSockets)[0]!.rooms, new Set([client.id!, "deck", "mess"]))
    })
  )

  it.live("gives nobody who has gone, not even to its own finalizer", () =>
    Effect.gen(function* () {
      const found = yield* Queue.unbounded<ReadonlyArray<unknown>>()
      const { enter, handle } = yield* crew((socket) =>
        Effect.flatMap(SocketIoServer.namespace(Crew), (all) =>
          Effect.addFinalizer(() =>
            Effect.flatMap(all.to("deck").local.fetchSockets, (members) =>
              Queue.offer(found, [...names(members), ...roomsOf(socket)])
            )
          )
        )
      )
      const [leaving] = yield* enter("Ada", "deck")
      yield* enter("Bob", "deck")
      leaving.disconnect()
      assert.deepStrictEqual(yield* Queue.take(found), ["Bob", "deck"])
      assert.deepStrictEqual(names(yield* handle.fetchSockets), ["Bob"])
    })
  )
})

describe("a fetched socket", () => {
  it.live("can be sent to, and asked", () =>
    Effect.gen(function* () {
      const { enter, handle, plain } = yield* crew()
      const [client] = yield* enter("Ada")
      const [other] = yield* enter("Bob")
      other.onAny((event) => assert.fail(`${event} is not for Bob`))
      client.on("ask", (question: string, answer) =>
        answer(
          question === "free?" ? { _tag: "Success", value: 1 } : { _tag: "Failure", error: { _tag: "Busy", until: 5 } }
        )
      )
      const [ada] = yield* handle.to(client.id!).fetchSockets
      const noted = next(client, "note")
      yield* ada!.emit("note", new Date(0))
      assert.deepStrictEqual(yield* noted, ["1970-01-01T00:00:00.000Z"])
      assert.strictEqual(yield* ada!.emitWithAck("ask", "free?"), 1)
      assert.deepInclude(yield* Effect.flip(ada!.emitWithAck("ask", "now?")), { _tag: "Busy", until: 5 })
      const [plainAda] = yield* plain.to(client.id!).fetchSockets
      assert.deepStrictEqual(yield* plainAda!.emitWithAck("ask", "free?"), [{ _tag: "Success", value: 1 }])
      yield* call(other, "sync")
    })
  )

  it.live("that has gone is sent nothing, and asked in vain", () =>
    Effect.gen(function* () {
      const { enter, handle, plain } = yield* crew()
      const [client, socket] = yield* enter("Ada")
      const [ada] = yield* handle.fetchSockets
      const [plainAda] = yield* plain.fetchSockets
      client.disconnect()
      yield* socket.disconnected
      yield* ada!.emit("note", new Date(0))
      const gone = { _tag: "AckError", event: "ask", reason: { _tag: "Disconnected" } } as const
      assert.deepInclude(yield* Effect.flip(ada!.emitWithAck("ask", "?")), gone)
      assert.deepInclude(yield* Effect.flip(plainAda!.emitWithAck("ask", "?")), gone)
      yield* ada!.join("deck")
      yield* ada!.disconnect()
      assert.deepStrictEqual(yield* handle.to("deck").fetchSockets, [])
    })
  )

  it.live("that goes without an answer has disconnected", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* crew()
      const [client] = yield* enter("Ada")
      client.on("ask", () => client.disconnect())
      const [ada] = yield* handle.fetchSockets
      assert.deepInclude(yield* Effect.flip(ada!.emitWithAck("ask", "?")), {
        _tag: "AckError",
        reason: { _tag: "Disconnected" }
      })
    })
  )

  it.live("can be moved from room to room", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* crew()
      const [, socket] = yield* enter("Ada", "deck")
      const [, other] = yield* enter("Bob", "deck")
      const [ada] = yield* handle.to(socket.id).fetchSockets
      yield* ada!.join(["mess", "hold"])
      yield* ada!.leave("deck")
      assert.deepStrictEqual(roomsOf(socket), ["hold", "mess"])
      assert.deepStrictEqual(roomsOf(other), ["deck"])
    })
  )

  it.live("can be disconnected, from its namespace or altogether", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* crew()
      for (const close of [false, true]) {
        const [client, socket] = yield* enter("Ada")
        const main = client.io.socket("/").connect()
        yield* call(main, "sync")
        const [gone, mainGone] = [next(client, "disconnect"), close ? next(main, "disconnect") : undefined]
        const [ada] = yield* handle.fetchSockets
        yield* ada!.disconnect({ close })
        assert.strictEqual((yield* gone)[0], "io server disconnect")
        assert.strictEqual(yield* socket.disconnected, "server namespace disconnect")
        if (mainGone === undefined) yield* call(main, "sync")
        else assert.strictEqual((yield* mainGone)[0], "io server disconnect")
      }
    })
  )
})

describe("a selection", () => {
  it.live("joins and leaves rooms, and no other socket does", () =>
    Effect.gen(function* () {
      const { enter, handle, plain } = yield* crew()
      const [, ada] = yield* enter("Ada", "deck", "watch")
      const [, bob] = yield* enter("Bob", "deck")
      const [, cy] = yield* enter("Cy")
      yield* handle.to("deck").socketsJoin(["mess", "hold"])
      assert.deepStrictEqual([ada, bob, cy].map(roomsOf), [
        ["deck", "hold", "mess", "watch"],
        ["deck", "hold", "mess"],
        []
      ])
      yield* plain.to("deck").except("watch").socketsLeave(["hold", "nowhere"])
      assert.deepStrictEqual([ada, bob, cy].map(roomsOf), [["deck", "hold", "mess", "watch"], ["deck", "mess"], []])
      yield* handle.socketsJoin("all")
      yield* cy.broadcast.socketsLeave("all")
      assert.deepStrictEqual(names(yield* handle.to("all").fetchSockets), ["Cy"])
    })
  )

  it.live("is as it was at the start, though it changes while it is acted on", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* crew()
      const crewmen = [yield* enter("Ada", "a"), yield* enter("Bob", "a"), yield* enter("Cy", "b")]
      const sockets = crewmen.map(([, socket]) => socket)
      yield* handle.to(["a", "b"]).except("c").socketsJoin("c")
      assert.deepStrictEqual(sockets.map(roomsOf), [
        ["a", "c"],
        ["a", "c"],
        ["b", "c"]
      ])
      yield* handle.to("a").socketsLeave("a")
      assert.deepStrictEqual(sockets.map(roomsOf), [["c"], ["c"], ["b", "c"]])
      // The first to go takes the others out of the room; all of them go nevertheless.
      yield* sockets[0]!.onDisconnecting(() => handle.to("c").socketsLeave("c"))
      yield* handle.to("c").disconnectSockets()
      for (const socket of sockets) assert.strictEqual(yield* socket.disconnected, "server namespace disconnect")
    })
  )

  it.live("is disconnected from the namespace, and the rest of its connections stays", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* crew()
      const [ada] = yield* enter("Ada", "deck")
      const [bob] = yield* enter("Bob")
      const main = ada.io.socket("/").connect()
      yield* call(main, "sync")
      const gone = next(ada, "disconnect")
      yield* handle.to("deck").disconnectSockets()
      assert.strictEqual((yield* gone)[0], "io server disconnect")
      yield* call(main, "sync")
      yield* call(bob, "sync")
      assert.deepStrictEqual(names(yield* handle.fetchSockets), ["Bob"])
    })
  )

  it.live("is disconnected with its connections, and leaves all their namespaces", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* crew()
      const [ada] = yield* enter("Ada", "deck")
      const [bob] = yield* enter("Bob")
      const main = ada.io.socket("/").connect()
      yield* call(main, "sync")
      const [gone, mainGone] = [next(ada, "disconnect"), next(main, "disconnect")]
      const closed = Effect.promise(() => new Promise<void>((resolve) => ada.io.engine.once("close", () => resolve())))
      const closing = yield* Effect.forkChild(closed, { startImmediately: true })
      yield* handle.to("deck").disconnectSockets({ close: true })
      assert.strictEqual((yield* gone)[0], "io server disconnect")
      assert.strictEqual((yield* mainGone)[0], "io server disconnect")
      yield* Fiber.join(closing)
      yield* call(bob, "sync")
    })
  )
})

describe("the adapter in memory", () => {
  it("acts on a selection in one turn, however large it is", () => {
    const moved: Array<string> = []
    const sockets = new Map<string, LocalSocket>()
    for (let i = 0; i < 10_000; i++) {
      const id = String(i)
      sockets.set(id, {
        id,
        joined: undefined,
        enterRoom: () => true,
        leaveRoom: () => {},
        deliver: (_encoded: unknown, _flags: BroadcastFlags) => {},
        deliverForAck: () => undefined,
        details: { id, rooms: new Set(), data: {} } as unknown as SocketDetails,
        disconnectUnsafe: () => moved.push(id)
      })
    }
    const host = { namespace: "/", sockets, watchesRooms: false } as unknown as Host
    const adapter = Effect.runSync(InMemoryAdapter.make(host))
    // Work that waits for another turn finds sockets that have disconnected meanwhile.
    const inOneTurn = (effect: Effect.Effect<void>) => assert.isDefined(Effect.runFork(effect).pollUnsafe())
    const everybody = { rooms: [], except: [] }
    inOneTurn(adapter.socketsJoin(everybody, ["a", "b"]))
    for (const { joined } of sockets.values()) assert.deepStrictEqual(joined, new Set(["a", "b"]))
    inOneTurn(adapter.socketsLeave(everybody, ["a"]))
    for (const { joined } of sockets.values()) assert.deepStrictEqual(joined, new Set(["b"]))
    inOneTurn(adapter.disconnectSockets({ rooms: ["b"], except: [] }, false))
    assert.lengthOf(moved, 10_000)
  })
})

describe("a socket's data", () => {
  it.live("are of their declared types to whoever fetches them, and encoded in between", () =>
    Effect.gen(function* () {
      const { enter, handle, plain } = yield* crew()
      const [, socket] = yield* enter("Ada")
      yield* socket.setData({ since: new Date(0), rank: "captain" })
      assert.deepStrictEqual(socket.data, { since: new Date(0), rank: "captain" })
      assert.deepStrictEqual((yield* handle.fetchSockets)[0]!.data, { since: new Date(0), rank: "captain" })
      // Without the contract they are what an adapter passes on.
      const encoded = { since: "1970-01-01T00:00:00.000Z", rank: "captain" }
      assert.deepStrictEqual((yield* plain.fetchSockets)[0]!.data, encoded)
    })
  )

  it.live("are set field by field", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* crew()
      const [, socket] = yield* enter("Ada")
      assert.deepStrictEqual(socket.data, {})
      assert.deepStrictEqual((yield* handle.fetchSockets)[0]!.data, {})
      yield* socket.setData({ score: 1 })
      yield* socket.setData({ rank: "mate" })
      yield* socket.setData({ score: 2 })
      assert.deepStrictEqual(socket.data, { score: 2, rank: "mate" })
      assert.deepStrictEqual((yield* handle.fetchSockets)[0]!.data, { score: 2, rank: "mate" })
    })
  )

  it.live("are taken away by undefined, with a contract or without", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* crew()
      const [, socket] = yield* enter("Ada")
      yield* socket.setData({ score: 1, rank: "mate", since: new Date(0) })
      yield* socket.setData({ score: undefined, rank: "captain" })
      yield* socket.untyped.setData({ since: undefined })
      assert.deepStrictEqual(socket.data, { rank: "captain" })
      assert.deepStrictEqual((yield* handle.fetchSockets)[0]!.data, { rank: "captain" })
    })
  )

  it.live("do not take a value of another type, or a field that is not declared: nothing changes then", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* crew()
      const [, socket] = yield* enter("Ada")
      yield* socket.setData({ score: 1 })
      const wrong = yield* Effect.exit(socket.setData({ rank: "mate", score: "2" as unknown as number }))
      assert.isTrue(Exit.hasDies(wrong))
      assert.include(String(wrong), 'data "score"')
      const undeclared = yield* Effect.exit(socket.setData({ rank: "mate", ship: "Argo" } as { readonly rank: string }))
      assert.isTrue(Exit.hasDies(undeclared))
      assert.include(String(undeclared), '"ship" is not among the data of sockets')
      // The socket without its contract may carry more, but nothing else in the place of what is declared.
      assert.isTrue(Exit.hasDies(yield* Effect.exit(socket.untyped.setData({ since: "yesterday" }))))
      yield* socket.untyped.setData({ ship: "Argo" })
      assert.deepStrictEqual(socket.untyped.data, { score: 1, ship: "Argo" })
      assert.deepStrictEqual((yield* handle.fetchSockets)[0]!.data, { score: 1 })
    })
  )

  it.live("can still be set when the socket has disconnected with its layer", () =>
    Effect.gen(function* () {
      const ended = yield* Queue.unbounded<unknown>()
      const { server, url } = yield* serve(Layer.empty)
      const live = SocketIoServer.layerNamespace(Crew, (socket) =>
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() =>
            Effect.flatMap(Effect.exit(socket.setData({ score: 1 })), (exit) =>
              Queue.offer(ended, [exit._tag, socket.data])
            )
          )
          return Crew.of({ sync: () => Effect.void })
        })
      )
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Layer.build(Layer.provide(live, Layer.succeedContext(server)))
          yield* connect(`${url}/crew`)
        })
      )
      assert.deepStrictEqual(yield* Queue.take(ended), ["Success", { score: 1 }])
    })
  )

  it.live("are plain values without a contract, whatever a contract says elsewhere", () =>
    Effect.gen(function* () {
      const sockets = yield* Queue.unbounded<ServerSocket<Namespace.Untyped>>()
      const { server, url } = yield* serve(
        SocketIoServer.layerNamespace("/crew", (socket) => Effect.asVoid(Queue.offer(sockets, socket)))
      )
      const plain = yield* Effect.provideContext(SocketIoServer.namespace("/crew"), server)
      const typed = yield* Effect.provideContext(SocketIoServer.namespace(Crew), server)
      yield* connect(`${url}/crew`)
      const socket = yield* Queue.take(sockets)
      yield* socket.setData({ since: "1970-01-01T00:00:00.000Z", any: [1] })
      yield* socket.setData({ score: "none" })
      const data = { since: "1970-01-01T00:00:00.000Z", any: [1], score: "none" }
      assert.deepStrictEqual(socket.data, data)
      assert.deepStrictEqual((yield* plain.fetchSockets)[0]!.data, data)
      // A handle with a contract fetches the data that fit it.
      assert.deepStrictEqual((yield* typed.fetchSockets)[0]!.data, { since: new Date(0) })
    })
  )
})
