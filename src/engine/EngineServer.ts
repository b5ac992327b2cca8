/**
 * The Engine.IO server: the sessions by their ids, and the requests that open, feed, upgrade and
 * close them (Engine.IO protocol 4, and 3 where it is allowed).
 *
 * It is independent of the platform: an edge passes requests and WebSockets to it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { InvalidOptionError } from "../SocketIoError.ts"
import type { Overflow, OverflowError, StreamOptions } from "../StreamOptions.ts"
import type { ClosingTime } from "./ClosingTime.ts"
import type * as Drain from "./Drain.ts"
import type { EngineBytes, EngineTraffic } from "./EngineMetrics.ts"
import type { EngineOptions, ResolvedEngineOptions } from "./EngineOptions.ts"
import type { EngineRequest, HttpExchange } from "./EngineRequest.ts"
import type { EngineSession, SessionHandler } from "./EngineSession.ts"
import type { HandshakeError } from "./HandshakeError.ts"
import type { Passing } from "./internal/leaving.ts"
import type { ShutdownStep } from "./internal/mover.ts"
import type { Retirement } from "./internal/retiring.ts"
import * as Server from "./internal/server/server.ts"
import { handlerOf, HOLD } from "./internal/sessionEffects.ts"
import type * as Readiness from "./Readiness.ts"
import type { Routes } from "./Routes.ts"
import type { TimerWheel } from "./TimerWheel.ts"
import type { TransportDefinition } from "./Transport.ts"
import type { UpgradeDecision } from "./UpgradeDecision.ts"

export type { UpgradeDecision } from "./UpgradeDecision.ts"

/**
 * The Engine.IO server.
 *
 * **Details**
 *
 * {@link make} and {@link run} make one. It does nothing until an edge passes requests to it: in
 * Node, `NodeEngine.attach`. A server of namespaces has one of its own.
 *
 * @since 0.1.0
 * @category models
 */
export interface EngineServer {
  readonly options: ResolvedEngineOptions
  /**
   * The timer that all sessions share. Code on top of the engine uses it for deadlines, too.
   * @internal
   */
  readonly wheel: TimerWheel
  /**
   * The time of a shutdown, which includes closing everything on top of the engine. @internal
   */
  readonly closing: ClosingTime
  /** The number of open sessions. */
  readonly sessionCount: number
  /** The number of open sessions by the transports that they use now. */
  readonly sessionsByTransport: ReadonlyMap<string, number>
  /** The counts since the start, of all servers that share this one's metrics. */
  readonly traffic: () => EngineTraffic
  /** The same for bytes. It takes time for each session. */
  readonly trafficBytes: () => EngineBytes
  /**
   * Streams the sessions that open from now on. The stream ends with the server.
   *
   * **Details**
   *
   * A server that is made without a handler holds the first 1,000 messages of each session, of
   * 8 MiB, for the first stream of its `messages`, and then stops reading from the client; see
   * {@link make}.
   */
  sessions<O extends Exclude<Overflow, "suspend"> = "fail">(
    options?: StreamOptions<O>
  ): Stream.Stream<EngineSession, OverflowError<O>>
  /** Handles an HTTP request for the engine's path that is no upgrade. */
  readonly handleRequest: (exchange: HttpExchange) => void
  /**
   * Decides on a request to upgrade to a WebSocket, before it is answered, and calls back once:
   * maybe later, if the application decides. Returns the function to call if the peer disconnects
   * before that.
   */
  readonly handleUpgrade: (request: EngineRequest, decide: (decision: UpgradeDecision) => void) => () => void
  /** The same for a connection of another kind, which becomes a transport with this definition. */
  readonly handleConnection: <Carrier>(
    definition: TransportDefinition<Carrier>,
    request: EngineRequest,
    decide: (decision: UpgradeDecision<Carrier>) => void
  ) => () => void
  /**
   * Refuses new sessions, closes open ones with reason `server shutting down`, waits until their
   * messages are sent, and cuts the rest after `drainTimeout`. The server's scope does this when it
   * closes. A second drain does no harm and takes no longer: the time counts from the first one, or
   * from a shutdown that began right before. With `onShutdown`, sessions are moved first, as
   * {@link move} does.
   */
  readonly drain: Effect.Effect<void>
  /** Whether new clients should come. `draining` once {@link move} or a shutdown has begun. */
  readonly readiness: Effect.Effect<Readiness.Readiness>
  /** The readiness, and then each change. A slow reader delays nothing. */
  readonly readinessChanges: Stream.Stream<Readiness.Readiness>
  /** The server is not ready for this reason until the scope closes. */
  readonly notReady: (reason: Readiness.NotReady) => Effect.Effect<void, never, Scope.Scope>
  /** The answers to requests for other paths than the engine's. */
  readonly routes: Routes
  /**
   * Moves all sessions to other servers, a few at a time. Each is closed with reason
   * `server shutting down` after its waiting messages were sent. Messages that the client had sent
   * before it knew are still handled. New sessions are refused with status 503 when `notice` is
   * over, and from then on.
   *
   * Fails with `InvalidOptionError` on an option that makes no sense. Interruption leaves sessions
   * whose turn has not come where they are, and the server is ready again.
   */
  readonly move: (options?: Drain.DrainOptions) => Effect.Effect<Drain.DrainReport, InvalidOptionError>
  /** The same, with an effect that belongs to it. @internal */
  readonly moveThen: (
    options: Drain.DrainOptions | undefined,
    last: Effect.Effect<void>
  ) => Effect.Effect<Drain.DrainReport, InvalidOptionError>
  /**
   * A step of a shutdown. With `onShutdown` the sessions that are concerned move first. Default:
   * all sessions, and nothing else.
   * @internal
   */
  readonly moveForShutdown: (step?: ShutdownStep<EngineSession>) => Effect.Effect<void>
  /** The end is near: the server is not ready any more, and refuses new sessions. @internal */
  readonly refuseForShutdown: () => void
  /** Closes sessions as a shutdown does, within its time. @internal */
  readonly closeForShutdown: (sessions: ReadonlyArray<EngineSession>) => Effect.Effect<void>
  /** Moves one session, because a server that passes its connection on is to end. @internal */
  readonly moveSession: (id: string, within: number) => void
  /**
   * Closes a session whose time is over, after its waiting messages were sent. Of many at once,
   * each waits for its turn. @internal
   */
  readonly retire: (session: EngineSession, retirement: Retirement) => void
  /**
   * A connection passes through this server to the owner of its session: it moves with the others.
   * Returns the function to call when it has closed.
   * @internal
   */
  readonly addPassing: (passing: Passing) => () => void
  /** The refusal of new sessions, if there must be no more. @internal */
  readonly leavingError: HandshakeError | undefined
  /** Something opens, so it was no shutdown. @internal */
  readonly forgetShutdown: () => void
  /**
   * Waits, during a drain, until every polling client has come once more to learn of the end.
   * @internal
   */
  readonly lastPolls: Effect.Effect<void>
  /** Waits until a drain begins. @internal */
  readonly draining: Effect.Effect<void>
  /**
   * Puts the tag of this server in front of the ids of new sessions (see `SessionId`). The ids of
   * `generateId` stay as they are. @internal
   */
  readonly tagSessions: (tag: string) => void
  /** The rest of `drainTimeout`, in milliseconds: all of it before the drain. */
  readonly drainTimeLeft: () => number
  /**
   * Drops every session at once, with its messages: the end of a drain that clients do not answer.
   * @internal
   */
  readonly terminate: () => void
  /** Logs an error that the edge has thrown, which is a bug. @internal */
  readonly report: (message: string, defect: unknown) => void
  /** Returns the headers that every response carries. */
  readonly responseHeaders: (request: EngineRequest) => Readonly<Record<string, string | Array<string>>>
}

/**
 * Events of an engine beside its sessions.
 *
 * @since 0.1.0
 * @category models
 */
export interface EngineEvents {
  /** A request was refused. Called synchronously; an error that it throws is logged. */
  readonly onRefused?: (error: HandshakeError) => void
}

/**
 * Makes an Engine.IO server. Applications use {@link run}, or the server's `sessions`. `onSession`
 * is for code that needs the messages synchronously.
 *
 * **Details**
 *
 * `onSession` is called synchronously when a session has opened, and returns the handler of its
 * messages. Without it the messages go to the streams of the session.
 *
 * Closing the scope refuses new sessions, closes open ones with reason `server shutting down`,
 * waits until their messages are sent, and cuts the rest after `drainTimeout`. Fails with
 * `InvalidOptionError` on an option that makes no sense.
 *
 * **Gotchas**
 *
 * Without `onSession`, reading from the client of a session stops when 1,000 messages, or 8 MiB,
 * wait for a first reader. Run `session.messages()` even if you drop all messages.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* <R = never>(
  options: EngineOptions<R>,
  onSession?: (session: EngineSession) => SessionHandler,
  events: EngineEvents = {}
): Effect.fn.Return<EngineServer, InvalidOptionError, R | Scope.Scope> {
  return yield* Server.make(options, onSession ?? HOLD, events)
})

/**
 * Makes an Engine.IO server that runs an effect for each session.
 *
 * **Details**
 *
 * The effect starts when the session opens, in a scope of its own. The session closes when the
 * effect ends: with reason `forced close`, or with `internal error` if it has failed, which is
 * logged. When the session ends first, the effect is interrupted after the streams of the session's
 * messages have been read to their ends. Closing the server's scope closes the sessions (see
 * {@link make}), and waits for the effects.
 *
 * **Gotchas**
 *
 * An effect that does not read the messages must drop them, for example with
 * `Effect.forkScoped(Stream.runDrain(session.messages()))`: the first 1,000, of 8 MiB, are held
 * for it, and then reading from the client stops.
 *
 * Work after the end of a stream may be interrupted if it takes time: put it into a finalizer.
 *
 * **Example** (An echo server)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import { EngineServer } from "effect-socket.io/engine"
 * import { NodeEngine } from "effect-socket.io/node"
 * import * as Http from "node:http"
 *
 * const echo = Effect.gen(function* () {
 *   const engine = yield* EngineServer.run({}, (session) => Stream.run(session.messages(), session.sink))
 *   const server = Http.createServer().listen(3000)
 *   yield* NodeEngine.attach(engine, server)
 *   return yield* Effect.never
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = Effect.fnUntraced(function* <E, R2, R = never>(
  options: EngineOptions<R>,
  onSession: (session: EngineSession) => Effect.Effect<unknown, E, R2>,
  events: EngineEvents = {}
): Effect.fn.Return<EngineServer, InvalidOptionError, R | Exclude<R2, Scope.Scope> | Scope.Scope> {
  const context = yield* Effect.context<Exclude<R2, Scope.Scope>>()
  // This is forked before the engine is added to the scope, so it closes after the engine: it waits
  // for the effects of all sessions.
  const scope = yield* Scope.fork(yield* Effect.scope, "parallel")
  return yield* Server.make(options, handlerOf(onSession, context, scope), events)
})
