/**
 * The Socket.IO server in Node: alone, beside an Effect HTTP application, or attached to an `http.Server` of your own.
 *
 * @since 0.1.0
 */
import * as Http from "node:http"
import * as Https from "node:https"
import type { AddressInfo, ListenOptions, Socket } from "node:net"
import type { TlsOptions } from "node:tls"
import type * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

import type { EngineRequest } from "../engine/EngineRequest.ts"
import type { Handshake } from "../Handshake.ts"
import type { ServerOptions } from "../server/ServerOptions.ts"
import * as SocketIoServer from "../server/SocketIoServer.ts"
import type { EngineServer } from "../engine/EngineServer.ts"
import { InvalidOptionError } from "../SocketIoError.ts"
import { keptRequest, NodeRequest } from "./internal/nodeRequest.ts"
import { normalize } from "./internal/path.ts"
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
  /** The connections that may wait to be accepted. Default: 4,096, as the operating system allows. */
  readonly backlog?: number
  /**
   * The certificate and key, and what else `node:https` takes, for a server that listens with TLS: `{ key, cert }`, `{ pfx }`; with
   * `requestCert` and `ca` clients are asked for certificates of theirs (see {@link requestOf}). They are read once. Settings that Node
   * does not take fail with {@link InvalidOptionError}. Default: none, the server listens without TLS.
   */
  readonly tls?: TlsOptions
}

/**
 * The Node request that opened a session: for the certificate of a client, or for what middleware of Express has put on it, a session
 * say. It is asked for with a socket, with what namespace middleware is given, or with the request that `allowRequest` and the other
 * hooks are given.
 *
 * Sessions keep their requests where the option `keepRequests` says so. Without it there is none for sockets and middleware; hooks have
 * theirs in any case. Nor is there one for sockets of other servers, and in tests in memory.
 *
 * The request of a client that polls may be over, with its connection, as soon as the session is open: of that connection ask in a hook,
 * or in namespace middleware at the latest.
 *
 * @example
 * ```ts
 * const options: NodeSocketIoServer.NodeOptions = {
 *   keepRequests: true,
 *   // Middleware of Express, for the request that opens a session alone. It gets a response that is sent to nobody.
 *   allowRequest: (request) =>
 *     Effect.callback<void>((resume) => {
 *       const raw = Option.getOrThrow(NodeSocketIoServer.requestOf(request))
 *       session(raw, new ServerResponse(raw), () => resume(Effect.void))
 *     })
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
 * Attaches a server to an `http.Server`, for the lifetime of the scope. The `http.Server` stays with its owner, as do all
 * requests for other paths; it does not matter who listens on it first.
 *
 * Closing the scope ends the connections of the Socket.IO clients (see `SocketIoServer.make`) and gives the path back. Close
 * the `http.Server` after it, not before: clients that poll come once more to learn that it is over, and are waited for. Until
 * then its port is taken. To have it free for the next process sooner, close it first: clients that poll over a new connection each
 * time, as the official one in Node and proxies do, then learn it by being refused, and lose what waits for them.
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
  const shape = yield* SocketIoServer.make(options)
  yield* NodeEngine.attach(shape.engine, server, options)
  return shape
})

/**
 * A server attached to an `http.Server` of your own: bare, or with Express or Koa on it. See {@link makeAttached}.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAttached = <R = never>(server: Http.Server, options: NodeOptions<R> = {}): ServerOf<R> =>
  Layer.effect(SocketIoServer.SocketIoServer, makeAttached(server, options))

/**
 * A server alone on its port, with TLS if it is given a certificate; requests for other paths are answered with 404. It logs where it
 * listens.
 *
 * Fails with {@link ListenError} if it cannot listen. Closing the layer's scope ends the connections (see `SocketIoServer.make`),
 * stops listening and waits until everything is closed, within `drainTimeout`; nothing stays behind. The port is free for the next
 * process as soon as the namespaces' layers have closed and the clients that poll have come once more, to take what waits for them
 * and to learn that it is over, over whichever connection: at once where nobody polls. WebSockets that are still flushing do not keep it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(
  options: ListeningOptions<R>
): Layer.Layer<SocketIoServer.SocketIoServer, InvalidOptionError | ListenError, R> =>
  Layer.effect(
    SocketIoServer.SocketIoServer,
    Effect.gen(function* () {
      if (!Number.isInteger(options.port) || options.port < 0 || options.port > 65_535) {
        return yield* new InvalidOptionError({
          option: "port",
          problem: `must be from 0 to 65535, not ${options.port}`
        })
      }
      const server = yield* createServer(options, (_request, response) => {
        response.writeHead(404, { "content-length": 0, "x-content-type-options": "nosniff" })
        response.end()
      })
      // At the end, in this order: let the clients go, stop listening when those that poll have come once more, wait until
      // every connection is closed.
      // The steps share the time that `drainTimeout` gives.
      let engine: EngineServer | undefined
      yield* Effect.addFinalizer(() => Effect.suspend(() => awaitClosed(server, engine?.drainTimeLeft() ?? 0)))
      const shape = yield* makeAttached(server, options)
      engine = shape.engine
      yield* listen(server, options)
      yield* Effect.addFinalizer(() =>
        Effect.all([shape.engine.drain, Effect.andThen(shape.engine.lastPolls, stopListening(server))], {
          concurrency: "unbounded",
          discard: true
        })
      )
      yield* Effect.logInfo(`Socket.IO server listening on ${addressOf(server)}${normalize(options.path)}`)
      return shape
    })
  )

/**
 * The same as {@link layer}, with options that are configured: each a `Config`, or all of them one, as `NodeConfig.listening`
 * is. Fails with a `ConfigError`, too.
 *
 * @example
 * ```ts
 * NodeSocketIoServer.layerConfig({
 *   port: Config.Int("PORT").pipe(Config.withDefault(3000)),
 *   pingInterval: Config.Duration("PING_INTERVAL").pipe(Config.withDefault("25 seconds"))
 * })
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
 * The same as {@link layerAttached}, with options that are configured: each a `Config`, or all of them one, as
 * `NodeConfig.attached` is. Fails with a `ConfigError`, too.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAttachedConfig = (
  server: Http.Server,
  options: Config.Wrap<NodeOptions>
): Layer.Layer<SocketIoServer.SocketIoServer, InvalidOptionError | Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layerAttached(server, options)))

/**
 * A server and an Effect `HttpServer` on one `http.Server` and port: provide it to `HttpRouter.serve(…)` (or any
 * application on `HttpServer`) and to the namespaces' layers together. Requests for the Socket.IO path never reach the
 * router.
 *
 * Closing the layer's scope says goodbye to the Socket.IO clients first, and then waits for the HTTP server's own requests.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttp = <R = never>(
  options: ListeningOptions<R>
): Layer.Layer<
  SocketIoServer.SocketIoServer | HttpServer.HttpServer | Layer.Success<ReturnType<typeof NodeHttpServer.layer>>,
  InvalidOptionError | HttpServerError.ServeError,
  R
> =>
  Layer.unwrap(
    // Only here: it is a seventh of the heap of a server that does without.
    Effect.zipWith(
      Effect.promise(() => import("@effect/platform-node/NodeHttpServer")),
      createServer(options),
      (NodeHttpServer, server) => {
        return Layer.provideMerge(
          layerAttached(server, options),
          Layer.provideMerge(
            withoutSilentConnections(server),
            // The HTTP server would wait for the open WebSockets before they are told to go.
            NodeHttpServer.layer(() => server, { ...listenOptions(options), disablePreemptiveShutdown: true })
          )
        )
      }
    )
  )

/**
 * The same as {@link layerHttp}, with options that are configured. Fails with a `ConfigError`, too.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttpConfig = (
  options: Config.Wrap<ListeningOptions>
): Layer.Layer<
  Layer.Success<ReturnType<typeof layerHttp>>,
  InvalidOptionError | HttpServerError.ServeError | Config.ConfigError
> => Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layerHttp(options)))

/**
 * Lets go, at the end, of connections over which nothing has come yet: browsers open some in advance, and an `http.Server` that
 * closes waits a minute for their first request.
 */
const withoutSilentConnections = (server: Http.Server): Layer.Layer<never> =>
  Layer.effectDiscard(
    Effect.acquireRelease(
      Effect.sync(() => {
        const connections = new Set<Socket>()
        // Over TLS the handshake has been read by then, but not of what it carries.
        server.on(server instanceof Https.Server ? "secureConnection" : "connection", (socket: Socket) => {
          connections.add(socket)
          socket.once("close", () => connections.delete(socket))
        })
        return connections
      }),
      (connections) =>
        Effect.sync(() => {
          for (const connection of connections) if (connection.bytesRead === 0) connection.destroy()
        })
    )
  )

const createServer = (
  { tls }: ListeningOptions<any>,
  onRequest?: Http.RequestListener
): Effect.Effect<Http.Server, InvalidOptionError> =>
  Effect.try({
    try: () => (tls === undefined ? Http.createServer(onRequest) : Https.createServer(tls, onRequest)),
    catch: (cause) => new InvalidOptionError({ option: "tls", problem: String(cause) })
  })

const listenOptions = ({ backlog, host, port }: ListeningOptions<any>): ListenOptions => ({
  port,
  backlog: backlog ?? 4096,
  ...(host === undefined ? {} : { host })
})

const listen = (server: Http.Server, options: ListeningOptions<any>): Effect.Effect<void, ListenError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<void, ListenError>((resume) => {
      const onError = (cause: Error) => resume(Effect.fail(new ListenError({ message: cause.message, cause })))
      server.once("error", onError)
      server.listen(listenOptions(options), () => {
        server.off("error", onError)
        resume(Effect.void)
      })
    }),
    () => stopListening(server)
  )

const stopListening = (server: Http.Server): Effect.Effect<void> =>
  Effect.sync(() => server.listening && server.close())

/** Waits until the last connection of a closed server has ended; cuts those that have not in time. */
const awaitClosed = (server: Http.Server, timeout: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    server.closeIdleConnections()
    server.getConnections((error, count) => {
      if (error !== null || count === 0) resume(Effect.void)
      else server.once("close", () => resume(Effect.void))
    })
  }).pipe(
    Effect.timeoutOption(Duration.millis(timeout)),
    Effect.andThen(Effect.sync(() => server.closeAllConnections()))
  )

const addressOf = (server: Http.Server): string => {
  const { address, family, port } = server.address() as AddressInfo
  const host = address === "::" || address === "0.0.0.0" ? "localhost" : family === "IPv6" ? `[${address}]` : address
  return `${server instanceof Https.Server ? "https" : "http"}://${host}:${port}`
}
