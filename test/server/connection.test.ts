/**
 * A client's connection, as the application holds it.
 */
import { queryObjects } from "node:v8"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Option, Queue, Schema, Scope, Stream } from "effect"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import { ConnectionView } from "../../src/server/internal/connectionView.ts"
import type { ServerConnection } from "../../src/server/ServerConnection.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { within } from "../support/RawClient.ts"
import { call, connect, next, open, serve } from "../support/serve.ts"

class Chat extends Namespace.make("/chat", {
  clientToServer: [Event.make("who", { ack: Schema.String })],
  serverToClient: [Event.make("notice", { payload: Schema.String })]
}) {}

class Admin extends Namespace.make("/admin", {
  clientToServer: [Event.make("announce", { payload: Schema.String, ack: Schema.Boolean })]
}) {}

const ChatLive = SocketIoServer.layerNamespace(Chat, (socket) =>
  Effect.succeed(Chat.of({ who: () => Effect.succeed(socket.connection.id) }))
)

const AdminLive = SocketIoServer.layerNamespace(
  Admin,
  Effect.fnUntraced(function* (socket) {
    const chat = yield* SocketIoServer.namespace(Chat)
    return Admin.of({
      announce: Effect.fnUntraced(function* (text) {
        const same = yield* chat.socket(socket.connection)
        if (Option.isNone(same)) return false
        yield* same.value.emit("notice", text)
        return true
      })
    })
  })
)

/** The connections that open from now on. */
const opening = Effect.fnUntraced(function* (server: Context.Context<SocketIoServer.SocketIoServer>) {
  const queue = yield* Queue.unbounded<ServerConnection>()
  yield* Effect.forkScoped(
    Stream.runForEach(SocketIoServer.connections(), (connection) => Queue.offer(queue, connection)).pipe(
      Effect.provideContext(server)
    ),
    { startImmediately: true }
  )
  return Queue.take(queue)
})

describe("a connection", () => {
  it.live("is followed from its opening over an upgrade to its end", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(ChatLive)
      const opened = yield* opening(server)
      const names: Array<string> = []
      const upgraded = yield* Deferred.make<void>()
      // From the moment of its opening on: the upgrade comes right after it.
      const following = yield* Effect.forkChild(
        Effect.flatMap(opened, (connection) =>
          Effect.as(
            Stream.runForEach(connection.transportChanges, (name) => {
              names.push(name)
              return name === "websocket" ? Deferred.succeed(upgraded, undefined) : Effect.void
            }),
            connection
          )
        ),
        { startImmediately: true }
      )
      const socket = yield* connect(`${url}/chat`, { transports: ["polling", "websocket"] })
      yield* Deferred.await(upgraded)
      const chat = yield* Effect.provideContext(SocketIoServer.namespace(Chat), server)
      const { connection } = Option.getOrThrow(yield* chat.socket(socket.id!))
      assert.strictEqual(connection.id, socket.io.engine.id)
      assert.strictEqual(yield* call(socket, "who"), connection.id)
      assert.strictEqual(connection.details.address, "127.0.0.1")
      assert.strictEqual(connection.details.query.get("EIO"), "4")
      assert.strictEqual(connection.transport, "websocket")
      const closed = yield* Effect.forkChild(connection.closed, { startImmediately: true })
      assert.isTrue(connection.isOpen)
      socket.disconnect()
      assert.strictEqual(yield* Fiber.join(following), connection)
      assert.deepStrictEqual(names, ["polling", "websocket"])
      assert.include(["transport close", "forced close"], (yield* Fiber.join(closed)).reason)
      assert.isFalse(connection.isOpen)
      assert.deepStrictEqual(yield* connection.sockets, [])
    })
  )

  it.live("leads from one namespace of a client to another", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(Layer.merge(ChatLive, AdminLive))
      const opened = yield* opening(server)
      const other = yield* connect(`${url}/chat`)
      const otherConnection = yield* opened
      const admin = yield* connect(`${url}/admin`)
      const connection = yield* opened
      assert.isFalse(yield* call(admin, "announce", "nobody"))
      const chat = admin.io.socket("/chat")
      yield* Effect.promise(() =>
        within("connection", new Promise<void>((resolve) => chat.once("connect", resolve).connect()))
      )
      const notice = next(chat, "notice")
      other.on("notice", () => assert.fail("another client was told"))
      assert.isTrue(yield* call(admin, "announce", "hello"))
      assert.deepStrictEqual(yield* notice, ["hello"])
      const sockets = yield* connection.sockets
      assert.deepStrictEqual(
        sockets.map(({ id, namespace }) => [namespace, id]),
        [
          ["/admin", admin.id],
          ["/chat", chat.id]
        ]
      )
      // They are the objects that their builders got.
      const handle = yield* Effect.provideContext(SocketIoServer.namespace(Chat), server)
      assert.strictEqual(Option.getOrThrow(yield* handle.socket(chat.id!)), sockets[1])
      assert.strictEqual((yield* otherConnection.sockets)[0]!.id, other.id)
      chat.disconnect()
      yield* sockets[1]!.disconnected
      assert.deepStrictEqual(yield* connection.sockets, [sockets[0]!])
    })
  )

  it.live("closes with all its sockets", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(Layer.merge(ChatLive, AdminLive))
      const opened = yield* opening(server)
      const chat = yield* connect(`${url}/chat`)
      const connection = yield* opened
      const admin = chat.io.socket("/admin")
      yield* Effect.promise(() =>
        within("connection", new Promise<void>((resolve) => admin.once("connect", resolve).connect()))
      )
      const ends = [next(chat, "disconnect"), next(admin, "disconnect")]
      yield* connection.close()
      assert.strictEqual((yield* connection.closed).reason, "forced close")
      assert.deepStrictEqual(
        (yield* Effect.all(ends)).map(([reason]) => reason),
        ["io server disconnect", "io server disconnect"]
      )
      yield* connection.close()
    })
  )

  it.live("has finalizers, which run after those of its sockets, once", () =>
    Effect.gen(function* () {
      class Name extends Context.Service<Name, string>()("test/Name") {}
      const log = yield* Queue.unbounded<string>()
      const live = (name: string) =>
        SocketIoServer.layerNamespace(
          name,
          Effect.fnUntraced(function* (socket) {
            yield* socket.connection.addFinalizer(
              Effect.flatMap(Name, (name) => Queue.offer(log, `connection, of ${name}`))
            )
            yield* Effect.addFinalizer(() =>
              Effect.andThen(Effect.sleep("20 millis"), Queue.offer(log, `socket of ${name}`))
            )
          })
        ).pipe(Layer.provide(Layer.succeed(Name, name)))
      const { server, url } = yield* serve(Layer.merge(live("/a"), live("/b")))
      const opened = yield* opening(server)
      const a = yield* connect(`${url}/a`)
      const connection = yield* opened
      const b = a.io.socket("/b")
      yield* Effect.promise(() =>
        within("connection", new Promise<void>((resolve) => b.once("connect", resolve).connect()))
      )
      // One of two: the connection stays.
      b.disconnect()
      assert.strictEqual(yield* Queue.take(log), "socket of /b")
      a.disconnect()
      const rest = [yield* Queue.take(log), yield* Queue.take(log), yield* Queue.take(log)]
      assert.deepStrictEqual(rest, ["socket of /a", "connection, of /b", "connection, of /a"])
      yield* connection.addFinalizer(Queue.offer(log, "late"))
      yield* Scope.addFinalizer(connection.scope, Queue.offer(log, "later"))
      assert.deepStrictEqual(yield* Queue.clear(log), ["late", "later"])
    })
  )

  it.live("is closed, with its finalizers, before the services of a layer that closes are released", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const Resource = Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => log.push("released"))))
      const live = SocketIoServer.layerNamespace("/", (socket) =>
        socket.connection.addFinalizer(
          Effect.andThen(
            Effect.sleep("30 millis"),
            Effect.sync(() => log.push("finalizer"))
          )
        )
      ).pipe(Layer.provide(Resource))
      const { server, url } = yield* serve(Layer.empty)
      const close = yield* open(server, live)
      yield* connect(url)
      yield* close
      assert.deepStrictEqual(log, ["finalizer", "released"])
    })
  )

  it.live("logs a finalizer that dies", () =>
    Effect.gen(function* () {
      const done = yield* Deferred.make<void>()
      const { logs, url } = yield* serve(
        SocketIoServer.layerNamespace("/", (socket) =>
          Effect.andThen(
            socket.connection.addFinalizer(Deferred.succeed(done, undefined)),
            socket.connection.addFinalizer(Effect.die(new Error("no such file")))
          )
        )
      )
      const socket = yield* connect(url)
      socket.disconnect()
      yield* Deferred.await(done)
      yield* Effect.yieldNow
      assert.include(logs.join("\n"), "finalizer failed")
      assert.include(logs.join("\n"), "no such file")
    })
  )

  it.live("takes no object until it is asked for", () =>
    Effect.gen(function* () {
      const { server, url } = yield* serve(ChatLive)
      const count = () => queryObjects(ConnectionView, { format: "count" }) as unknown as number
      const before = count()
      const sockets = yield* Effect.forEach([1, 2, 3], () => connect(`${url}/chat`))
      assert.strictEqual(count(), before)
      const chat = yield* Effect.provideContext(SocketIoServer.namespace(Chat), server)
      const held = Option.getOrThrow(yield* chat.socket(sockets[0]!.id!)).connection
      assert.strictEqual(count(), before + 1)
      assert.isTrue(held.isOpen)
    })
  )
})

describe("the stream of connections", () => {
  it.live("ends with the server", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const server = yield* Layer.buildWithScope(SocketIoServer.layer(), scope)
      const reading = yield* Effect.forkChild(
        Stream.runCollect(SocketIoServer.connections()).pipe(Effect.provideContext(server)),
        { startImmediately: true }
      )
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      assert.deepStrictEqual(yield* Fiber.join(reading), [])
    })
  )
})
