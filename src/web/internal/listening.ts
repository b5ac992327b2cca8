/** The life of a server that listens itself, on any platform: its steps, in their order. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"

import * as EnginePath from "../../engine/EnginePath.ts"
import type { EngineServer } from "../../engine/EngineServer.ts"
import { type Names, separate } from "../../engine/OptionReaders.ts"
import { ListenError } from "../../server/ListenError.ts"
import { NamespaceGrace, type ServerOptions } from "../../server/ServerOptions.ts"
import * as SocketIoServer from "../../server/SocketIoServer.ts"
import { InvalidOptionError } from "../../SocketIoError.ts"
import { ATTACH_OPTIONS, type AttachOptions } from "../WebEngine.ts"

/** The address to listen on. The certificate has the form of the platform. */
export interface Listening {
  readonly port: number
  readonly host?: string
  readonly tls?: unknown
}

const LISTENING: Names<Listening> = { port: true, host: true, tls: true }

/** A server of the platform that listens. */
export interface Listener {
  readonly url: string
  /** Accepts no more connections. */
  readonly stop: () => void
  /** Resolves when no connection is left, after `stop`. */
  readonly ended: () => Promise<unknown>
  /** Closes what is left. */
  readonly cut: () => Promise<unknown>
}

/** The address of a server that listens, as a URL. */
export const urlOf = (hostname: string, port: number, secure: boolean): string => {
  const isAny = hostname === "::" || hostname === "0.0.0.0"
  const host = isAny ? "localhost" : hostname.includes(":") ? `[${hostname}]` : hostname
  return `${secure ? "https" : "http"}://${host}:${port}`
}

/** Checks the options. The result listens, and throws if it cannot. */
type Listen = (
  engine: EngineServer,
  options: AttachOptions,
  listening: Listening
) => Effect.Effect<() => Listener, InvalidOptionError>

/** The options of a server that listens itself. */
export type Options<R> = ServerOptions<R> & AttachOptions & Listening

/**
 * Makes a server, builds its namespaces in a scope that closes before the server does, and then
 * listens.
 */
const make = Effect.fnUntraced(function* <A, E, R, R2>(
  options: Options<R2>,
  listen: Listen,
  build: (server: SocketIoServer.SocketIoServerShape, scope: Scope.Scope) => Effect.Effect<A, E, R>
): Effect.fn.Return<
  readonly [server: SocketIoServer.SocketIoServerShape, built: A],
  E | InvalidOptionError | ListenError,
  R | R2 | Scope.Scope
> {
  const [listening, others] = separate(options as Options<never>, LISTENING)
  const [attachOptions, serverOptions] = separate(others, ATTACH_OPTIONS)
  const { port } = listening
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    return yield* new InvalidOptionError({ option: "port", problem: `must be from 0 to 65535, not ${port}` })
  }
  // The order at the end: close the namespaces, let the clients leave, stop listening once the
  // polling clients have come once more, and close what is left. The steps share the time of
  // `drainTimeout`.
  let listener: Listener | undefined
  let engine: EngineServer | undefined
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => (listener === undefined ? Effect.void : close(listener, engine!.drainTimeLeft())))
  )
  const shape = yield* SocketIoServer.make<R2>(serverOptions as ServerOptions<R2>)
  const attached = (engine = yield* shape.engine)
  const start = yield* listen(attached, { ...heldLike(options), ...attachOptions }, listening as Listening)
  const namespaces = yield* Scope.fork(yield* Effect.scope)
  const built = yield* build(shape, namespaces)
  const running = (listener = yield* Effect.try({
    try: start,
    catch: (cause) => new ListenError({ message: cause instanceof Error ? cause.message : String(cause), cause })
  }))
  yield* Effect.addFinalizer(() =>
    Effect.all([attached.drain, Effect.andThen(attached.lastPolls, Effect.sync(running.stop))], {
      concurrency: "unbounded",
      discard: true
    })
  )
  yield* Effect.addFinalizer((exit) => Scope.close(namespaces, exit))
  yield* Effect.logInfo(`Socket.IO server listening on ${running.url}${EnginePath.normalize(options.path)}`)
  return [shape, built]
})

/** Messages that wait for the session may take as much as events that wait for their handlers. */
const heldLike = ({ limits }: ServerOptions<any>): Pick<AttachOptions, "maxHeldBytes"> =>
  limits?.maxPendingBytes === undefined ? {} : { maxHeldBytes: limits.maxPendingBytes }

/** Waits for the last connections of a server that accepts no more, and cuts them after the time (ms). */
const close = (listener: Listener, time: number): Effect.Effect<void> =>
  Effect.promise(listener.ended).pipe(
    Effect.timeoutOption(Duration.millis(time)),
    Effect.flatMap((ended) => (Option.isSome(ended) ? Effect.void : Effect.promise(listener.cut)))
  )

/** A server alone on its port, for namespaces that are provided with it. */
export const layer = <R>(
  options: Options<R>,
  listen: Listen
): Layer.Layer<SocketIoServer.SocketIoServer, InvalidOptionError | ListenError, R> =>
  Layer.effect(
    SocketIoServer.SocketIoServer,
    Effect.map(
      make(options, listen, () => Effect.void),
      ([server]) => server
    )
  )

/** Builds namespaces, and then listens. */
export const serve = <A, E, R, R2>(
  namespaces: Layer.Layer<A, E, R>,
  options: Options<R2>,
  listen: Listen
): Layer.Layer<
  SocketIoServer.SocketIoServer | A,
  E | InvalidOptionError | ListenError,
  R2 | Exclude<R, SocketIoServer.SocketIoServer>
> =>
  Layer.effectContext(
    make(options, listen, (server, scope) =>
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
