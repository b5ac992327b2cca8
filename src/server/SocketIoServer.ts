/**
 * The Socket.IO server (Socket.IO protocol 5 over Engine.IO protocol 4).
 *
 * The edge of a platform provides it as a layer (`NodeSocketIoServer.layer`). Namespaces are layers
 * on top of it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

import type { DrainOptions, DrainReport } from "../engine/Drain.ts"
import * as EngineServer from "../engine/EngineServer.ts"
import type { NotReady, Readiness } from "../engine/Readiness.ts"
import { ANYONE } from "../internal/lineLimits.ts"
import { compiledOf } from "../internal/schemaCompiler.ts"
import type * as Namespace from "../Namespace.ts"
import type { OverflowError, StreamOptions } from "../StreamOptions.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { handleByName, handleOfOpen, makeDynamicHandles } from "./internal/handle.ts"
import { serveDynamic, serveNamespace } from "./internal/serve.ts"
import * as ServerRuntime from "./internal/server.ts"
import type { DynamicHandles, NamespaceHandle, NewsOverflow } from "./NamespaceHandle.ts"
import type { ServerConnection } from "./ServerConnection.ts"
import { engineOptions, resolve, type ServerOptions } from "./ServerOptions.ts"
import { SocketIoServer, type SocketIoServerShape } from "./ServerService.ts"

export type { DynamicLayerOptions, DynamicOptions, DynamicRequest } from "./DynamicNamespaceOptions.ts"
export { type Built, type ContractOf, layerDynamicNamespace, layerNamespace, type Provided } from "./NamespaceLayer.ts"
export { SocketIoServer, type SocketIoServerShape } from "./ServerService.ts"

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
 * the namespaces' layers that closed right before (see `layerNamespace`).
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
 * A namespace, to broadcast from anywhere in the application, and to watch: the `serverToClient`
 * events of a contract, or any event if the contract declares none.
 *
 * **Details**
 *
 * A namespace that no layer serves is empty, and has no news until one does. The application may
 * use many such names, as from users: the server remembers them only while they are used or their
 * streams are read.
 *
 * **Gotchas**
 *
 * A contract with other events than those of the layer that serves the namespace is a defect. An
 * untyped contract fits every layer.
 *
 * **Example** (A broadcast from a route)
 *
 * ```ts
 * const announce = (text: string) =>
 *   Effect.flatMap(SocketIoServer.namespace(Chat), (chat) => chat.all.emit("said", text))
 * ```
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
 * The namespaces that open on this server, from the time on at which the stream is run, as
 * {@link namespaces} has them. The streams of a dynamic one end when it closes.
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
 * reason `server shutting down`. Official clients connect again by themselves, after about a
 * second. Clients of this library connect to the next server first, and see no outage.
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
 * of a {@link drain} on, or once the layer of the last namespace closes in a shutdown, `full` while
 * there are `limits.maxConnections` connections, and what {@link notReady} says.
 * `Health.layerHealth` answers requests with it.
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
