/**
 * Lists of rooms that may be empty, and what is no room at all.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Queue, Schema, Stream } from "effect"

import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import type { BroadcastOperator } from "../../src/server/BroadcastOperator.ts"
import type { BroadcastTargets, ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { Cluster } from "../support/linkedAdapter.ts"
import { connect, next, serve } from "../support/serve.ts"

const events = {
  serverToClient: [
    Event.make("note", { payload: Schema.String }),
    Event.make("ask", { payload: Schema.String, ack: Schema.Int }),
    Event.make("end")
  ]
} as const

class Hall extends Namespace.make("/hall", events) {}

class Desk extends Namespace.dynamic("/desk/:id", events) {}

/** A namespace with two clients in room "a", and one in room "b". */
const setup = Effect.fnUntraced(function* (name = "/hall") {
  const cluster = new Cluster()
  const sockets = yield* Queue.unbounded<ServerSocket<typeof Hall>>()
  const namespaces = Layer.merge(
    SocketIoServer.layerNamespace(Hall, (socket) => Effect.as(Queue.offer(sockets, socket), {})),
    SocketIoServer.layerDynamicNamespace(Desk, () =>
      Effect.succeed((socket: ServerSocket<typeof Desk>) => Effect.as(Queue.offer(sockets, socket as any), {}))
    )
  )
  const { server, url } = yield* Effect.provide(serve(namespaces), Layer.succeed(AdapterFactory, cluster.factory))
  // Another server, so that what is passed on is sent to somebody.
  const other = yield* Effect.provide(serve(namespaces), Layer.succeed(AdapterFactory, cluster.factory))
  yield* connect(`${other.url}${name}`)
  yield* Queue.take(sockets)
  const enter = Effect.fnUntraced(function* (room: string) {
    const client = yield* connect(`${url}${name}`)
    const heard: Array<string> = []
    client.on("note", (text) => heard.push(text))
    client.on("ask", (question, answer) => answer(question.length))
    const socket = yield* Queue.take(sockets)
    yield* socket.join(room)
    return { client, heard, socket }
  })
  const [one, two, three] = [yield* enter("a"), yield* enter("a"), yield* enter("b")]
  const hall = yield* Effect.provideContext(SocketIoServer.namespace(Hall), server)
  const plain = yield* Effect.provideContext(SocketIoServer.namespace(name), server)
  const desks = yield* Effect.provideContext(SocketIoServer.dynamicNamespaces(Desk), server)
  /** The events of each client until now. */
  const heard = Effect.gen(function* () {
    const ends = [one, two, three].map(({ client }) => next(client, "end"))
    yield* plain.emit("end")
    yield* Effect.all(ends)
    return [one.heard, two.heard, three.heard].map((texts) => texts.splice(0))
  })
  return { cluster, one, two, three, hall, plain, desks, heard }
})

const nobody = [[], [], []]

describe("an empty list of rooms", () => {
  it.live("is nobody, whoever sends to it", () =>
    Effect.gen(function* () {
      const { cluster, hall, heard, one, plain } = yield* setup()
      const before = cluster.sent.length
      yield* hall.to([]).emit("note", "")
      yield* hall.in([]).emit("note", "")
      yield* hall.all.to([]).emit("note", "")
      yield* hall.all.volatile.local.compress(false).to([]).emit("note", "")
      yield* hall.except("b").to([]).emit("note", "")
      yield* hall.to([]).except([]).emit("note", "")
      yield* plain.to([]).emit("note", "")
      yield* plain.in([]).emit("note", "")
      const forms: ReadonlyArray<BroadcastTargets<BroadcastOperator<any>>> = [one.socket, one.socket.untyped]
      for (const socket of forms) {
        yield* socket.to([]).emit("note", "")
        yield* socket.in([]).emit("note", "")
        yield* socket.broadcast.to([]).emit("note", "")
      }
      // No other server is asked, either.
      assert.lengthOf(cluster.sent, before)
      assert.deepStrictEqual(yield* heard, nobody)
    })
  )

  it.live("is nobody in a dynamic namespace", () =>
    Effect.gen(function* () {
      const { desks, heard, one } = yield* setup("/desk/1")
      const [open] = yield* desks.active
      yield* open!.to([]).emit("note", "")
      yield* desks.get({ id: "1" }).in([]).emit("note", "")
      yield* one.socket.to([]).emit("note", "")
      assert.deepStrictEqual(yield* heard, nobody)
      yield* desks.get({ id: "1" }).to([]).disconnectSockets()
      yield* desks.get({ id: "1" }).to("b").emit("note", "b")
      assert.deepStrictEqual(yield* heard, [[], [], ["b"]])
    })
  )

  it.live("is nobody to disconnect, to fetch, or to move", () =>
    Effect.gen(function* () {
      const { cluster, hall, heard, one, plain, three, two } = yield* setup()
      const before = cluster.sent.length
      for (const operator of [hall.in([]), plain.in([]), one.socket.to([])]) {
        yield* operator.disconnectSockets()
        yield* operator.disconnectSockets({ close: true })
        yield* operator.socketsJoin("c")
        yield* operator.socketsLeave(["a", "b"])
        assert.deepStrictEqual(yield* operator.fetchSockets, [])
      }
      assert.lengthOf(cluster.sent, before)
      for (const { socket } of [one, two, three]) assert.isTrue(socket.connected)
      yield* hall.to("a").emit("note", "a")
      yield* hall.to("c").emit("note", "c")
      assert.deepStrictEqual(yield* heard, [["a"], ["a"], []])
    })
  )

  it.live("is nobody to ask: there are no answers", () =>
    Effect.gen(function* () {
      const { hall, plain } = yield* setup()
      assert.deepStrictEqual(yield* Stream.runCollect(hall.to([]).emitWithAck("ask", "?")), [])
      assert.deepStrictEqual(yield* Stream.runCollect(plain.to([]).emitWithAck("ask", "?")), [])
    })
  )

  it.live("adds nobody to other rooms, before or after them", () =>
    Effect.gen(function* () {
      const { hall, heard, one } = yield* setup()
      yield* hall.to("a").to([]).emit("note", "1")
      yield* hall.to([]).in("b").emit("note", "2")
      yield* one.socket.to("a").in([]).emit("note", "3")
      assert.deepStrictEqual(yield* heard, [["1"], ["1", "3"], ["2"]])
    })
  )

  it.live("leaves nobody out, and leads nowhere", () =>
    Effect.gen(function* () {
      const { hall, heard, one, plain } = yield* setup()
      yield* hall.except([]).emit("note", "1")
      yield* plain.except([]).emit("note", "2")
      yield* one.socket.except([]).emit("note", "3")
      yield* hall.to("b").except([]).emit("note", "4")
      yield* one.socket.join([])
      yield* one.socket.leave([])
      yield* hall.socketsJoin([])
      yield* hall.socketsLeave([])
      yield* hall.to("a").emit("note", "5")
      assert.deepStrictEqual(yield* heard, [
        ["1", "2", "5"],
        ["1", "2", "3", "5"],
        ["1", "2", "3", "4"]
      ])
    })
  )

  it.live("still refuses what cannot be sent", () =>
    Effect.gen(function* () {
      const { hall, plain } = yield* setup()
      assert.isTrue(Exit.hasDies(yield* Effect.exit(hall.to([]).emit("note", 1 as any))))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(plain.to([]).emit("note", 1n))))
      assert.isTrue(Exit.hasDies(yield* Effect.exit(Stream.runDrain(plain.to([]).emitWithAck("note", 1n)))))
    })
  )
})

describe("what is no room", () => {
  /** The message of the defect that ends an effect, or that is thrown where it is made. */
  const defectOf = (make: () => Effect.Effect<unknown, unknown>) =>
    Effect.map(Effect.exit(Effect.suspend(make)), (exit) =>
      Exit.isFailure(exit) ? (Cause.squash(exit.cause) as Error).message : "none"
    )

  const number = "a room is a string, not the number 42: use String(42)"

  it.live("is refused wherever rooms are named, with a sentence that says what is one", () =>
    Effect.gen(function* () {
      const { hall, one, plain } = yield* setup()
      const [remote] = yield* hall.to(one.socket.id).fetchSockets
      for (const [rooms, message] of [
        [42, number],
        [["a", 42], number],
        [undefined, "a room is a string, not undefined"],
        [[["a"]], "a room is a string, not object"],
        [new Set(["a"]), "a room is a string, not object"]
      ] as ReadonlyArray<readonly [any, string]>) {
        for (const socket of [one.socket, one.socket.untyped, remote!]) {
          assert.strictEqual(yield* defectOf(() => socket.join(rooms)), message)
          assert.strictEqual(yield* defectOf(() => socket.leave(rooms)), message)
        }
        for (const target of [
          hall,
          plain,
          hall.all,
          one.socket,
          one.socket.untyped,
          hall.to([])
        ] as ReadonlyArray<any>) {
          assert.strictEqual(yield* defectOf(() => target.to(rooms).emit("note", "")), message)
          assert.strictEqual(yield* defectOf(() => target.in(rooms).emit("note", "")), message)
          assert.strictEqual(yield* defectOf(() => target.except(rooms).emit("note", "")), message)
        }
        for (const target of [hall, plain, hall.all, hall.to([])]) {
          assert.strictEqual(yield* defectOf(() => target.socketsJoin(rooms)), message)
          assert.strictEqual(yield* defectOf(() => target.socketsLeave(rooms)), message)
        }
      }
      assert.deepStrictEqual(Array.from(one.socket.rooms), [one.socket.id, "a"])
    })
  )
})

describe("the rooms of a namespace", () => {
  it.live("are those of this server's sockets, with their sizes", () =>
    Effect.gen(function* () {
      const { hall, one, two } = yield* setup()
      const sizes = Effect.map(hall.rooms, (rooms) => Object.fromEntries(rooms))
      const before = yield* hall.rooms
      assert.deepStrictEqual(yield* sizes, { a: 2, b: 1 })
      yield* one.socket.join(["b", one.socket.id])
      yield* two.socket.leave("a")
      assert.deepStrictEqual(yield* sizes, { a: 1, b: 2 })
      assert.strictEqual(yield* hall.to("b").size, 2)
      // A copy: it stays as it was.
      assert.deepStrictEqual(Object.fromEntries(before), { a: 2, b: 1 })
    })
  )

  it.live("are none where nothing serves it", () =>
    Effect.gen(function* () {
      const { server } = yield* serve(Layer.empty)
      const nobody = yield* Effect.provideContext(SocketIoServer.namespace("/nobody"), server)
      assert.strictEqual((yield* nobody.rooms).size, 0)
    })
  )
})
