/**
 * The Socket.IO server (Socket.IO protocol 5 over Engine.IO protocol 4).
 *
 * The edge of a platform provides it as a layer (`NodeSocketIoServer.layer`). Namespaces are layers
 * on top of it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import type { DrainOptions, DrainReport } from "../engine/Drain.ts"
import * as EngineServer from "../engine/EngineServer.ts"
import type { NotReady, Readiness } from "../engine/Readiness.ts"
import type * as Event from "../Event.ts"
import type { Handshake } from "../Handshake.ts"
import { ANYONE } from "../internal/lineLimits.ts"
import { compiledOf } from "../internal/schemaCompiler.ts"
import type * as Namespace from "../Namespace.ts"
import type * as NamespaceMiddleware from "../NamespaceMiddleware.ts"
import type { OverflowError, StreamOptions } from "../StreamOptions.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { handleByName, handleOfOpen, makeDynamicHandles } from "./internal/handle.ts"
import { serveDynamic, serveNamespace } from "./internal/serve.ts"
import * as ServerRuntime from "./internal/server.ts"
import type { DynamicHandle, DynamicHandles, NamespaceHandle, NewsOverflow } from "./NamespaceHandle.ts"
import type { ServerConnection } from "./ServerConnection.ts"
import { engineOptions, resolve, type ServerOptions } from "./ServerOptions.ts"
import type { ServerSocket } from "./ServerSocket.ts"

/**
 * The service of the Socket.IO server: an interface that anybody can implement.
 *
 * **Details**
 *
 * {@link make} gives one that serves clients. Everything in this module and in the edges of
 * platforms uses these members alone: a value that wraps another one, or a mock, takes its place.
 *
 * **Gotchas**
 *
 * A mock of `namespace` needs a whole handle. If a test only checks what is sent, {@link layer} is
 * shorter: its namespaces are real, and have no clients.
 *
 * **Example** (A mock of the members that a test needs)
 *
 * ```ts
 * const Mock = Layer.mock(SocketIoServer.SocketIoServer)({
 *   connectionCount: Effect.succeed(3),
 *   readiness: Effect.succeed("ready")
 * })
 * ```
 *
 * **Example** (A log of the namespaces that are served)
 *
 * ```ts
 * const Logged = Layer.effect(
 *   SocketIoServer.SocketIoServer,
 *   Effect.map(SocketIoServer.SocketIoServer, (server) => ({
 *     ...server,
 *     register: (namespace, build) =>
 *       Effect.andThen(Effect.logInfo("serving", namespace), server.register(namespace, build))
 *   }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface SocketIoServerShape {
  /** See {@link namespace}. */
  readonly namespace: {
    (namespace: string): Effect.Effect<NamespaceHandle<Namespace.Untyped>>
    <N extends Namespace.Static>(namespace: N): Effect.Effect<NamespaceHandle<N>>
  }
  /** See {@link dynamicNamespaces}. */
  readonly dynamicNamespaces: <N extends Namespace.Dynamic>(namespace: N) => Effect.Effect<DynamicHandles<N>>
  /** See {@link namespaces}. */
  readonly namespaces: Effect.Effect<ReadonlyArray<NamespaceHandle<Namespace.Untyped>>>
  /** See {@link namespaceOpenings}. */
  readonly namespaceOpenings: <O extends NewsOverflow = "fail">(
    options?: StreamOptions<O>
  ) => Stream.Stream<NamespaceHandle<Namespace.Untyped>, OverflowError<O>>
  /**
   * Serves a namespace until the scope closes, with the services of the calling effect:
   * {@link layerNamespace}, with its types, is a layer of this.
   */
  readonly register: <R>(
    namespace: string | Namespace.Static,
    build: (socket: any) => Effect.Effect<any, NamespaceMiddleware.ConnectRefused, R>
  ) => Effect.Effect<void, never, R | Scope.Scope>
  /**
   * Serves dynamic namespaces until the scope closes, with the services of the calling effect:
   * {@link layerDynamicNamespace}, with its types, is a layer of this.
   */
  readonly registerDynamic: <R, R2>(
    namespace: Namespace.Dynamic | RegExp,
    open: (
      namespace: any
    ) => Effect.Effect<
      (socket: any) => Effect.Effect<any, NamespaceMiddleware.ConnectRefused, R>,
      NamespaceMiddleware.ConnectRefused,
      R
    >,
    options?: DynamicLayerOptions<any, R2>
  ) => Effect.Effect<void, never, R | R2 | Scope.Scope>
  /** See {@link connections}. */
  readonly connections: <O extends NewsOverflow = "fail">(
    options?: StreamOptions<O>
  ) => Stream.Stream<ServerConnection, OverflowError<O>>
  /** The number of open connections. */
  readonly connectionCount: Effect.Effect<number>
  /** See {@link drain}. */
  readonly drain: (options?: DrainOptions) => Effect.Effect<DrainReport, InvalidOptionError>
  /** See {@link readiness}. */
  readonly readiness: Effect.Effect<Readiness>
  /** See {@link readinessChanges}. */
  readonly readinessChanges: Stream.Stream<Readiness>
  /** See {@link notReady}. */
  readonly notReady: (reason: NotReady) => Effect.Effect<void, never, Scope.Scope>
  /** The engine below: the edge of a platform brings it requests and WebSockets. */
  readonly engine: Effect.Effect<EngineServer.EngineServer>
}

/**
 * The Socket.IO server.
 *
 * @since 0.1.0
 * @category services
 */
export class SocketIoServer extends Context.Service<SocketIoServer, SocketIoServerShape>()(
  "effect-socket.io/server/SocketIoServer"
) {}

/**
 * Makes a server without a platform: an edge brings it requests and WebSockets. Applications use
 * the layer of the edge.
 *
 * **Details**
 *
 * Fails with {@link InvalidOptionError} on an option that makes no sense. Closing the scope closes
 * every connection with reason `server shutting down`, without a DISCONNECT packet, so that clients
 * reconnect. It sends the messages that wait for them, and waits for the finalizers of their
 * sockets and connections. All of that takes up to `drainTimeout`, which starts with the first of
 * the namespaces' layers that closed right before (see {@link layerNamespace}).
 *
 * **Gotchas**
 *
 * It does not listen: without an edge no client can connect.
 *
 * **Example** (An edge of your own)
 *
 * ```ts
 * const makeEdge = Effect.gen(function*() {
 *   const server = yield* SocketIoServer.make({})
 *   const engine = yield* server.engine
 *   yield* listen({
 *     onRequest: (exchange) => engine.handleRequest(exchange),
 *     onUpgrade: (request, decide) => engine.handleUpgrade(request, decide)
 *   })
 *   return server
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* <R = never>(
  options: ServerOptions<R>
): Effect.fn.Return<SocketIoServerShape, InvalidOptionError, R | Scope.Scope> {
  const runtime = yield* ServerRuntime.make(yield* resolve(options))
  const { directory, environment } = runtime
  // Before the engine in the scope, hence after its end: it starts the sockets' finalizers.
  yield* Effect.addFinalizer(() => environment.closing.finalizers)
  yield* Effect.addFinalizer(() => Effect.sync(() => runtime.dispose()))
  const engine = yield* EngineServer.make(engineOptions(options), (session) => runtime.onSession(session), {
    onRefused: ({ code, context, message }) =>
      environment.observer.debug("engine", "request refused", { code, message, context }, ANYONE)
  })
  runtime.start(engine)
  return {
    namespace: ((namespace: string | Namespace.Any) =>
      Effect.sync(() =>
        typeof namespace === "string"
          ? handleByName(directory, namespace, undefined)
          : handleByName(directory, namespace._tag, namespace.untyped ? undefined : compiledOf(namespace))
      )) as SocketIoServerShape["namespace"],
    // The handles have no types of a contract inside.
    dynamicNamespaces: (namespace) => Effect.sync(() => makeDynamicHandles(directory, compiledOf(namespace)) as any),
    namespaces: Effect.sync(() => directory.open.map((namespace) => handleOfOpen(directory, namespace))),
    namespaceOpenings: (options) =>
      directory.opened.stream("namespaceOpenings", options, (namespace) => handleOfOpen(directory, namespace)),
    register: (namespace, build) => serveNamespace(runtime, namespace, build),
    registerDynamic: (namespace, open, options) => serveDynamic(runtime, namespace, open, options),
    connections: (options) => runtime.connections(options),
    connectionCount: Effect.sync(() => engine.sessionCount),
    drain: (options) => engine.moveThen(options, environment.closing.finalizers),
    readiness: engine.readiness,
    readinessChanges: engine.readinessChanges,
    notReady: engine.notReady,
    engine: Effect.succeed(engine)
  }
})

/**
 * A server without a platform, as a layer: no client can connect.
 *
 * **Details**
 *
 * It is for tests of code that broadcasts: the streams of a namespace show its emits. Use
 * `TestSocketIo.layer` to test namespaces with their clients, and the layer of an edge, such as
 * `NodeSocketIoServer.layer`, in applications. See {@link make} for its errors and its end.
 *
 * **Example** (A test of a service that broadcasts)
 *
 * ```ts
 * it.effect("tells the clients of an order that it is shipped", () =>
 *   Effect.gen(function*() {
 *     const shop = yield* SocketIoServer.namespace(Shop)
 *     const sent = yield* Effect.forkChild(Stream.runHead(shop.broadcasts()), { startImmediately: true })
 *     const orders = yield* Orders
 *     yield* orders.ship("7")
 *     const broadcast = Option.getOrThrow(yield* Fiber.join(sent))
 *     assert.deepStrictEqual(broadcast.rooms, ["order 7"])
 *   }).pipe(Effect.provide(Orders.layer), Effect.provide(SocketIoServer.layer())))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: ServerOptions = {}): Layer.Layer<SocketIoServer, InvalidOptionError> =>
  Layer.effect(SocketIoServer, make(options))

/**
 * The services that handlers may use and the layer does not require: the socket's scope, and those
 * that the middlewares provide.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Provided<N extends Namespace.Any> = Scope.Scope | NamespaceMiddleware.Provides<Namespace.Middleware<N>>

/**
 * The contract of a layer's namespaces: the one that is given, or an untyped one for a name or a
 * regular expression.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ContractOf<T extends Namespace.Any | string | RegExp> = T extends Namespace.Any
  ? T
  : T extends RegExp
    ? Namespace.Untyped<string, Schema.Unknown, never, {}>
    : Namespace.Untyped

/**
 * The result of a namespace's builder: a record of handlers, one for every event that the contract
 * declares for clients; or nothing, if it declares none, and the builder adds its handlers itself.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Built<N extends Namespace.Any> = N extends Namespace.AnyUntyped
  ? Namespace.Handlers<Event.Untyped> | void
  : Namespace.Handlers<Namespace.ClientToServer<N>>

/**
 * Serves a namespace, for the lifetime of the layer. A name stands for the contract
 * `Namespace.untyped(name)`.
 *
 * **Details**
 *
 * `build` runs once for every client that is admitted, in the scope of its socket and with the
 * middlewares' services in context, and yields a handler for each of the contract's
 * `clientToServer` events. Where no events are declared, it may add its handlers with `socket.on`
 * instead. The client has been told before that it is connected; its events wait for the handlers
 * (up to `maxPendingPackets`). The scope closes when the socket disconnects, after the handlers
 * that are under way have ended, which are interrupted, unless their event has `once`. A defect of
 * the builder disconnects the socket, as does a refusal (`ConnectRefused`) with which it fails.
 *
 * Handlers start in the order in which events arrive, each in a fiber of its own, at most
 * `concurrency` at once. A handler's value acknowledges the event if the client asks for it. A
 * defect is logged and stays with its event, as does a payload that the event's schema refuses, and
 * an event without a handler. A client that asks for an acknowledgement gets one, whether or not
 * the event declares an `error`: `{ _tag: "Failure", error }`, where `error` is `{ _tag:
 * "InternalError" }`, `{ _tag: "PayloadRefused", message }` or `{ _tag: "EventUnhandled", message
 * }`.
 *
 * With an untyped contract there is no such answer, as with the official server: an event that
 * fails or has no handler is logged, and not acknowledged. Clients expect the values of handlers,
 * and use a `timeout`.
 *
 * Closing the layer's scope closes the connections of the namespace's clients with reason `server
 * shutting down`, and waits for their finalizers, up to `drainTimeout`. Layers that close one after
 * another, and the server after them, share that time: it starts with the first, and a tenth of it
 * is kept for the server while other namespaces have clients. A layer that closes alone, to be
 * replaced, takes no time of others. The clients reconnect by themselves, until the namespace is
 * served again.
 *
 * **Gotchas**
 *
 * Two layers for one namespace of one server are a defect. Parts of an application that have
 * handlers of their own give a builder each, and one layer puts them together. Every builder sees
 * the socket, and has its scope.
 *
 * A client whose builder refuses it sees `io server disconnect`, and no message: it was told before
 * that it is connected, as the builder may emit. A debug line says why. Where the client should see
 * the reason, refuse it in middleware. Any other typed failure does not compile: turn it into a
 * refusal, or into a defect, which is logged as an error.
 *
 * **Example** (Two builders of one namespace)
 *
 * ```ts
 * const rooms = Effect.fnUntraced(function*(socket: ServerSocket.ServerSocket<typeof Chat>) {
 *   yield* Effect.addFinalizer(() => Effect.logInfo(`${socket.id} has left`))
 *   return { enter: (room: string) => socket.join(room) }
 * })
 * const messages = (socket: ServerSocket.ServerSocket<typeof Chat>) =>
 *   Effect.succeed({ say: (message: Message) => socket.to(message.room).emit("say", message) })
 *
 * const ChatLive = SocketIoServer.layerNamespace(Chat, (socket) =>
 *   Effect.zipWith(rooms(socket), messages(socket), (some, others) => Chat.of({ ...some, ...others })))
 * ```
 *
 * **Example** (An echo)
 *
 * ```ts
 * const EchoLive = SocketIoServer.layerNamespace("/echo", (socket) =>
 *   socket.on("echo", (...args) => socket.emit("echo", ...args)))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNamespace: <T extends Namespace.Static | string, const H extends Built<ContractOf<T>>, R = never>(
  namespace: T,
  build: (socket: ServerSocket<ContractOf<T>>) => Effect.Effect<H, NamespaceMiddleware.ConnectRefused, R>
) => Layer.Layer<
  never,
  never,
  | SocketIoServer
  | NamespaceMiddleware.Identifier<Namespace.Middleware<ContractOf<T>>>
  | Exclude<R | Namespace.HandlersServices<H>, Provided<ContractOf<T>>>
> = (
  namespace: string | Namespace.Any,
  build: (socket: any) => Effect.Effect<any, NamespaceMiddleware.ConnectRefused, any>
): Layer.Layer<never, never, any> =>
  // The declared type relates the namespace to its builder.
  Layer.effectDiscard(Effect.flatMap(SocketIoServer, (server) => server.register(namespace as any, build)))

/**
 * A client's request for a dynamic namespace.
 *
 * @since 0.1.0
 * @category models
 */
export interface DynamicRequest<Params> {
  /** The namespace's name. */
  readonly name: string
  /** The parameters in the name; empty if the pattern is a regular expression. */
  readonly params: Params
  /** The handshake of the first client that asks, its auth payload included. */
  readonly handshake: Handshake
}

/**
 * Options of dynamic namespaces.
 *
 * @since 0.1.0
 * @category options
 */
export interface DynamicOptions {
  /**
   * The time for which a namespace stays open after its last client has left, or
   * `Duration.infinity` to keep it. Default: 10 seconds.
   */
  readonly idleTimeToLive?: Duration.Input
  /**
   * The number of these namespaces that may be empty and wait for the end of their time. If there
   * are more, those that have been empty the longest close early. This bounds the memory that a
   * client can take by asking for one name after another. It has no effect with
   * `Duration.infinity`. Default: 1,000.
   */
  readonly maxIdle?: number
}

/**
 * The options of the layer of a contract's dynamic namespaces.
 *
 * - `match`: decides on names that match the pattern, and may take time: if it yields `false`, the
 *   client is refused with `Invalid namespace`. It runs while the namespace is not open, not for
 *   every client: middleware decides which clients may connect. Default: every name that matches.
 *
 * @since 0.1.0
 * @category options
 */
export interface DynamicLayerOptions<Params, R> extends DynamicOptions {
  readonly match?: (request: DynamicRequest<Params>) => Effect.Effect<boolean, never, R>
}

/**
 * Serves dynamic namespaces, for the lifetime of the layer: those whose names match the pattern of
 * a contract. A regular expression, without flag `g` or `y`, stands for the contract
 * `Namespace.untypedDynamic(expression)`.
 *
 * **Details**
 *
 * A namespace opens when the contract's middleware has admitted its first client: `open` runs once,
 * in a scope of the namespace's own, and yields the builder of its sockets (see {@link
 * layerNamespace}). It closes when it has been empty for `idleTimeToLive`, or earlier if more than
 * `maxIdle` are empty, which closes that scope. A later client opens it anew, after its finalizers
 * are done. Layers of single namespaces ({@link layerNamespace}) come first, then dynamic ones in
 * the order of their layers.
 *
 * If `open` fails with a refusal (`ConnectRefused`), the clients that wait for it are refused with
 * its message and data, which they see as `connect_error`. A defect refuses them with `Internal
 * error`, and is logged. Either way the next client has it opened again.
 *
 * **Gotchas**
 *
 * Clients choose the names. Let `match`, middleware or `open` decide which of them exist, or each
 * name that a client makes up opens a namespace.
 *
 * **Example** (A namespace for each document)
 *
 * ```ts
 * class Document extends Namespace.dynamic("/document/:id", {
 *   clientToServer: [Event.make("edit", { payload: Edit })],
 *   serverToClient: [Event.make("edited", { payload: Edit })]
 * }) {}
 *
 * const DocumentsLive = SocketIoServer.layerDynamicNamespace(
 *   Document,
 *   Effect.fnUntraced(function*(namespace) {
 *     const documents = yield* Documents
 *     const document = yield* documents.open(namespace.params.id).pipe(
 *       Effect.mapError(() => new NamespaceMiddleware.ConnectRefused({ message: "No such document" }))
 *     )
 *     yield* Effect.addFinalizer(() => document.save)
 *     return (socket) =>
 *       Effect.succeed(Document.of({
 *         edit: (edit) => Effect.andThen(document.apply(edit), socket.broadcast.emit("edited", edit))
 *       }))
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDynamicNamespace: <
  T extends Namespace.Dynamic | RegExp,
  const H extends Built<ContractOf<T>>,
  R = never,
  R2 = never,
  R3 = never
>(
  namespace: T,
  open: (
    namespace: DynamicHandle<ContractOf<T>>
  ) => Effect.Effect<
    (socket: ServerSocket<ContractOf<T>>) => Effect.Effect<H, NamespaceMiddleware.ConnectRefused, R2>,
    NamespaceMiddleware.ConnectRefused,
    R
  >,
  options?: DynamicLayerOptions<Namespace.Params<ContractOf<T>>, R3>
) => Layer.Layer<
  never,
  never,
  | SocketIoServer
  | NamespaceMiddleware.Identifier<Namespace.Middleware<ContractOf<T>>>
  | Exclude<R, Scope.Scope>
  | R3
  | Exclude<R2 | Namespace.HandlersServices<H>, Provided<ContractOf<T>>>
> = (
  namespace: Namespace.Any | RegExp,
  open: (
    namespace: any
  ) => Effect.Effect<
    (socket: any) => Effect.Effect<any, NamespaceMiddleware.ConnectRefused, any>,
    NamespaceMiddleware.ConnectRefused,
    any
  >,
  options: DynamicLayerOptions<any, any> = {}
): Layer.Layer<never, never, any> =>
  Layer.effectDiscard(
    // The declared type relates the namespace to its builder.
    Effect.flatMap(SocketIoServer, (server) => server.registerDynamic(namespace as any, open, options))
  )

/**
 * A namespace, to broadcast from anywhere in the application, and to watch: the `serverToClient`
 * events of a contract, or any event if the contract declares none.
 *
 * A namespace that no layer serves is empty, and has no news until one does. The application may
 * use many such names, as from users: the server remembers them only while they are used or their
 * streams are read. A contract with other events than those of the layer that serves the namespace
 * is a defect. An untyped contract fits every layer.
 *
 * @since 0.1.0
 * @category accessors
 */
export const namespace: {
  /**
   * A namespace, to broadcast any event in it: the same as with the contract
   * `Namespace.untyped(name)`.
   */
  (namespace: string): Effect.Effect<NamespaceHandle<Namespace.Untyped>, never, SocketIoServer>
  /**
   * A namespace, to broadcast its `serverToClient` events from anywhere, and to watch it. If no
   * layer serves it, it is empty. It dies if a layer serves it with other events.
   */
  <N extends Namespace.Static>(namespace: N): Effect.Effect<NamespaceHandle<N>, never, SocketIoServer>
} = (namespace: string | Namespace.Any): Effect.Effect<NamespaceHandle<any>, never, SocketIoServer> =>
  // A union of arguments fits neither of the two overloads.
  Effect.flatMap(SocketIoServer, (server) => server.namespace(namespace as any))

/**
 * The namespaces of a dynamic contract: those that are open, and any by its parameters.
 *
 * @since 0.1.0
 * @category accessors
 */
export const dynamicNamespaces = <N extends Namespace.Dynamic>(
  namespace: N
): Effect.Effect<DynamicHandles<N>, never, SocketIoServer> =>
  Effect.flatMap(SocketIoServer, (server) => server.dynamicNamespaces(namespace))

/**
 * The namespaces that are open on this server: those that layers serve, and the dynamic ones that
 * clients have opened and that have not closed yet. They have no contract here: any event can be
 * sent, and those that come in are seen with their arguments.
 *
 * @since 0.1.0
 * @category accessors
 */
export const namespaces: Effect.Effect<
  ReadonlyArray<NamespaceHandle<Namespace.Untyped>>,
  never,
  SocketIoServer
> = Effect.flatMap(SocketIoServer, (server) => server.namespaces)

/**
 * The namespaces that open on this server, from the time on at which the stream is run, as {@link
 * namespaces} has them. The streams of a dynamic one end when it closes.
 *
 * By default it fails with `StreamOverflow` when more than 10,000 wait for its reader;
 * `StreamOptions` say otherwise.
 *
 * @since 0.1.0
 * @category accessors
 */
export const namespaceOpenings = <O extends NewsOverflow = "fail">(
  options?: StreamOptions<O>
): Stream.Stream<NamespaceHandle<Namespace.Untyped>, OverflowError<O>, SocketIoServer> =>
  Stream.unwrap(Effect.map(SocketIoServer, (server) => server.namespaceOpenings(options)))

/**
 * The connections that open, from the time on at which the stream is run: each as its client
 * connects, before it has joined any namespace. The stream ends with the server.
 *
 * **Details**
 *
 * By default it fails with `StreamOverflow` when more than 10,000 connections wait for its reader;
 * `StreamOptions` say otherwise.
 *
 * **Example** (Time of each connection)
 *
 * ```ts
 * const times = SocketIoServer.connections().pipe(
 *   Stream.runForEach((connection) =>
 *     Effect.gen(function*() {
 *       const opened = yield* Clock.currentTimeMillis
 *       yield* connection.addFinalizer(
 *         Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.logInfo(`open for ${now - opened} ms`))
 *       )
 *     })
 *   )
 * )
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const connections = <O extends NewsOverflow = "fail">(
  options?: StreamOptions<O>
): Stream.Stream<ServerConnection, OverflowError<O>, SocketIoServer> =>
  Stream.unwrap(Effect.map(SocketIoServer, (server) => server.connections(options)))

/**
 * Moves all clients to other servers, so that this one can end: in a rolling restart, before the
 * process is told to stop.
 *
 * **Details**
 *
 * For `notice` everything goes on, and new clients are still taken, while {@link readiness} is
 * `draining`: balancers learn that new clients must go elsewhere. After that, new clients are
 * refused with status 503, and connections are moved evenly over `over`, but never more than `rate`
 * in a second.
 *
 * A connection is closed when handlers that run have answered, or after a second. Waiting messages
 * are sent first. Messages that the client had sent before it knew are handled, for two seconds at
 * most, and those handlers have the rest of the time, at least a second. Then the sockets end with
 * reason `server shutting down`. Official clients connect again by themselves, after about a second.
 * Clients of this library connect to the next server first, and see no outage.
 *
 * It ends when all of them have left, and the finalizers of their sockets have ended (within
 * `drainTimeout`). The server stays `draining` from then on; close its scope. Interruption leaves
 * clients where they are whose turn has not come, and the server is ready again. Fails with
 * `InvalidOptionError` on an option that makes no sense. If two drains are at work, the later one
 * sets the pace. `onShutdown` does the same when the server's scope closes.
 *
 * **Gotchas**
 *
 * A client that was moved keeps its rooms, and gets what was sent meanwhile, only with connection
 * state recovery that its next server knows of. After the close frame of a WebSocket no
 * acknowledgement can be sent: an event that comes after it is handled, and its client tries again
 * if it retries.
 *
 * **Example** (Drains on a signal of the operator)
 *
 * ```ts
 * const report = yield* SocketIoServer.drain({ notice: "5 seconds", over: "25 seconds", rate: 500 })
 * yield* Effect.logInfo(`${report.moved} clients have moved, ${report.cut} were cut`)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const drain = (options?: DrainOptions): Effect.Effect<DrainReport, InvalidOptionError, SocketIoServer> =>
  Effect.flatMap(SocketIoServer, (server) => server.drain(options))

/**
 * Whether a balancer should lead new clients to this server, and why not: `draining` from the begin
 * of a {@link drain} or a shutdown on, `full` while there are `limits.maxConnections` connections,
 * and what {@link notReady} says. `Health.layerHealth` answers requests with it.
 *
 * @since 0.1.0
 * @category accessors
 */
export const readiness: Effect.Effect<Readiness, never, SocketIoServer> = Effect.flatMap(
  SocketIoServer,
  (server) => server.readiness
)

/**
 * The {@link readiness}, and then each change of it. A slow reader delays nothing.
 *
 * @since 0.1.0
 * @category accessors
 */
export const readinessChanges: Stream.Stream<Readiness, never, SocketIoServer> = Stream.unwrap(
  Effect.map(SocketIoServer, (server) => server.readinessChanges)
)

/**
 * The server is not ready, for this reason, until the scope closes: see {@link readiness}. It goes
 * on as before, and takes the clients that come.
 *
 * **Example** (Not ready until the cache is warm)
 *
 * ```ts
 * const Warm = Layer.effectDiscard(Effect.scoped(Effect.andThen(SocketIoServer.notReady("held"), warmUp)))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const notReady = (reason: NotReady): Effect.Effect<void, never, SocketIoServer | Scope.Scope> =>
  Effect.flatMap(SocketIoServer, (server) => server.notReady(reason))
