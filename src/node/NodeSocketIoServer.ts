/**
 * The Socket.IO server in Node: on a port of its own, or attached to an `http.Server` of yours.
 * `NodeSocketIoHttp` puts it beside an Effect HTTP application.
 *
 * @since 0.1.0
 */
import type * as Http from "node:http"
import type { TlsOptions } from "node:tls"
import * as Config from "effect/Config"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"

import type { EngineRequest } from "../engine/EngineRequest.ts"
import type { Handshake } from "../Handshake.ts"
import { NamespaceGrace, type ServerOptions } from "../server/ServerOptions.ts"
import * as SocketIoServer from "../server/SocketIoServer.ts"
import type { EngineServer } from "../engine/EngineServer.ts"
import { separate } from "../engine/OptionReaders.ts"
import { InvalidOptionError } from "../SocketIoError.ts"
import {
  addressOf,
  awaitClosed,
  checkPort,
  createServer,
  LISTENING,
  listen,
  notFound,
  stopListening
} from "./internal/httpServer.ts"
import { keptRequest, NodeRequest } from "./internal/nodeRequest.ts"
import { normalizePath } from "./internal/listeners.ts"
import * as NodeEngine from "./NodeEngine.ts"

/**
 * The server could not listen.
 *
 * @since 0.1.0
 * @category errors
 */
export class ListenError extends Schema.TaggedError<ListenError>()("ListenError", {
  message: Schema.String,
  cause: Schema.Defect()
}) {}

/**
 * Options of a server that is attached to an `http.Server`.
 *
 * @since 0.1.0
 * @category options
 */
export interface NodeOptions<out R = never> extends ServerOptions<R>, NodeEngine.AttachOptions {}

/**
 * Options of a server that listens itself.
 *
 * @since 0.1.0
 * @category options
 */
export interface ListeningOptions<out R = never> extends NodeOptions<R> {
  /** The port to listen on; 0 takes a free one. */
  readonly port: number
  /** The address to listen on. Default: every address of the machine. */
  readonly host?: string
  /**
   * The connections that may wait to be accepted. Default: 4,096, as the operating system allows.
   */
  readonly backlog?: number
  /**
   * The certificate and key, and what else `node:https` takes, for a server that listens with TLS:
   * `{ key, cert }`, `{ pfx }`; with `requestCert` and `ca` clients are asked for certificates of
   * theirs (see {@link requestOf}). They are read once. Settings that Node does not take fail with
   * {@link InvalidOptionError}. Default: none, the server listens without TLS.
   */
  readonly tls?: TlsOptions
}

/**
 * The Node request that opened a session: for the certificate of a client, or for properties that
 * middleware of Express has added, as `session`. The argument is a socket, the argument of
 * namespace middleware, or the request of `allowRequest` and the other hooks.
 *
 * Sessions keep their requests with the option `keepRequests`. Without it there is none for sockets
 * and middleware; hooks have theirs in any case. There is none for sockets of other servers either,
 * and in tests in memory.
 *
 * The request of a client that polls may be over, with its connection, as soon as the session is
 * open: look at that connection in a hook, or in namespace middleware at the latest.
 *
 * **Example** (Middleware of Express for the request that opens a session)
 *
 * ```ts
 * const options: NodeSocketIoServer.NodeOptions = {
 *   keepRequests: true,
 *   handshake: {
 *     // The response that the middleware gets is not sent.
 *     allowRequest: (request) =>
 *       Effect.callback<void>((resume) => {
 *         const raw = Option.getOrThrow(NodeSocketIoServer.requestOf(request))
 *         session(raw, new ServerResponse(raw), () => resume(Effect.void))
 *       })
 *   }
 * }
 *
 * const user = (socket: PlainSocket) =>
 *   Option.map(NodeSocketIoServer.requestOf(socket), (request) => request.session.user)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const requestOf = (
  of: EngineRequest | { readonly handshake: Handshake }
): Option.Option<Http.IncomingMessage> => {
  if (of instanceof NodeRequest) return Option.some(of.incoming)
  return "handshake" in of ? Option.fromNullishOr(keptRequest(of.handshake.headers)) : Option.none()
}

type ServerOf<R> = Layer.Layer<SocketIoServer.SocketIoServer, InvalidOptionError, R>

/**
 * Attaches a server to an `http.Server`, for the lifetime of the scope.
 *
 * **Details**
 *
 * The `http.Server` stays with its owner, as do all requests for other paths, in whatever order
 * listeners are added. Fails with `InvalidOptionError` on an option that makes no sense, on a path
 * that is taken, and on an `app` of Express or Koa in place of the `http.Server`. Closing the scope
 * ends the connections of the Socket.IO clients (see `SocketIoServer.make`) and gives the path
 * back.
 *
 * **Gotchas**
 *
 * Close the `http.Server` after the scope, not before: clients that poll come once more to learn of
 * the end, and are waited for. Until then its port is taken. To have it free for the next process
 * sooner, close it first: clients that poll over a new connection each time, as the official one in
 * Node and proxies do, are then refused, and lose what waits for them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeAttached = Effect.fnUntraced(function* <R = never>(
  server: Http.Server,
  options: NodeOptions<R> = {}
): Effect.fn.Return<SocketIoServer.SocketIoServerShape, InvalidOptionError, R | Scope.Scope> {
  if (typeof (server as Partial<Http.Server>)?.on !== "function" || typeof server === "function") {
    return yield* new InvalidOptionError({
      option: "server",
      problem: "must be an http.Server; for Express or Koa pass http.createServer(app)"
    })
  }
  const [attachOptions, serverOptions] = separate(options, NodeEngine.ATTACH_OPTIONS)
  const shape = yield* SocketIoServer.make(serverOptions)
  yield* NodeEngine.attach(yield* shape.engine, server, attachOptions)
  return shape
})

/**
 * A server attached to an `http.Server` of your own: bare, or with Express or Koa on it.
 *
 * **Details**
 *
 * See {@link makeAttached} for its errors and its end. The `http.Server` is neither started nor
 * closed by it.
 *
 * **Gotchas**
 *
 * Listen after the layers are built, or a client that comes first may find no namespace: in the
 * first two seconds it waits for one, later it is refused for good. Pass `http.createServer(app)`,
 * not the `app` of Express or Koa.
 *
 * **Example** (Beside Express)
 *
 * ```ts
 * const http = createServer(express())
 *
 * const Listening = Layer.effectDiscard(Effect.sync(() => http.listen(3000)))
 * const Closing = Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => http.close())))
 *
 * // Listens after everything else is built, and closes after everything else is closed.
 * const Main = Listening.pipe(
 *   Layer.provide(ChatLive),
 *   Layer.provide(NodeSocketIoServer.layerAttached(http)),
 *   Layer.provide(Closing)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAttached = <R = never>(server: Http.Server, options: NodeOptions<R> = {}): ServerOf<R> =>
  Layer.effect(SocketIoServer.SocketIoServer, makeAttached(server, options))

/**
 * A server alone on its port, for namespaces that are provided with it by `Layer.provide`.
 *
 * **Details**
 *
 * It listens on the port of the options, with TLS if they have a certificate, answers requests for
 * other paths with 404, and logs its address. Namespaces are layers on top of it, and may come and
 * go while it listens.
 *
 * Fails with `InvalidOptionError` on an option that makes no sense, and with {@link ListenError} if
 * it cannot listen. Closing the layer's scope ends the connections (see `SocketIoServer.make`),
 * stops listening, and waits until every connection is closed, within `drainTimeout`. The port is
 * free for the next process as soon as the namespaces' layers have closed and the clients that poll
 * have come once more, to take what waits for them and to learn of the end: at once where nobody
 * polls. WebSockets that are still flushing do not keep it.
 *
 * **Gotchas**
 *
 * The server listens before the namespaces' layers are built. In the first two seconds a client
 * that asks for a namespace that is not there waits for it; later it is refused for good. Where
 * namespaces take longer to build, use {@link serve}.
 *
 * **Example** (A namespace on a port of its own)
 *
 * ```ts
 * const Main = ChatLive.pipe(Layer.provide(NodeSocketIoServer.layer({ port: 3000 })))
 *
 * NodeRuntime.runMain(Layer.launch(Main))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(
  options: ListeningOptions<R>
): Layer.Layer<SocketIoServer.SocketIoServer, InvalidOptionError | ListenError, R> =>
  Layer.effect(
    SocketIoServer.SocketIoServer,
    Effect.map(
      makeListening(options, () => Effect.void),
      ([server]) => server
    )
  )

/**
 * Builds namespaces, and then listens: a client that can connect finds every one of them.
 *
 * **Details**
 *
 * The first argument is the namespaces' layers, merged. They are built with the server before its
 * port opens, so there is nothing to wait for: a client that asks for another name is refused at
 * once. The layer gives the server, to broadcast from elsewhere, and whatever the namespaces'
 * layers give.
 *
 * Fails as {@link layer} does, and with the errors of the namespaces' layers. Closing the layer's
 * scope closes the namespaces first, while the server still listens, and then the server, as
 * {@link layer} says.
 *
 * **Gotchas**
 *
 * Services that are built for the first time within the namespaces' layers are private to this
 * server, as with `HttpRouter.serve`. Provide services that other layers share to the result of
 * `serve`, not to its argument.
 *
 * **Example** (Two namespaces, one port)
 *
 * ```ts
 * const Main = NodeSocketIoServer.serve(Layer.mergeAll(ChatLive, NewsLive), { port: 3000 })
 *
 * NodeRuntime.runMain(Layer.launch(Main))
 * ```
 *
 * **Example** (Options from the environment)
 *
 * ```ts
 * const Main = Layer.unwrap(
 *   Effect.map(NodeConfig.listening, (options) => NodeSocketIoServer.serve(ChatLive, options))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const serve = <A, E, R, R2 = never>(
  namespaces: Layer.Layer<A, E, R>,
  options: ListeningOptions<R2>
): Layer.Layer<
  SocketIoServer.SocketIoServer | A,
  E | InvalidOptionError | ListenError,
  R2 | Exclude<R, SocketIoServer.SocketIoServer>
> =>
  Layer.effectContext(
    makeListening(options, (server, scope) =>
      Effect.contextWith((context: Context.Context<never>) =>
        Layer.buildWithMemoMap(
          Layer.provideMerge(namespaces, Layer.succeed(SocketIoServer.SocketIoServer, server)),
          Layer.CurrentMemoMap.forkOrCreate(context),
          scope
        )
      )
    ).pipe(
      Effect.map(([, context]) => context),
      Effect.provideService(NamespaceGrace, 0)
    )
  )

/**
 * Makes a server, has its namespaces built in a scope that closes before the server does, and
 * listens then.
 */
const makeListening = Effect.fnUntraced(function* <A, E, R, R2>(
  options: ListeningOptions<R2>,
  build: (server: SocketIoServer.SocketIoServerShape, scope: Scope.Scope) => Effect.Effect<A, E, R>
): Effect.fn.Return<
  readonly [server: SocketIoServer.SocketIoServerShape, built: A],
  E | InvalidOptionError | ListenError,
  R | R2 | Scope.Scope
> {
  yield* checkPort(options)
  const server = yield* createServer(options, notFound)
  // At the end, in this order: close the namespaces, let the clients go, stop listening after those
  // that poll have come once more, and wait until every connection is closed. The steps share the
  // time that `drainTimeout` gives.
  let engine: EngineServer | undefined
  yield* Effect.addFinalizer(() => Effect.suspend(() => awaitClosed(server, engine?.drainTimeLeft() ?? 0)))
  const shape = yield* makeAttached(server, separate(options, LISTENING)[1])
  const attached = (engine = yield* shape.engine)
  const namespaces = yield* Scope.fork(yield* Effect.scope)
  const built = yield* build(shape, namespaces)
  yield* Effect.mapError(listen(server, options), (cause) => new ListenError({ message: cause.message, cause }))
  yield* Effect.addFinalizer(() =>
    Effect.all([attached.drain, Effect.andThen(attached.lastPolls, stopListening(server))], {
      concurrency: "unbounded",
      discard: true
    })
  )
  yield* Effect.addFinalizer((exit) => Scope.close(namespaces, exit))
  yield* Effect.logInfo(`Socket.IO server listening on ${addressOf(server)}${normalizePath(options.path)}`)
  return [shape, built]
})

/**
 * The same as {@link layer}, with options that are configured.
 *
 * **Details**
 *
 * Each option is a `Config`, each group of options a record of them or one `Config`, or all of them
 * are one, as `NodeConfig.listening` is. Fails with a `ConfigError`, too.
 *
 * **Gotchas**
 *
 * An option that is no `Config` is not taken: `Config.succeed` makes one of a value.
 *
 * **Example** (Options from the environment, by names of your own)
 *
 * ```ts
 * NodeSocketIoServer.layerConfig({
 *   port: Config.Int("PORT").pipe(Config.withDefault(3000)),
 *   heartbeat: { pingInterval: Config.Duration("PING_INTERVAL").pipe(Config.withDefault("25 seconds")) }
 * })
 * ```
 *
 * **Example** (Options from the environment, by the names of `NodeConfig`)
 *
 * ```ts
 * NodeSocketIoServer.layerConfig(NodeConfig.listening)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<ListeningOptions>
): Layer.Layer<SocketIoServer.SocketIoServer, InvalidOptionError | ListenError | Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layer(options)))

/**
 * The same as {@link layerAttached}, with options that are configured: each a `Config`, or all of
 * them one, as `NodeConfig.attached` is. Fails with a `ConfigError`, too.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAttachedConfig = (
  server: Http.Server,
  options: Config.Wrap<NodeOptions>
): Layer.Layer<SocketIoServer.SocketIoServer, InvalidOptionError | Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layerAttached(server, options)))
