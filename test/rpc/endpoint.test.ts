/**
 * Calls beside events: one socket, one authentication, the same rooms.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Logger, Option, References, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Rpc, RpcClient, RpcGroup, RpcServer, RpcTest } from "effect/rpc"

import type { ClientSocket } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as SocketIoRpc from "../../src/rpc/SocketIoRpc.ts"
import * as SocketIoRpcClient from "../../src/rpc/SocketIoRpcClient.ts"
import * as SocketIoRpcServer from "../../src/rpc/SocketIoRpcServer.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

class CurrentUser extends Context.Service<CurrentUser, { readonly name: string }>()("rpc/CurrentUser") {}

class Auth extends NamespaceMiddleware.Service<Auth>()("rpc/Auth", {
  provides: CurrentUser,
  auth: Schema.Struct({ token: Schema.String })
}) {}

const AuthLive = Layer.succeed(Auth, ({ auth }) =>
  auth.token.startsWith("secret of ")
    ? Effect.succeed({ name: auth.token.slice("secret of ".length) })
    : Effect.fail(new NamespaceMiddleware.ConnectRefused({ message: "no" }))
)

class Chat extends Namespace.make("/chat", {
  clientToServer: [Event.make("hello", { ack: Schema.String })],
  serverToClient: [Event.make("news", { payload: Schema.String })]
}).middleware(Auth) {}

class FromAuth extends SocketIoRpc.middlewareFrom(Auth) {}

class Place extends Context.Service<Place, string>()("rpc/Place") {}

class Rpcs extends RpcGroup.make(
  Rpc.make("WhoAmI", { success: Schema.String }),
  Rpc.make("Enter", { payload: { room: Schema.String } }),
  Rpc.make("Where", { success: Schema.String }),
  Rpc.make("Wait"),
  Rpc.make("Span", { success: Schema.Option(Schema.String) })
).middleware(FromAuth) {}

const seen = { interrupted: 0 }

const RpcsLive = Rpcs.toLayer({
  WhoAmI: () => Effect.map(CurrentUser, ({ name }) => name),
  Enter: ({ room }) => Effect.flatMap(SocketIoRpc.CurrentSocket, (socket) => socket.join(room)),
  Where: () => Effect.map(Place, (place) => place),
  Wait: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => seen.interrupted++)),
  Span: () => Effect.map(Effect.option(Effect.currentSpan), (span) => Option.map(span, ({ traceId }) => traceId))
}).pipe(Layer.provide(Layer.succeed(Place, "at the calls")))

const rpcServer = RpcServer.layer(Rpcs, { disableFatalDefects: true }).pipe(
  Layer.provide(RpcsLive),
  Layer.provide(SocketIoRpcServer.layerMiddlewareFrom(FromAuth))
)

const ChatLive = SocketIoServer.layerNamespace(
  Chat,
  Effect.fnUntraced(function* (socket) {
    // Another place than that of the handlers of calls.
    yield* Place
    const { attach } = yield* SocketIoRpcServer.Endpoint
    yield* attach(socket)
    return Chat.of({ hello: () => Effect.map(CurrentUser, ({ name }) => `hello ${name}`) })
  })
).pipe(Layer.provide(AuthLive), Layer.provide(Layer.succeed(Place, "at the events")))

const Test = Layer.merge(ChatLive, rpcServer).pipe(
  Layer.provide(SocketIoRpcServer.layerEndpoint()),
  Layer.provideMerge(TestSocketIo.layer())
)

const clientOf = (socket: ClientSocket<any>, options?: SocketIoRpcClient.ProtocolOptions) =>
  Effect.flatMap(SocketIoRpcClient.protocolOf(socket, options), (protocol) =>
    RpcClient.make(Rpcs).pipe(Effect.provideService(RpcClient.Protocol, protocol))
  )

const ada = { auth: { token: "secret of Ada" } }

describe("an endpoint", () => {
  const it_ = (what: string, test: Effect.Effect<unknown, any, Layer.Success<typeof Test> | Scope.Scope>) =>
    it.effect(what, () => test.pipe(Effect.scoped, Effect.provide(Test)) as Effect.Effect<void>)

  it_(
    "lets the client of a contract call and send events over one socket, with one authentication",
    Effect.gen(function* () {
      const chat = yield* SocketIoClient.connect(Chat, ada)
      const rpcs = yield* clientOf(chat)
      assert.strictEqual(yield* chat.emitWithAck("hello"), "hello Ada")
      assert.strictEqual(yield* rpcs.WhoAmI(), "Ada")
      const server = yield* SocketIoServer.SocketIoServer
      assert.strictEqual(yield* server.connectionCount, 1)
      const { sockets } = yield* SocketIoServer.namespace(Chat)
      assert.lengthOf(yield* sockets, 1)
    })
  )

  it_(
    "lets calls join rooms, whose broadcasts come as events",
    Effect.gen(function* () {
      const chat = yield* SocketIoClient.connect(Chat, ada)
      const rpcs = yield* clientOf(chat)
      const news = yield* chat.subscribe("news")
      yield* rpcs.Enter({ room: "lobby" })
      const handle = yield* SocketIoServer.namespace(Chat)
      yield* handle.to("elsewhere").emit("news", "not this")
      yield* handle.to("lobby").emit("news", "this")
      assert.deepStrictEqual(yield* Stream.runHead(news), Option.some("this"))
    })
  )

  it_(
    "gives handlers the services of their own layer, not those of the namespace's",
    Effect.gen(function* () {
      const rpcs = yield* clientOf(yield* SocketIoClient.connect(Chat, ada))
      assert.strictEqual(yield* rpcs.Where(), "at the calls")
    })
  )

  it_(
    "tells users apart",
    Effect.gen(function* () {
      const other = yield* TestSocketIo.makeClient()
      const rpcs = yield* clientOf(yield* SocketIoClient.connect(Chat, ada))
      const others = yield* clientOf(yield* other.connect(Chat, { auth: { token: "secret of Grace" } }))
      assert.deepStrictEqual(
        yield* Effect.all([rpcs.WhoAmI(), others.WhoAmI(), rpcs.WhoAmI()], { concurrency: "unbounded" }),
        ["Ada", "Grace", "Ada"]
      )
    })
  )

  it_(
    "interrupts the handlers of a client that disconnects, which sees its calls fail",
    Effect.gen(function* () {
      seen.interrupted = 0
      const chat = yield* SocketIoClient.connect(Chat, ada)
      const rpcs = yield* clientOf(chat)
      const waiting = yield* Effect.forkChild(Effect.flip(rpcs.Wait()), { startImmediately: true })
      yield* rpcs.WhoAmI()
      yield* chat.disconnect()
      const error = yield* Fiber.join(waiting)
      assert.strictEqual(error._tag, "RpcClientError")
      assert.strictEqual(error.reason.message, "io client disconnect")
      while (seen.interrupted === 0) yield* Effect.yieldNow
      // It does not connect again by itself.
      assert.strictEqual((yield* Effect.flip(rpcs.WhoAmI()))._tag, "RpcClientError")
      yield* chat.reconnect()
      assert.strictEqual(yield* rpcs.WhoAmI(), "Ada")
    })
  )

  it_(
    "passes the client's span on",
    Effect.gen(function* () {
      const rpcs = yield* clientOf(yield* SocketIoClient.connect(Chat, ada))
      const [own, seen] = yield* Effect.flatMap(Effect.currentSpan, ({ traceId }) =>
        Effect.map(rpcs.Span(), (seen) => [traceId, Option.getOrUndefined(seen)])
      ).pipe(Effect.withSpan("call"))
      assert.strictEqual(seen, own)
    })
  )

  it_(
    "leaves the contract's events alone",
    Effect.gen(function* () {
      const chat = yield* SocketIoClient.connect(Chat, ada)
      const rpcs = yield* clientOf(chat)
      const handle = yield* SocketIoServer.namespace(Chat)
      yield* rpcs.Enter({ room: "lobby" })
      // More frames than early events may wait.
      yield* Effect.repeat(rpcs.WhoAmI(), { times: 300 })
      yield* handle.emit("news", "early")
      yield* Effect.repeat(Effect.yieldNow, { times: 50 })
      assert.deepStrictEqual(yield* Stream.runHead(chat.stream("news")), Option.some("early"))
      assert.isTrue(Exit.hasDies(yield* Effect.exit((chat as ClientSocket<any>).emit("rpc", {}))))
    })
  )
})

describe("a namespace with a middleware", () => {
  const Own = rpcServer.pipe(
    Layer.provide(SocketIoRpcServer.layerProtocol(Namespace.untyped("/rpc").middleware(Auth))),
    Layer.provide(AuthLive),
    Layer.provideMerge(TestSocketIo.layer())
  )

  it.effect("admits the clients that may call", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Layer.build(SocketIoRpcClient.layerProtocol("/rpc", { auth: { token: "wrong" } }))
      )
      assert.strictEqual(error._tag, "ConnectError")
      assert.strictEqual(error.message, "no")
      const other = yield* TestSocketIo.makeClient()
      const protocol = SocketIoRpcClient.layerProtocol("/rpc", ada).pipe(
        Layer.provide(Layer.succeed(SocketIoClient.SocketIoClient, other))
      )
      const rpcs = yield* RpcClient.make(Rpcs).pipe(Effect.provide(yield* Layer.build(protocol)))
      assert.strictEqual(yield* rpcs.WhoAmI(), "Ada")
    }).pipe(Effect.scoped, Effect.provide(Own))
  )
})

describe("mistakes of an application", () => {
  it.effect("a call dies if the namespace does not have the middleware", () =>
    Effect.gen(function* () {
      const protocol = yield* Layer.build(SocketIoRpcClient.layerProtocol("/open"))
      const rpcs = yield* RpcClient.make(Rpcs).pipe(Effect.provide(protocol))
      const cause = yield* Effect.flip(Effect.sandbox(rpcs.WhoAmI()))
      assert.include(String(Cause.squash(cause)), 'the namespace "/open" does not have the middleware')
    }).pipe(
      Effect.scoped,
      Effect.provide(
        rpcServer.pipe(
          Layer.provide(SocketIoRpcServer.layerProtocol("/open")),
          Layer.provideMerge(TestSocketIo.layer())
        )
      )
    )
  )

  it.effect("a call dies over another protocol than Socket.IO", () =>
    Effect.gen(function* () {
      const rpcs = yield* RpcTest.makeClient(Rpcs)
      const cause = yield* Effect.flip(Effect.sandbox(rpcs.WhoAmI()))
      assert.include(String(Cause.squash(cause)), "needs a call over Socket.IO")
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(RpcsLive, SocketIoRpcServer.layerMiddlewareFrom(FromAuth))))
  )

  it.effect("a call fails once the protocol's scope is closed", () =>
    Effect.gen(function* () {
      const chat = yield* SocketIoClient.connect(Chat, ada)
      const rpcs = yield* Effect.scoped(SocketIoRpcClient.protocolOf(chat)).pipe(
        Effect.flatMap((protocol) => RpcClient.make(Rpcs).pipe(Effect.provideService(RpcClient.Protocol, protocol)))
      )
      const error = yield* Effect.flip(rpcs.WhoAmI())
      assert.strictEqual(error.reason.message, "the scope of the protocol is closed")
    }).pipe(Effect.scoped, Effect.provide(Test))
  )

  it.effect("a client's socket has one protocol for each event", () =>
    Effect.gen(function* () {
      const chat = yield* SocketIoClient.connect(Chat, ada)
      const shared = yield* SocketIoClient.connect(Chat, ada)
      const first = yield* Scope.make()
      const rpcs = yield* clientOf(chat).pipe(Scope.provide(first))
      const defect = yield* Effect.flip(Effect.sandbox(SocketIoRpcClient.protocolOf(shared)))
      assert.include(String(Cause.squash(defect)), '"rpc" of "/chat" has a protocol already')
      yield* SocketIoRpcClient.protocolOf(shared, { event: "other" })
      assert.strictEqual(yield* rpcs.WhoAmI(), "Ada")
      yield* Scope.close(first, Exit.void)
      const again = yield* clientOf(shared)
      assert.strictEqual(yield* again.WhoAmI(), "Ada")
    }).pipe(Effect.scoped, Effect.provide(Test))
  )

  it.effect("a socket is attached once", () =>
    Effect.gen(function* () {
      const twice = SocketIoServer.layerNamespace("/", (socket) =>
        Effect.flatMap(SocketIoRpcServer.Endpoint, ({ attach }) =>
          Effect.andThen(
            attach(socket),
            Effect.catchDefect(attach(socket), (defect) => socket.emit("defect", String(defect)))
          )
        )
      )
      const context = yield* Layer.build(
        twice.pipe(Layer.provide(SocketIoRpcServer.layerEndpoint()), Layer.provideMerge(TestSocketIo.layer()))
      )
      const socket = yield* SocketIoClient.connect("/").pipe(Effect.provide(context))
      const defect = yield* Stream.runHead(socket.stream("defect"))
      assert.deepStrictEqual(defect, Option.some(["Error: a socket is attached twice to one endpoint"]))
    }).pipe(Effect.scoped)
  )

  it.effect("writes the names that clients have chosen as safe text into its log lines", () =>
    Effect.gen(function* () {
      const rooms = SocketIoServer.layerDynamicNamespace(/^\/room/, () =>
        Effect.succeed((socket: ServerSocket<any>) =>
          Effect.flatMap(SocketIoRpcServer.Endpoint, ({ attach }) => Effect.as(attach(socket), {}))
        )
      )
      const names: Array<unknown> = []
      const logger = Logger.make(({ fiber }) => {
        names.push(fiber.getRef(References.CurrentLogAnnotations)["namespace"])
      })
      const context = yield* Layer.build(
        rooms.pipe(
          Layer.provide(SocketIoRpcServer.layerEndpoint()),
          Layer.provideMerge(TestSocketIo.layer()),
          Layer.provide([Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Debug")])
        )
      )
      const socket = yield* SocketIoClient.connect("/room\u001b[2J").pipe(Effect.provide(context))
      yield* socket.emit("rpc", "no frame")
      while (names.length === 0) yield* Effect.yieldNow
      yield* Effect.repeat(Effect.yieldNow, { times: 20 })
      assert.deepStrictEqual(
        names.filter((name) => name !== undefined && name !== "/room\\u001b[2J"),
        []
      )
      assert.include(names, "/room\\u001b[2J")
    }).pipe(Effect.scoped)
  )
})

describe("whenDisconnected", () => {
  const outage = (options: SocketIoRpcClient.ProtocolOptions) =>
    Effect.gen(function* () {
      const chat = yield* SocketIoClient.connect(Chat, ada)
      const rpcs = yield* clientOf(chat, options)
      const network = yield* TestSocketIo.network
      yield* network.cut
      while (chat.connected) yield* Effect.yieldNow
      return { chat, rpcs, network }
    })

  it.effect("lets new calls wait for the connection, up to `maxWaiting`", () =>
    Effect.gen(function* () {
      const { chat, network, rpcs } = yield* outage({ maxWaiting: 2 })
      const calls = [rpcs.WhoAmI(), rpcs.Where(), rpcs.WhoAmI()].map((call) =>
        Effect.forkChild(Effect.result(call), { startImmediately: true })
      )
      const fibers = yield* Effect.all(calls)
      const third = yield* Fiber.join(fibers[2]!)
      assert.strictEqual(third._tag === "Failure" && third.failure.reason.message, "2 calls wait for the connection")
      yield* Fiber.interrupt(fibers[1]!)
      const another = yield* Effect.forkChild(rpcs.Where(), { startImmediately: true })
      yield* network.restore
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(chat.connected)
      const first = yield* Fiber.join(fibers[0]!)
      assert.strictEqual(first._tag === "Success" && first.success, "Ada")
      assert.strictEqual(yield* Fiber.join(another), "at the calls")
    }).pipe(Effect.scoped, Effect.provide(Test))
  )

  it.effect("makes them fail at once", () =>
    Effect.gen(function* () {
      const { rpcs } = yield* outage({ whenDisconnected: "fail" })
      const error = yield* Effect.flip(rpcs.WhoAmI())
      assert.strictEqual(error._tag, "RpcClientError")
      assert.include(["transport close", "transport error"], error.reason.message)
    }).pipe(Effect.scoped, Effect.provide(Test))
  )
})
