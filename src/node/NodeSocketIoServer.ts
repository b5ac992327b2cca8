/**
 * The Socket.IO server in Node: on a port of its own, or attached to an `http.Server` of yours.
 * `NodeSocketIoHttp` puts it beside an Effect HTTP application.
 *
 * @since 0.1.0
 */
import type * as Http from "node:http"
import type { TlsOptions } from "node:tls"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"

import type { EngineRequest } from "../engine/EngineRequest.ts"
import type { Handshake } from "../Handshake.ts"
import type { ServerOptions } from "../server/ServerOptions.ts"
import { ListenError } from "../server/ListenError.ts"
import * as Listening from "../server/Listening.ts"
import * as SocketIoServer from "../server/SocketIoServer.ts"
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
import { ATTACH_OPTIONS } from "./AttachOptions.ts"
import * as NodeEngine from "./NodeEngine.ts"

export { ListenError }

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
   * The number of connections that may wait to be accepted. Default: 4,096, if the operating system
   * allows it.
   */
  readonly backlog?: number
  /**
   * The certificate and key, and the other options of `node:https`, for a server with TLS:
   * `{ key, cert }`, `{ pfx }`. With `requestCert` and `ca`, clients are asked for certificates
   * (see {@link requestOf}). They are read once. Settings that Node refuses fail with
   * {@link InvalidOptionError}. Default: none; the server listens without TLS.
   */
  readonly tls?: TlsOptions
}

/**
 * The Node request that opened a session. Use it for the certificate of a client, or for properties
 * that Express middleware has added, such as `session`. The argument is a socket, the argument of
 * namespace middleware, or the request of `allowRequest` and the other hooks.
 *
 * With the option `keepRequests`, sessions keep their requests. Without it, sockets and middleware
 * have none; hooks always have theirs. Sockets of other servers have none either, nor have tests in
 * memory.
 *
 * A polling client's request, and its connection, may be over as soon as the session is open. Read
 * that connection in a hook, or in namespace middleware at the latest.
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
 * const user = (socket: ServerSocket.ServerSocketBase) =>
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
 * The `http.Server` stays with its owner, and so do all requests for other paths, in whatever order
 * listeners are added. Fails with `InvalidOptionError` on an option that makes no sense, on a path
 * that is in use, and on an Express or Koa `app` in place of the `http.Server`. Closing the scope
 * ends the connections of the Socket.IO clients (see `SocketIoServer.make`) and releases the path.
 *
 * **Gotchas**
 *
 * Close the `http.Server` after the scope, not before. The server waits for clients that poll: they
 * come once more to learn of the end. The port is in use until then. To free it sooner for the next
 * process, close the `http.Server` first. Clients that poll over a new connection each time (as the
 * official client in Node and proxies do) are then refused, and lose their waiting messages.
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
  const [attachOptions, serverOptions] = separate(options, ATTACH_OPTIONS)
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
 * Listen after the layers are built; otherwise an early client may find no namespace. In the first
 * two seconds it waits for one; later it is refused for good. Pass `http.createServer(app)`, not
 * the Express or Koa `app`.
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
 * free for the next process after two steps: the namespaces' layers have closed, and clients that
 * poll have come once more to take their waiting messages and to learn of the end. Without polling
 * clients it is free at once. WebSockets that are still flushing do not keep it.
 *
 * **Gotchas**
 *
 * The server listens before the namespaces' layers are built. In the first two seconds a client
 * that asks for a missing namespace waits for it; later it is refused for good. Use {@link serve}
 * if namespaces take longer to build.
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
): Layer.Layer<SocketIoServer.SocketIoServer, InvalidOptionError | ListenError, R> => Listening.layer(prepare(options))

/**
 * Builds namespaces, and then listens: every client that can connect finds all of them.
 *
 * **Details**
 *
 * The first argument is the namespaces' layers, merged. They are built with the server before its
 * port opens, so no client has to wait: a client that asks for another name is refused at once. The
 * layer provides the server, to broadcast from elsewhere, and all services of the namespaces'
 * layers.
 *
 * Fails as {@link layer} does, and with the errors of the namespaces' layers. Closing the layer's
 * scope closes the namespaces first, while the server still listens, and then the server, as
 * {@link layer} does.
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
> => Listening.serve(namespaces, prepare(options))

/** The `http.Server` of a server that listens itself. */
const prepare = Effect.fnUntraced(function* <R>(
  options: ListeningOptions<R>
): Effect.fn.Return<Listening.Listener<R>, InvalidOptionError> {
  yield* checkPort(options)
  const server = yield* createServer(options, notFound)
  return {
    make: makeAttached(server, separate(options, LISTENING)[1]),
    listen: Effect.matchEffect(listen(server, options), {
      onFailure: (cause) => new ListenError({ message: cause.message, cause }),
      onSuccess: () => Effect.sync(() => addressOf(server))
    }),
    stop: stopListening(server),
    awaitClosed: (time) => awaitClosed(server, time),
    path: options.path
  }
})

/**
 * The same as {@link layer}, with configured options.
 *
 * **Details**
 *
 * Each option is a `Config`, and each group is a record of them or one `Config`. Or all options are
 * one `Config`, such as `NodeConfig.listening`. It also fails with a `ConfigError`.
 *
 * **Gotchas**
 *
 * Every option must be a `Config`: `Config.succeed` makes one of a value.
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
 * The same as {@link layerAttached}, with configured options: each option is a `Config`, or all of
 * them are one, such as `NodeConfig.attached`. It also fails with a `ConfigError`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAttachedConfig = (
  server: Http.Server,
  options: Config.Wrap<NodeOptions>
): Layer.Layer<SocketIoServer.SocketIoServer, InvalidOptionError | Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layerAttached(server, options)))
