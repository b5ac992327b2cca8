/**
 * Health checks for balancers and Kubernetes: whether the process is alive, and whether new clients
 * should come to it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

import { ClusterStatus } from "../adapter/ClusterStatus.ts"
import type { HttpExchange } from "../engine/EngineRequest.ts"
import { group, type Names } from "../engine/OptionReaders.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { SocketIoServer } from "./SocketIoServer.ts"

/**
 * Options of {@link layerHealth}.
 *
 * @since 0.1.0
 * @category options
 */
export interface HealthOptions {
  /** The path of the check whether the process is alive. Default: `/livez`. */
  readonly livePath?: string
  /** The path of the check whether new clients should come. Default: `/readyz`. */
  readonly readyPath?: string
}

const NAMES: Names<HealthOptions> = { livePath: true, readyPath: true }

/**
 * Answers requests for two paths beside that of Socket.IO, at the edge that serves the server.
 *
 * **Details**
 *
 * - `/livez`: status 200 and `alive`, as soon and as long as the process answers at all. A
 *   supervisor restarts a process that does not.
 * - `/readyz`: status 200 and `ready`, or 503 and the reason: `SocketIoServer.readiness`.
 *
 * Both take GET and HEAD, and may not be cached. They are answered until the server has closed, and
 * not only until this layer closes, so that a balancer learns of a shutdown. They take no turn of
 * the event loop more than a file would, and show nothing of clients. A later layer with the same
 * path takes its place. Fails with `InvalidOptionError` on a path that is none, or that is below
 * that of Socket.IO.
 *
 * **Gotchas**
 *
 * A balancer that sends even requests of old sessions elsewhere once a server is not ready breaks
 * the sessions of clients that poll: `full` is a reason, too, if `limits.maxConnections` is set.
 *
 * **Example** (A server that balancers ask)
 *
 * ```ts
 * const Main = Layer.mergeAll(ChatLive, Health.layerHealth()).pipe(
 *   Layer.provide(NodeSocketIoServer.layer({ port: 3000, onShutdown: {} }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHealth = (options?: HealthOptions): Layer.Layer<never, InvalidOptionError, SocketIoServer> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { livePath = "/livez", readyPath = "/readyz" } = yield* group("", options, NAMES)
      const server = yield* SocketIoServer
      const { routes } = yield* server.engine
      const context = yield* Effect.context<never>()
      const runFork = Effect.runForkWith(context)
      yield* routes.add("livePath", livePath, (exchange) => answer(exchange, true, "alive"))
      yield* routes.add("readyPath", readyPath, (exchange) => {
        runFork(Effect.map(server.readiness, (readiness) => answer(exchange, readiness === "ready", readiness)))
      })
    })
  )

const answer = (exchange: HttpExchange, isWell: boolean, word: string): void => {
  const { method } = exchange.request
  const isRead = method === "GET" || method === "HEAD"
  const headers = {
    "content-type": "text/plain",
    "cache-control": "no-store",
    ...(isRead ? {} : { allow: "GET, HEAD" })
  }
  exchange.respond(!isRead ? 405 : isWell ? 200 : 503, headers, word)
}

/**
 * The server is not ready while it does not reach the others of its cluster: from the start until
 * the first connection, and in every outage. Needs the `ClusterStatus` of the adapter's layer.
 *
 * **Gotchas**
 *
 * Such a server still serves its own clients, and an outage of the broker makes all servers not
 * ready at once: choose this only if clients are better off without a server than without the
 * clients of others.
 *
 * **Example** (Not ready without Redis)
 *
 * ```ts
 * const Main = Layer.mergeAll(ChatLive, Health.layerHealth(), Health.layerClusterReadiness).pipe(
 *   Layer.provide(NodeSocketIoServer.layer({ port: 3000 })),
 *   Layer.provide(RedisAdapter.layer())
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClusterReadiness: Layer.Layer<never, never, SocketIoServer | ClusterStatus> = Layer.effectDiscard(
  Effect.gen(function* () {
    const server = yield* SocketIoServer
    const cluster = yield* ClusterStatus
    yield* cluster.changes.pipe(
      Stream.map(({ connected }) => connected),
      Stream.changes,
      Stream.switchMap((isConnected) =>
        isConnected
          ? Stream.empty
          : Stream.scoped(Stream.flatMap(Stream.fromEffect(server.notReady("disconnected")), () => Stream.never))
      ),
      Stream.runDrain,
      Effect.forkScoped({ startImmediately: true })
    )
  })
)
