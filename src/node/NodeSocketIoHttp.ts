/**
 * The Socket.IO server and an Effect `HttpServer` on one port, for applications with an
 * `HttpRouter`, `HttpApi` or RPC beside their namespaces.
 *
 * This module needs `@effect/platform-node`, an optional peer dependency:
 * `npm install @effect/platform-node`. It is not part of `effect-socket.io/node`, so servers
 * without it neither install nor load that package. Import it from
 * `effect-socket.io/node/NodeSocketIoHttp`.
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as NodeServices from "@effect/platform-node/NodeServices"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Etag from "effect/http/Etag"
import type * as HttpPlatform from "effect/http/HttpPlatform"
import type * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as Layer from "effect/Layer"

import { separate } from "../engine/OptionReaders.ts"
import type { SocketIoServer } from "../server/SocketIoServer.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { createServer, LISTENING, listenOptions, withoutSilentConnections } from "./internal/httpServer.ts"
import { layerAttached, type ListeningOptions } from "./NodeSocketIoServer.ts"

/**
 * The services of {@link layer}: the Socket.IO server, the HTTP server, and the services that
 * `NodeHttpServer.layer` gives beside it.
 *
 * @since 0.1.0
 * @category models
 */
export type Services =
  | SocketIoServer
  | HttpServer.HttpServer
  | HttpPlatform.HttpPlatform
  | Etag.Generator
  | NodeServices.NodeServices

/**
 * A Socket.IO server and an Effect `HttpServer` on one `http.Server` and port.
 *
 * **Details**
 *
 * Provide it to `HttpRouter.serve(…)`, or any application on `HttpServer`, and to the namespaces'
 * layers together. Requests for the Socket.IO path never reach the router. The options are those of
 * `NodeSocketIoServer.layer`.
 *
 * Fails with `InvalidOptionError` on an option that makes no sense, and with `ServeError` if it
 * cannot listen. Closing the layer's scope ends the connections of the Socket.IO clients first (see
 * `SocketIoServer.make`), and then waits for the HTTP server's own requests.
 *
 * **Gotchas**
 *
 * The server listens before the namespaces and the router are built. A client that asks for a
 * namespace within the first two seconds waits for it. A request for a route that does not exist
 * yet is answered by Node with 404.
 *
 * `HttpRouter.serve` logs every request, except those of Socket.IO.
 *
 * **Example** (A router and a namespace on one port)
 *
 * ```ts
 * const Routes = HttpRouter.add("GET", "/health", HttpServerResponse.text("ok"))
 *
 * const Main = Layer.mergeAll(HttpRouter.serve(Routes), ChatLive).pipe(
 *   Layer.provide(NodeSocketIoHttp.layer({ port: 3000 }))
 * )
 *
 * NodeRuntime.runMain(Layer.launch(Main))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(
  options: ListeningOptions<R>
): Layer.Layer<Services, InvalidOptionError | HttpServerError.ServeError, R> =>
  Layer.unwrap(
    Effect.map(createServer(options), (server) =>
      Layer.provideMerge(
        layerAttached(server, separate(options, LISTENING)[1]),
        Layer.provideMerge(
          Layer.effectDiscard(withoutSilentConnections(server)),
          // With its preemptive shutdown, the HTTP server would wait for WebSockets that were not
          // told to close yet.
          NodeHttpServer.layer(() => server, { ...listenOptions(options), disablePreemptiveShutdown: true })
        )
      )
    )
  )

/**
 * The same as {@link layer}, with configured options: each option is a `Config`, or all of them are
 * one, such as `NodeConfig.listening`. It also fails with a `ConfigError`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<ListeningOptions>
): Layer.Layer<Services, InvalidOptionError | HttpServerError.ServeError | Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layer(options)))
