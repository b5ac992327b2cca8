/**
 * The life of a server that listens itself, on any platform: the steps of its beginning and its
 * end, for those who build an edge.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"

import * as EnginePath from "../engine/EnginePath.ts"
import type { EngineServer } from "../engine/EngineServer.ts"
import { NamespaceGrace } from "../internal/namespaceGrace.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import type { ListenError } from "./ListenError.ts"
import * as SocketIoServer from "./SocketIoServer.ts"

/**
 * A server of a platform, which does not listen yet.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listener<out R = never> {
  /** Makes the Socket.IO server, and brings the requests of the platform to it. */
  readonly make: Effect.Effect<SocketIoServer.SocketIoServerShape, InvalidOptionError, R | Scope.Scope>
  /** Listens until the scope closes. Returns the server's URL, without a path. */
  readonly listen: Effect.Effect<string, ListenError, Scope.Scope>
  /** Accepts no more connections. */
  readonly stop: Effect.Effect<void>
  /**
   * Waits until every connection has ended, and cuts those that are left after this time, in
   * milliseconds. It is run in any case, also if the server has never listened.
   */
  readonly awaitClosed: (time: number) => Effect.Effect<void>
  /** The path of the Socket.IO server, for the log. Default: `/socket.io`. */
  readonly path: string | undefined
}

type Prepared<R> = Effect.Effect<Listener<R>, InvalidOptionError>

/**
 * A server alone on its port. It listens before the namespaces that are provided with it are built.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R>(
  listener: Prepared<R>
): Layer.Layer<SocketIoServer.SocketIoServer, InvalidOptionError | ListenError, Exclude<R, Scope.Scope>> =>
  Layer.effect(
    SocketIoServer.SocketIoServer,
    Effect.map(
      make(listener, () => Effect.void),
      ([server]) => server
    )
  )

/**
 * Builds namespaces, and then listens.
 *
 * @since 0.1.0
 * @category layers
 */
export const serve = <A, E, R, R2>(
  namespaces: Layer.Layer<A, E, R>,
  listener: Prepared<R2>
): Layer.Layer<
  SocketIoServer.SocketIoServer | A,
  E | InvalidOptionError | ListenError,
  Exclude<R2, Scope.Scope> | Exclude<R, SocketIoServer.SocketIoServer>
> =>
  Layer.effectContext(
    make(listener, (server, scope) =>
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
 * Makes a server, builds its namespaces in a scope that closes before the server does, and then
 * listens.
 */
const make = Effect.fnUntraced(function* <A, E, R, R2>(
  listener: Prepared<R2>,
  build: (server: SocketIoServer.SocketIoServerShape, scope: Scope.Scope) => Effect.Effect<A, E, R>
): Effect.fn.Return<
  readonly [server: SocketIoServer.SocketIoServerShape, built: A],
  E | InvalidOptionError | ListenError,
  R | R2 | Scope.Scope
> {
  const { awaitClosed, listen, make, path, stop } = yield* listener
  // The order at the end: close the namespaces, let the clients leave, stop listening once the
  // polling clients have come once more, and wait until every connection is closed. The steps share
  // the time of `drainTimeout`.
  let engine: EngineServer | undefined
  yield* Effect.addFinalizer(() => Effect.suspend(() => awaitClosed(engine?.drainTimeLeft() ?? 0)))
  const server = yield* make
  const attached = (engine = yield* server.engine)
  const namespaces = yield* Scope.fork(yield* Effect.scope)
  const built = yield* build(server, namespaces)
  const url = yield* listen
  yield* Effect.addFinalizer(() =>
    Effect.all([attached.drain, Effect.andThen(attached.lastPolls, stop)], { concurrency: "unbounded", discard: true })
  )
  yield* Effect.addFinalizer((exit) => Scope.close(namespaces, exit))
  yield* Effect.logInfo(`Socket.IO server listening on ${url}${EnginePath.normalize(path)}`)
  return [server, built]
})
