/**
 * The rooms of a socket: a view of them that costs the same however many they are, and how many a client may make the server hold.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Queue, Schema } from "effect"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { call, connect, serve } from "../support/serve.ts"
import { Cluster } from "../support/linkedAdapter.ts"
import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"

class Typed extends Namespace.make("/typed", {
  clientToServer: [Event.make("join", { payload: Schema.String, ack: Schema.Int, error: Schema.String })]
}) {}

/** Two namespaces, each with a handler that joins any room, and the sockets of the one without a contract. */
const open = Effect.fnUntraced(function* (options: NodeOptions = {}) {
  const sockets = yield* Queue.unbounded<ServerSocket<Namespace.Untyped>>()
  const { logs, server, url } = yield* serve(
    Layer.merge(
      SocketIoServer.layerNamespace("/", (socket) => Effect.asVoid(Queue.offer(sockets, socket))),
      SocketIoServer.layerNamespace(Typed, (socket) =>
        Effect.succeed(Typed.of({ join: (room) => Effect.map(socket.join(room), () => socket.rooms.size - 1) }))
      )
    ),
    options
  )
  const handle = yield* Effect.provideContext(SocketIoServer.namespace("/"), server)
  const enter = Effect.fnUntraced(function* (path = "") {
    const client = yield* connect(url + path)
    return path === "" ? { client, socket: yield* Queue.take(sockets) } : { client, socket: undefined as never }
  })
  return { url, logs, handle, enter, server, sockets }
})

describe("the rooms of a socket", () => {
  it.live("are a live view that nobody can change, and what they were once it has disconnected", () =>
    Effect.gen(function* () {
      const { enter } = yield* open()
      const { client, socket } = yield* enter()
      const { rooms } = socket
      const own = socket.id
      assert.deepStrictEqual(Array.from(rooms), [own])
      yield* socket.join(["a", "b"])
      assert.strictEqual(socket.rooms, rooms)
      assert.deepStrictEqual([rooms.size, rooms.has("a"), rooms.has(own), rooms.has("c")], [3, true, true, false])
      assert.deepStrictEqual(Array.from(rooms.values()), [own, "a", "b"])
      assert.deepStrictEqual(Array.from(rooms.keys()), [own, "a", "b"])
      assert.deepStrictEqual(Array.from(rooms.entries()), [
        [own, own],
        ["a", "a"],
        ["b", "b"]
      ])
      const told: Array<unknown> = []
      rooms.forEach((room, same, all) => told.push([room === same, all === rooms]))
      assert.deepStrictEqual(
        told,
        Array.from({ length: 3 }, () => [true, true])
      )
      assert.isFalse("add" in rooms)
      assert.strictEqual(JSON.stringify(rooms), JSON.stringify([own, "a", "b"]))
      yield* socket.leave("a")
      assert.deepStrictEqual(Array.from(rooms), [own, "b"])
      client.disconnect()
      yield* socket.disconnected
      yield* Effect.yieldNow
      assert.deepStrictEqual([Array.from(rooms), rooms.has("b")], [[own, "b"], true])
    })
  )

  it.live("have what sets have, where the runtime's sets have it", () =>
    Effect.gen(function* () {
      const { enter } = yield* open()
      const { socket } = yield* enter()
      yield* socket.join(["a", "b"])
      const rooms = socket.rooms as Set<string>
      for (const name of ["union", "intersection", "difference", "symmetricDifference"]) {
        if (!(name in Set.prototype)) continue
        const method = (set: any): Set<string> => set[name](new Set(["a", "z"]))
        assert.deepStrictEqual(method(rooms), method(new Set(rooms)))
      }
    })
  )

  it.live("are fetched as they are at that moment", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* open()
      const { socket } = yield* enter()
      yield* socket.join("a")
      const [fetched] = yield* handle.fetchSockets
      yield* socket.join("b")
      assert.deepStrictEqual(fetched!.rooms, new Set([socket.id, "a"]))
    })
  )
})

describe("the size of a selection", () => {
  it.live("is the number of sockets that it names, each once", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* open()
      const [ada, bob, cy] = [yield* enter(), yield* enter(), yield* enter()]
      yield* ada.socket.join(["a", "b"])
      yield* bob.socket.join("a")
      const sizes = Effect.all([
        handle.all.size,
        handle.to("a").size,
        handle.to(["a", "b"]).size,
        handle.to("a").except("b").size,
        handle.to(cy.socket.id).size,
        handle.to("nowhere").size,
        ada.socket.to("a").size
      ])
      assert.deepStrictEqual(yield* sizes, [3, 2, 2, 1, 1, 0, 1])
      // A room that is called like an id holds that socket, too.
      yield* ada.socket.join(cy.socket.id)
      assert.strictEqual(yield* handle.to(cy.socket.id).size, 2)
      yield* cy.socket.join(cy.socket.id)
      assert.strictEqual(yield* handle.to(cy.socket.id).size, 2)
      bob.client.disconnect()
      yield* bob.socket.disconnected
      yield* Effect.yieldNow
      assert.deepStrictEqual(yield* Effect.all([handle.all.size, handle.to("a").size]), [2, 1])
    })
  )

  it.live("is that of all servers of a cluster, or with `local` of one", () =>
    Effect.gen(function* () {
      const cluster = new Cluster()
      const here = yield* Effect.provideService(open(), AdapterFactory, cluster.factory)
      const there = yield* Effect.provideService(open(), AdapterFactory, cluster.factory)
      for (const { enter } of [here, there, there]) {
        const { socket } = yield* enter()
        yield* socket.join("a")
      }
      assert.strictEqual(yield* here.handle.to("a").size, 3)
      assert.strictEqual(yield* here.handle.to("a").local.size, 1)
      assert.strictEqual(yield* there.handle.all.local.size, 2)
    })
  )
})

describe("maxRooms", () => {
  it.live("bounds the rooms of a connection, over all of its sockets; what is beyond harms its own event", () =>
    Effect.gen(function* () {
      const { enter, logs, sockets } = yield* open({ limits: { maxRooms: 5 } })
      const { client } = yield* enter("/typed")
      const join = (room: string) => call(client, "join", room)
      for (let i = 1; i <= 3; i++) assert.deepStrictEqual(yield* join(`r${i}`), { _tag: "Success", value: i })
      // The same connection, as the client has one for each server.
      const main = client.io.socket("/")
      main.connect()
      const socket = yield* Queue.take(sockets)
      yield* socket.join(["x", "y"])
      assert.deepStrictEqual(yield* join("r4"), { _tag: "Failure", error: { _tag: "InternalError" } })
      assert.deepStrictEqual(yield* join("r1"), { _tag: "Success", value: 3 })
      yield* socket.leave("x")
      assert.deepStrictEqual(yield* join("r4"), { _tag: "Success", value: 4 })
      assert.isTrue(client.connected)
      assert.lengthOf(
        logs.filter((line) => line.includes("maxRooms")),
        1
      )
    })
  )

  it.live("counts long names for more, and gives back what was left", () =>
    Effect.gen(function* () {
      const { enter } = yield* open({ limits: { maxRooms: 10 } })
      const { socket } = yield* enter()
      const long = "x".repeat(5 * 256)
      yield* socket.join(long)
      const tooMany = yield* Effect.exit(socket.join(["a", "b", "c", "d", "e"]))
      assert.strictEqual(tooMany._tag, "Failure")
      // All of them, or none.
      assert.strictEqual(socket.rooms.size, 2)
      yield* socket.join(["a", "b", "c", "d"])
      yield* socket.leave(long)
      yield* socket.join(["e", "f", "g", "h", "i", "j"])
      assert.strictEqual(socket.rooms.size, 11)
      // It is in all of these.
      yield* socket.join(["a", "b", socket.id])
    })
  )

  it.live("leaves out of socketsJoin whoever is in as many as it may be", () =>
    Effect.gen(function* () {
      const { enter, handle } = yield* open({ limits: { maxRooms: 2 } })
      const [ada, bob] = [yield* enter(), yield* enter()]
      yield* ada.socket.join(["a", "b"])
      yield* handle.all.socketsJoin("c")
      assert.deepStrictEqual([ada.socket.rooms.has("c"), bob.socket.rooms.has("c")], [false, true])
    })
  )

  it.live("is given back by sockets that leave their namespace", () =>
    Effect.gen(function* () {
      const { enter } = yield* open({ limits: { maxRooms: 2 } })
      const { client } = yield* enter("/typed")
      for (let i = 0; i < 3; i++) {
        assert.deepStrictEqual(yield* call(client, "join", "a"), { _tag: "Success", value: 1 })
        assert.deepStrictEqual(yield* call(client, "join", "b"), { _tag: "Success", value: 2 })
        client.disconnect()
        client.connect()
        yield* Effect.promise(() => new Promise<void>((resolve) => client.once("connect", resolve)))
      }
    })
  )
})
