/**
 * Namespaces in memory, under a clock that nobody moves: whatever users test of theirs, over each transport.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Fiber, Layer, Queue, Schema, Stream } from "effect"
import { Binary, Event, Namespace, NamespaceMiddleware } from "effect-socket.io"
import { SocketIoClient } from "effect-socket.io/client"
import { type ServerSocket, SocketIoServer } from "effect-socket.io/server"
import { TestSocketIo } from "effect-socket.io/testing"

class RoomFull extends Schema.TaggedError<RoomFull>()("RoomFull", { capacity: Schema.Int }) {}

class CurrentUser extends Context.Service<CurrentUser, string>()("testing/CurrentUser") {}
class Authentication extends NamespaceMiddleware.Service<Authentication>()("testing/Authentication", {
  provides: CurrentUser,
  auth: Schema.Struct({ token: Schema.String })
}) {}
const AuthenticationLive = Layer.succeed(Authentication, ({ auth }) =>
  auth.token === "wrong"
    ? Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "not authorized", data: { code: 401 } }))
    : Effect.succeed(auth.token.toUpperCase())
)

class Club extends Namespace.make("/club", {
  clientToServer: [
    Event.make("join", { payload: Schema.String, ack: Schema.Int, error: RoomFull }),
    Event.make("say", { args: [Schema.String, Schema.String] }),
    Event.make("flip", { payload: Binary.Bytes, ack: Binary.Bytes }),
    Event.make("slow", { ack: Schema.String }),
    Event.make("whoami", { ack: Schema.String })
  ],
  serverToClient: [
    Event.make("said", { payload: Schema.String }),
    Event.make("picture", { payload: { of: Schema.String, bytes: Binary.Bytes } }),
    Event.make("confirm", { payload: Schema.String, ack: Schema.Boolean })
  ]
}).middleware(Authentication) {}

const ClubLive = SocketIoServer.layerNamespace(
  Club,
  Effect.fnUntraced(function* (socket) {
    const user = yield* CurrentUser
    return Club.of({
      join: (room) => (room === "full" ? Effect.fail(new RoomFull({ capacity: 1 })) : Effect.as(socket.join(room), 1)),
      say: ([room, text]) => socket.to(room).emit("said", `${user}: ${text}`),
      flip: (bytes) => Effect.succeed(bytes.toReversed()),
      slow: () => Effect.as(Effect.repeat(Effect.yieldNow, { times: 20 }), "done"),
      whoami: () => Effect.succeed(`${user} at ${socket.handshake.address}`)
    })
  })
).pipe(Layer.provide(AuthenticationLive))

class Document extends Namespace.dynamic("/document/:id", {
  params: { id: Schema.FiniteFromString },
  clientToServer: [Event.make("edit", { payload: Schema.String, ack: Schema.Int })],
  serverToClient: [Event.make("edited", { payload: Schema.String })]
}) {}

const DocumentsLive = SocketIoServer.layerDynamicNamespace(Document, ({ params }) => {
  let edits = params.id
  return Effect.succeed((socket) =>
    Effect.succeed(Document.of({ edit: (text) => Effect.as(socket.broadcast.emit("edited", text), ++edits) }))
  )
})

/** Over each transport, and across the upgrade between them. */
const transports: Record<string, TestSocketIo.TestClientOptions> = {
  websocket: {},
  polling: { transports: ["polling"] },
  upgrade: { transports: ["polling", "websocket"] }
}

/** The next value of a stream that was subscribed to. */
const next = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.map(Stream.runCollect(Stream.take(stream, 1)), ([first]) => first!)

for (const [name, client] of Object.entries(transports)) {
  const Test = Layer.mergeAll(ClubLive, DocumentsLive).pipe(Layer.provideMerge(TestSocketIo.layer({ client })))
  const another = (token: string) =>
    Effect.flatMap(TestSocketIo.makeClient(client), ({ connect }) => connect(Club, { auth: { token } }))

  describe(`namespaces in memory, over ${name}`, () => {
    it.effect("acknowledge with values, failures and bytes, at once or when the handler is done, in no time", () =>
      Effect.gen(function* () {
        const socket = yield* SocketIoClient.connect(Club, { auth: { token: "ada" } })
        assert.strictEqual(yield* socket.emitWithAck("whoami"), "ADA at 127.0.0.1")
        assert.strictEqual(yield* socket.emitWithAck("join", "lobby"), 1)
        assert.deepStrictEqual(yield* Effect.flip(socket.emitWithAck("join", "full")), new RoomFull({ capacity: 1 }))
        const flipped = yield* socket.emitWithAck("flip", new Uint8Array([1, 2, 3]))
        assert.deepStrictEqual(Array.from(flipped), [3, 2, 1])
        assert.strictEqual(yield* socket.emitWithAck("slow"), "done")
        assert.strictEqual(yield* Clock.currentTimeMillis, 0)
      }).pipe(Effect.provide(Test))
    )

    it.effect("refuse who is refused by their middleware, with its data", () =>
      Effect.gen(function* () {
        const refused = yield* Effect.flip(SocketIoClient.connect(Club, { auth: { token: "wrong" } }))
        assert.strictEqual(refused.message, "not authorized")
        assert.deepStrictEqual(refused.reason, { _tag: "Refused", data: { code: 401 } })
        const unknown = yield* Effect.flip(SocketIoClient.connect("/nowhere"))
        assert.strictEqual(unknown.message, "Invalid namespace")
        assert.strictEqual(yield* Clock.currentTimeMillis, 0)
      }).pipe(Effect.provide(Test))
    )

    it.effect("broadcast to rooms and to everybody, in order", () =>
      Effect.gen(function* () {
        const [ada, bob, eve] = yield* Effect.forEach(["ada", "bob", "eve"], another)
        const said = yield* Effect.forEach([ada!, bob!, eve!], (socket) => socket.subscribe("said"))
        for (const socket of [ada!, bob!]) yield* socket.emitWithAck("join", "lobby")
        for (const text of ["one", "two"]) yield* ada!.emit("say", ["lobby", text])
        // Acknowledged behind what was said.
        yield* ada!.emitWithAck("whoami")
        const club = yield* SocketIoServer.namespace(Club)
        yield* club.emit("said", "to all")
        const heard = yield* Effect.forEach(said, (stream) =>
          Stream.runCollect(Stream.takeUntil(stream, (text) => text === "to all"))
        )
        assert.deepStrictEqual(heard, [["to all"], ["ADA: one", "ADA: two", "to all"], ["to all"]])
      }).pipe(Effect.provide(Test))
    )

    it.effect("send bytes of which every receiver has its own", () =>
      Effect.gen(function* () {
        const pictures = yield* Effect.forEach(["ada", "bob"], (token) =>
          Effect.flatMap(another(token), (socket) => socket.subscribe("picture"))
        )
        const bytes = new Uint8Array([1, 2, 3])
        yield* (yield* SocketIoServer.namespace(Club)).emit("picture", { of: "cat", bytes })
        const [first, second] = yield* Effect.forEach(pictures, next)
        first!.bytes.fill(0)
        assert.deepStrictEqual([second!.of, ...second!.bytes, ...bytes], ["cat", 1, 2, 3, 1, 2, 3])
      }).pipe(Effect.provide(Test))
    )

    it.effect("are asked by the server, one client or all of them", () =>
      Effect.gen(function* () {
        const club = yield* SocketIoServer.namespace(Club)
        for (const [token, answer] of [
          ["ada", true],
          ["bob", false]
        ] as const) {
          const socket = yield* another(token)
          yield* socket.respond("confirm", () => Effect.succeed(answer))
        }
        const answers = yield* Stream.runCollect(club.emitWithAck("confirm", "sure?"))
        assert.lengthOf(answers, 2)
        assert.strictEqual(yield* Clock.currentTimeMillis, 0)
      }).pipe(Effect.provide(Test))
    )

    it.effect("come and go: dynamic ones, with their parameters", () =>
      Effect.gen(function* () {
        const { connect } = yield* TestSocketIo.makeClient(client)
        const ada = yield* SocketIoClient.connect(Document, { params: { id: 7 } })
        const bob = yield* connect(Document, { params: { id: 7 } })
        const other = yield* connect(Document, { params: { id: 1 } })
        const edited = yield* bob.subscribe("edited")
        assert.strictEqual(yield* ada.emitWithAck("edit", "a"), 8)
        assert.strictEqual(yield* bob.emitWithAck("edit", "b"), 9)
        assert.strictEqual(yield* other.emitWithAck("edit", "c"), 2)
        assert.strictEqual(yield* next(edited), "a")
      }).pipe(Effect.provide(Test))
    )

    it.effect("tell both sides when one of them leaves", () =>
      Effect.gen(function* () {
        const sockets = yield* Queue.unbounded<ServerSocket.ServerSocket<Namespace.Untyped>>()
        const Echo = SocketIoServer.layerNamespace("/echo", (socket) => Effect.asVoid(Queue.offer(sockets, socket)))
        yield* Effect.gen(function* () {
          const socket = yield* SocketIoClient.connect("/echo")
          yield* socket.disconnect()
          assert.strictEqual(yield* (yield* Queue.take(sockets)).disconnected, "client namespace disconnect")
          yield* socket.reconnect()
          const again = yield* Queue.take(sockets)
          const statuses = yield* Effect.forkChild(
            Stream.runCollect(Stream.takeUntil(socket.status, ({ _tag }) => _tag === "Disconnected")),
            { startImmediately: true }
          )
          yield* again.disconnect()
          assert.deepStrictEqual((yield* Fiber.join(statuses)).at(-1), {
            _tag: "Disconnected",
            reason: "io server disconnect",
            willRetry: false
          })
        }).pipe(Effect.provide(Echo))
      }).pipe(Effect.provide(TestSocketIo.layer({ client })))
    )
  })
}
