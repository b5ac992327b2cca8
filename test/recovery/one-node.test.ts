/**
 * Recovery on one node, with official clients.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Queue, Schema, Stream } from "effect"
import type { Socket } from "socket.io-client"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import type { RecoveryOptions } from "../../src/server/RecoveryOptions.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { RawSocket } from "../support/RawClient.ts"
import { connect, serve } from "../support/serve.ts"

const Room = Namespace.untyped("/room")

const transports = ["websocket", "polling"] as const

/** A server with recovery, its namespace, and the sockets that connect. */
const room = Effect.fnUntraced(function* (recovery: boolean | RecoveryOptions = true) {
  const sockets = yield* Queue.unbounded<ServerSocket<Namespace.Untyped>>()
  const live = SocketIoServer.layerNamespace(Room, (socket) => Effect.asVoid(Queue.offer(sockets, socket)))
  const { server, url } = yield* serve(live, { recovery })
  const namespace = yield* Effect.provideContext(SocketIoServer.namespace(Room), server)
  return { url: `${url}/room`, namespace, next: Queue.take(sockets), server }
})

/** An official client that comes back at once, with all that it hears. */
const listener = Effect.fnUntraced(function* (url: string, options: object = {}) {
  const heard: Array<ReadonlyArray<unknown>> = []
  const socket = yield* connect(url, { reconnection: true, reconnectionDelay: 1, ...options }, (socket) => {
    socket.onAny((...args: ReadonlyArray<unknown>) => heard.push(args))
  })
  /** The names of the events, in their order. */
  const names = () => heard.map(([name]) => name)
  return { socket, heard, names }
})

/** Cuts the connection; the client stays away until `back`. */
const cut = (socket: Socket): Effect.Effect<void> =>
  Effect.promise(
    () =>
      new Promise<void>((resolve) => {
        socket.io.reconnection(false)
        socket.once("disconnect", () => resolve())
        socket.io.engine.close()
      })
  )

const back = (socket: Socket): Effect.Effect<void> =>
  Effect.promise(
    () =>
      new Promise<void>((resolve, reject) => {
        socket.once("connect", () => resolve())
        socket.once("connect_error", reject)
        socket.connect()
      })
  )

describe("recovery on one node", () => {
  for (const transport of transports) {
    const options = { transports: [transport] }

    it.live(`gives back the id, the rooms, the data and the missed events, over ${transport}`, () =>
      Effect.gen(function* () {
        const { namespace, next, url } = yield* room()
        const { heard, names, socket } = yield* listener(url, options)
        const first = yield* next
        assert.isFalse(first.recovered)
        yield* first.join("red")
        yield* first.setData({ name: "Ann" })
        yield* namespace.to("red").emit("one", 1)
        yield* first.emit("two", { b: 2 })
        yield* waitFor(() => names().length === 2)
        const { id } = socket
        yield* cut(socket)
        yield* first.disconnected
        yield* namespace.to("red").emit("three")
        yield* namespace.to("blue").emit("not for it")
        yield* namespace.except("red").emit("not for it")
        yield* namespace.to(id!).emit("four")
        yield* namespace.all.volatile.emit("volatile")
        yield* namespace.emit("five", "text")
        yield* back(socket)
        const second = yield* next
        assert.strictEqual(socket.recovered, true)
        assert.strictEqual(socket.id, id)
        assert.isTrue(second.recovered)
        assert.deepStrictEqual(Array.from(second.rooms).toSorted(), [id!, "red"].toSorted())
        assert.deepStrictEqual(second.data, { name: "Ann" })
        assert.strictEqual(Option.getOrThrow(second.recovery).missed, 3)
        yield* second.emit("six")
        yield* waitFor(() => names().includes("six"))
        assert.deepStrictEqual(names(), ["one", "two", "three", "four", "five", "six"])
        assert.deepStrictEqual(heard[4]!.slice(0, 2), ["five", "text"])
      })
    )

    it.live(`recovers before the first event, again and again, over ${transport}`, () =>
      Effect.gen(function* () {
        const { namespace, next, url } = yield* room()
        const { names, socket } = yield* listener(url, options)
        const { id } = socket
        const expected: Array<string> = []
        for (let i = 0; i < 20; i++) {
          const current = yield* next
          assert.strictEqual(current.recovered, i > 0)
          if (i % 3 === 1) {
            yield* namespace.emit(`live ${i}`)
            expected.push(`live ${i}`)
          }
          yield* cut(socket)
          yield* current.disconnected
          if (i % 2 === 1) {
            yield* namespace.emit(`missed ${i}`)
            expected.push(`missed ${i}`)
          }
          yield* back(socket)
          assert.strictEqual(socket.recovered, true, `cut ${i}`)
          assert.strictEqual(socket.id, id)
        }
        yield* namespace.emit("end")
        yield* waitFor(() => names().includes("end"))
        assert.deepStrictEqual(names(), [...expected, "end"])
      })
    )
  }

  it.live("recovers what was sent before the server noticed the end of the connection", () =>
    Effect.gen(function* () {
      const { namespace, next, url } = yield* room()
      const { names, socket } = yield* listener(url, { transports: ["websocket"] })
      const first = yield* next
      yield* first.emit("one")
      yield* waitFor(() => names().length === 1)
      // Its network is gone, and nobody knows.
      const { id } = socket
      const raw = (socket.io.engine.transport as any).ws
      raw._socket.pause()
      raw.removeAllListeners("message")
      yield* first.emit("two")
      yield* namespace.emit("three")
      yield* cutSilently(socket)
      yield* Effect.addFinalizer(() => Effect.sync(() => raw.terminate()))
      yield* back(socket)
      assert.strictEqual(yield* first.disconnected, "session resumed")
      assert.strictEqual(socket.recovered, true)
      assert.strictEqual(socket.id, id)
      const second = yield* next
      yield* second.emit("four")
      yield* waitFor(() => names().includes("four"))
      assert.deepStrictEqual(names(), ["one", "two", "three", "four"])
    })
  )

  it.live("changes rooms, and disconnects, while a client is away", () =>
    Effect.gen(function* () {
      const { namespace, next, url } = yield* room()
      const one = yield* listener(url)
      const first = yield* next
      yield* first.join(["red", "green"])
      yield* cut(one.socket)
      yield* first.disconnected
      yield* namespace.to("red").emit("1")
      yield* namespace.to("red").socketsLeave("red")
      yield* namespace.to("red").emit("2")
      yield* namespace.to("blue").emit("3")
      yield* namespace.to(first.id).socketsJoin("blue")
      yield* namespace.to("blue").emit("4")
      yield* namespace.except("blue").emit("5")
      yield* back(one.socket)
      const second = yield* next
      assert.isTrue(second.recovered)
      assert.deepStrictEqual(Array.from(second.rooms).toSorted(), [first.id, "blue", "green"].toSorted())
      yield* second.emit("end")
      yield* waitFor(() => one.names().includes("end"))
      assert.deepStrictEqual(one.names(), ["1", "4", "end"])
      const ends = yield* endsOf(namespace)
      yield* cut(one.socket)
      yield* second.disconnected
      yield* namespace.to("green").disconnectSockets()
      assert.deepStrictEqual(yield* Queue.take(ends), { sid: first.id, reason: "kicked" })
      yield* namespace.emit("lost")
      yield* back(one.socket)
      const third = yield* next
      assert.isFalse(one.socket.recovered)
      assert.isFalse(third.recovered)
      assert.notStrictEqual(third.id, first.id)
    })
  )

  it.live("sends nothing to a client that middleware refuses", () =>
    Effect.gen(function* () {
      let banned = false
      class Bans extends NamespaceMiddleware.Service<Bans>()("test/Bans") {}
      const Guarded = Namespace.untyped("/guarded").middleware(Bans)
      const sockets = yield* Queue.unbounded<ServerSocket<any>>()
      const live = SocketIoServer.layerNamespace(Guarded, (socket) => Effect.asVoid(Queue.offer(sockets, socket))).pipe(
        Layer.provide(
          Layer.succeed(Bans, () =>
            Effect.suspend(() =>
              banned ? Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "banned" })) : Effect.void
            )
          )
        )
      )
      const { server, url } = yield* serve(live, { recovery: true })
      const namespace = yield* Effect.provideContext(SocketIoServer.namespace(Guarded), server)
      const ends = yield* endsOf(namespace)
      const { names, socket } = yield* listener(`${url}/guarded`)
      const first = yield* Queue.take(sockets)
      yield* cut(socket)
      yield* first.disconnected
      yield* namespace.emit("secret")
      banned = true
      const error = yield* Effect.flip(Effect.tryPromise(() => Effect.runPromise(back(socket))))
      assert.include(String(error.cause), "banned")
      assert.deepStrictEqual(names(), [])
      assert.deepStrictEqual(yield* Queue.take(ends), { sid: first.id, reason: "refused" })
    })
  )

  it.live("has one owner of a session, though two ask for it", () =>
    Effect.gen(function* () {
      const { namespace, next, url } = yield* room()
      const origin = url.slice(0, -"/room".length)
      const one = yield* raw(origin)
      one.send("40/room,")
      const { pid, sid } = JSON.parse((yield* one.next).slice("40/room,".length))
      const first = yield* next
      const two = yield* raw(origin)
      two.send(`40/room,${JSON.stringify({ pid })}`)
      assert.deepStrictEqual(JSON.parse((yield* two.next).slice("40/room,".length)), { pid, sid })
      assert.strictEqual(yield* first.disconnected, "session resumed")
      yield* next
      yield* namespace.emit("hello")
      assert.match(yield* two.next, /^42\/room,\["hello","/)
    })
  )

  it.live("does not guess what a client has received that names no offset of its own", () =>
    Effect.gen(function* () {
      const { namespace, next, url } = yield* room()
      const origin = url.slice(0, -"/room".length)
      const resume = Effect.fnUntraced(function* (auth: object) {
        const client = yield* raw(origin)
        client.send(`40/room,${JSON.stringify(auth)}`)
        const reply = replyOf(yield* client.next)
        const socket = yield* next
        const missed = Option.match(socket.recovery, { onNone: () => 0, onSome: ({ missed }) => missed })
        return { client, socket, missed, recovered: socket.recovered, ...reply }
      })
      // Sent while it had a connection: it may have received it.
      let last = yield* resume({})
      yield* namespace.emit("one")
      last = yield* resume({ pid: last.pid, offset: "hello" })
      assert.isFalse(last.recovered)
      // It had that before, and has not forgotten it.
      yield* namespace.emit("two")
      last = yield* resume({ pid: last.pid, offset: "hello" })
      assert.isTrue(last.recovered)
      assert.strictEqual(last.missed, 1)
      // The offset of another process.
      last = yield* resume({ pid: "another", offset: "abcdef.5" })
      assert.isFalse(last.recovered)
      yield* namespace.emit("three")
      last = yield* resume({ pid: last.pid, offset: "abcdef.5" })
      assert.isTrue(last.recovered)
      assert.strictEqual(last.missed, 1)
    })
  )

  it.live("tells of the sessions that end", () =>
    Effect.gen(function* () {
      const { namespace, next, url } = yield* room({ maxSessions: 1, maxDisconnection: "50 millis" })
      const ends = yield* endsOf(namespace)
      const one = yield* listener(url)
      const first = yield* next
      const two = yield* listener(url)
      const second = yield* next
      const three = yield* listener(url)
      const third = yield* next
      three.socket.disconnect()
      assert.deepStrictEqual(yield* Queue.take(ends), { sid: third.id, reason: "left" })
      yield* cut(one.socket)
      yield* first.disconnected
      yield* cut(two.socket)
      yield* second.disconnected
      assert.deepStrictEqual(yield* Queue.take(ends), { sid: first.id, reason: "overflow" })
      assert.deepStrictEqual(yield* Queue.take(ends), { sid: second.id, reason: "expired" })
      yield* back(two.socket)
      assert.isFalse(two.socket.recovered)
    })
  )

  it.live("does not recover a client that has missed too much", () =>
    Effect.gen(function* () {
      const { namespace, next, url } = yield* room({ maxReplay: 3 })
      const { names, socket } = yield* listener(url)
      const first = yield* next
      for (const [count, recovered] of [
        [3, true],
        [4, false]
      ] as const) {
        const current = count === 3 ? first : yield* next
        yield* cut(socket)
        yield* current.disconnected
        for (let i = 0; i < count; i++) yield* namespace.emit(`${count}.${i}`)
        yield* back(socket)
        assert.strictEqual(socket.recovered, recovered)
      }
      yield* next
      yield* namespace.emit("end")
      yield* waitFor(() => names().includes("end"))
      assert.deepStrictEqual(names(), ["3.0", "3.1", "3.2", "end"])
    })
  )

  it.live("does not keep events of which the contract says so", () =>
    Effect.gen(function* () {
      class Typed extends Namespace.make("/typed", {
        serverToClient: [
          Event.make("cursor", { args: [Schema.Int, Schema.String], recover: false }),
          Event.make("message", { payload: Schema.UndefinedOr(Schema.String) })
        ]
      }) {}
      const sockets = yield* Queue.unbounded<ServerSocket<typeof Typed>>()
      const live = SocketIoServer.layerNamespace(Typed, (socket) => Effect.as(Queue.offer(sockets, socket), {}))
      const { server, url } = yield* serve(live, { recovery: true })
      const namespace = yield* Effect.provideContext(SocketIoServer.namespace(Typed), server)
      const { heard, socket } = yield* listener(`${url}/typed`)
      const first = yield* Queue.take(sockets)
      // It ends in a text, which the client would take for an offset.
      yield* namespace.emit("cursor", [1, "poison"])
      yield* first.emit("message", undefined)
      yield* waitFor(() => heard.length === 2)
      assert.strictEqual(heard[1]!.length, 3)
      yield* cut(socket)
      yield* first.disconnected
      yield* namespace.emit("cursor", [2, "poison"])
      yield* namespace.emit("message", "hello")
      yield* back(socket)
      assert.isTrue(socket.recovered)
      yield* waitFor(() => heard.length === 3)
      assert.deepStrictEqual(
        heard.map((args) => args.slice(0, -1)),
        [
          ["cursor", 1, "poison"],
          ["message", null],
          ["message", "hello"]
        ]
      )
    })
  )

  it.live("adds nothing for clients unless it is on", () =>
    Effect.gen(function* () {
      const { next, url } = yield* room(false)
      const origin = url.slice(0, -"/room".length)
      const one = yield* raw(origin)
      one.send("40/room,")
      assert.deepStrictEqual(Object.keys(JSON.parse((yield* one.next).slice("40/room,".length))), ["sid"])
      const socket = yield* next
      yield* socket.emit("hello", "world")
      assert.strictEqual(yield* one.next, `42/room,["hello","world"]`)
    })
  )
})

/** A WebSocket client without a library, whose session is open. */
const raw = Effect.fnUntraced(function* (origin: string) {
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => new RawSocket(origin, { EIO: "4", transport: "websocket" })),
    (socket) => Effect.sync(() => socket.terminate())
  )
  const next = Effect.promise(async () => String(await socket.next()))
  yield* next
  return { send: (packet: string) => socket.send(packet), close: () => socket.close(), next }
})

const replyOf = (packet: string): { readonly sid: string; readonly pid: string } =>
  JSON.parse(packet.slice(packet.indexOf("{")))

/** The client gives its connection up without telling the server. */
const cutSilently = (socket: Socket): Effect.Effect<void> =>
  Effect.promise(
    () =>
      new Promise<void>((resolve) => {
        socket.io.reconnection(false)
        socket.once("disconnect", () => resolve())
        ;(socket.io.engine as any)._onClose("transport close")
      })
  )

const endsOf = Effect.fnUntraced(function* (namespace: {
  readonly sessionEnds: () => Stream.Stream<{ readonly sid: string; readonly reason: string }, unknown>
}) {
  const ends = yield* Queue.unbounded<{ readonly sid: string; readonly reason: string }>()
  yield* Effect.forkScoped(
    Stream.runForEach(namespace.sessionEnds(), (end) => Queue.offer(ends, end)),
    { startImmediately: true }
  )
  return ends
})

const waitFor = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.andThen(Effect.sleep("2 millis"), waitFor(condition))))
