import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { InvalidOptionError } from "../../../SocketIoError.ts"
import type { Overflow, OverflowError, StreamOptions } from "../../../StreamOptions.ts"
import { ClosingTime } from "../../ClosingTime.ts"
import type * as Drain from "../../Drain.ts"
import type { EngineBytes, EngineTraffic } from "../../EngineMetrics.ts"
import { type EngineOptions, resolve, type ResolvedEngineOptions } from "../../EngineOptions.ts"
import type { EngineRequest, HttpExchange } from "../../EngineRequest.ts"
import type { EngineSession, SessionHandler } from "../../EngineSession.ts"
import * as HandshakeError from "../../HandshakeError.ts"
import type { Headers } from "../../HttpHeaders.ts"
import * as Readiness from "../../Readiness.ts"
import { Routes } from "../../Routes.ts"
import * as TimerWheel from "../../TimerWheel.ts"
import type { AnyTransport, TransportDefinition } from "../../Transport.ts"
import { Transports } from "../../Transports.ts"
import type { UpgradeDecision } from "../../UpgradeDecision.ts"
import { Admission } from "../admission.ts"
import { makeReport } from "../application.ts"
import type { Passing } from "../leaving.ts"
import type { ShutdownStep } from "../mover.ts"
import type { Retirement } from "../retiring.ts"
import type { Session } from "../session/session.ts"
import { Entrance } from "./entrance.ts"
import { Moving } from "./moving.ts"
import { Requests, type RequestsServer } from "./requests.ts"
import { SessionRegistry, type RegistryServer } from "./registry.ts"
import { Shutdown, type ShutdownServer } from "./shutdown.ts"
import { Verification } from "./verification.ts"

/** Code that is told of refused requests. */
interface Events {
  readonly onRefused?: (error: HandshakeError.HandshakeError) => void
}

/** Makes an Engine.IO server. See `EngineServer.make`. */
export const make = Effect.fnUntraced(function* <R>(
  options: EngineOptions<R>,
  onSession: (session: Session) => SessionHandler,
  events: Events
): Effect.fn.Return<Server, InvalidOptionError, R | Scope.Scope> {
  // Only the heartbeat needs services of R, and its schedule has that type.
  const context = (yield* Effect.context<R>()) as Context.Context<never>
  const transports = yield* Transports
  const resolved = yield* resolve(
    options,
    transports.map(({ name }) => name)
  )
  const maxPause = Math.max(50, Math.min(1_000, resolved.pingInterval, resolved.pingTimeout))
  const wheel = yield* TimerWheel.make(Duration.millis(maxPause))
  // This is forked before the drain is added to the scope, so it closes after the drain: transports
  // flush while they drain.
  const scope = yield* Scope.fork(yield* Effect.scope)
  const readiness = yield* Readiness.make
  const server = new Server(resolved, transports, wheel, context, scope, onSession, events, readiness)
  const { byId, stats } = server.registry
  yield* Effect.acquireRelease(
    Effect.sync(() => stats.add(byId)),
    (remove) => Effect.sync(remove)
  )
  yield* Effect.addFinalizer(() => server.drain)
  return server
})

/** The parts of a server, put together. Its members have the docstrings of `EngineServer`. */
class Server extends Inspectable.Class implements RegistryServer, RequestsServer, ShutdownServer {
  readonly options: ResolvedEngineOptions
  readonly wheel: TimerWheel.TimerWheel
  readonly closing: ClosingTime
  readonly routes: Routes = new Routes()
  readonly registry: SessionRegistry
  readonly verification: Verification<Session>
  readonly admission: Admission
  readonly entrance: Entrance
  readonly moving: Moving
  private readonly requests: Requests
  private readonly shutdown: Shutdown
  private readonly readinessState: Readiness.ReadinessState
  readonly report: (message: string, defect: unknown) => void

  constructor(
    options: ResolvedEngineOptions,
    transports: ReadonlyArray<AnyTransport>,
    wheel: TimerWheel.TimerWheel,
    context: Context.Context<never>,
    scope: Scope.Closeable,
    onSession: (session: Session) => SessionHandler,
    events: Events,
    readiness: Readiness.ReadinessState
  ) {
    super()
    const now = () => wheel.now()
    const report = makeReport(context, now)
    const warn = (message: string) => void Effect.runForkWith(context)(Effect.logWarning(message))
    // Of two with one name, the later one is used.
    const byName = new Map(transports.map((transport) => [transport.name, transport]))
    const used = Array.from(byName.values()).filter(({ name }) => options.transports.includes(name))
    this.options = options
    this.wheel = wheel
    this.closing = new ClosingTime(options.drainTimeout, now)
    this.readinessState = readiness
    this.report = (message, defect) => report(message, Cause.die(defect))
    this.registry = new SessionRegistry(options, used, wheel, context, scope, onSession, this, report)
    for (const { name } of transports) this.registry.stats.addTransport(name)
    const { byId } = this.registry
    this.verification = new Verification(options, used, byId, (defect) =>
      this.report("a predicate of allowedOrigins failed", defect)
    )
    this.admission = new Admission(options, context, wheel, (id) => byId.has(id), report)
    this.entrance = new Entrance(options, this.admission, readiness, wheel, warn)
    this.moving = new Moving(byId, options.onShutdown, this.registry, readiness)
    this.shutdown = new Shutdown(options.drainTimeout, this)
    this.requests = new Requests(options, this, (error) => events.onRefused?.(error), report)
  }

  override toJSON(): unknown {
    return { _id: "EngineServer", sessionCount: this.sessionCount }
  }

  // ---------------------------------------------------------------- sessions

  get sessionCount(): number {
    return this.registry.openCount
  }

  get sessionsByTransport(): ReadonlyMap<string, number> {
    return this.registry.byTransport
  }

  readonly traffic = (): EngineTraffic => this.registry.stats.traffic()

  readonly trafficBytes = (): EngineBytes => this.registry.stats.bytes()

  sessions<O extends Exclude<Overflow, "suspend"> = "fail">(
    options: StreamOptions<O> = {}
  ): Stream.Stream<EngineSession, OverflowError<O>> {
    return this.registry.streams.open(options)
  }

  isTooLate({ details }: Session): boolean {
    return this.leavingError !== undefined || this.entrance.isFullFor(details.address)
  }

  onOpened({ details }: Session): void {
    this.entrance.add(details.address)
    this.moving.onOpened()
  }

  onClosed(session: Session): void {
    this.moving.onClosed(session)
  }

  onReleased(session: Session): void {
    this.shutdown.onReleased(session)
  }

  onPlaceLeft({ details }: Session): void {
    this.entrance.remove(details.address)
  }

  readonly terminate = (): void => this.registry.terminate()

  // ---------------------------------------------------------------- requests

  readonly responseHeaders = (request: EngineRequest): Headers => this.requests.responseHeaders(request)

  readonly handleRequest = (exchange: HttpExchange): void => this.requests.handle(exchange)

  readonly handleUpgrade = (request: EngineRequest, decide: (decision: UpgradeDecision) => void): (() => void) =>
    this.requests.connect("websocket", request, decide)

  readonly handleConnection = <Carrier>(
    definition: TransportDefinition<Carrier>,
    request: EngineRequest,
    decide: (decision: UpgradeDecision<Carrier>) => void
  ): (() => void) => this.requests.connect(definition, request, decide)

  readonly tagSessions = (tag: string): void => this.admission.tag(tag)

  // ---------------------------------------------------------------- readiness, moving, closing

  get readiness(): Effect.Effect<Readiness.Readiness> {
    return Effect.sync(() => this.readinessState.current)
  }

  get readinessChanges(): Stream.Stream<Readiness.Readiness> {
    return this.readinessState.changes
  }

  readonly notReady = (reason: Readiness.NotReady): Effect.Effect<void, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => this.readinessState.add(reason)),
      () => Effect.sync(() => this.readinessState.remove(reason))
    )

  get leavingError(): HandshakeError.HandshakeError | undefined {
    const { hasBegun } = this.shutdown
    if (!hasBegun && !this.moving.isRefusing) return undefined
    // A balancer may ask another server then.
    const context = hasBegun ? "the server is shutting down" : "the server is draining"
    return HandshakeError.make(4, context, undefined, 503)
  }

  readonly move = (options?: Drain.DrainOptions): Effect.Effect<Drain.DrainReport, InvalidOptionError> =>
    this.moving.move(options, Effect.void)

  readonly moveThen = (
    options: Drain.DrainOptions | undefined,
    last: Effect.Effect<void>
  ): Effect.Effect<Drain.DrainReport, InvalidOptionError> => this.moving.move(options, last)

  readonly moveForShutdown = (step?: ShutdownStep<Session>): Effect.Effect<void> => this.moving.moveForShutdown(step)

  readonly refuseForShutdown = (): void => this.moving.refuseForShutdown()

  readonly closeForShutdown = (sessions: ReadonlyArray<EngineSession>): Effect.Effect<void> =>
    this.shutdown.closeSessions(sessions, this.closing.left)

  readonly moveSession = (id: string, within: number): void => this.moving.moveOne(id, within)

  readonly retire = ({ id }: EngineSession, retirement: Retirement): void => this.moving.retire(id, retirement)

  readonly addPassing = (passing: Passing): (() => void) => this.moving.addPassing(passing)

  readonly forgetShutdown = (): void => {
    if (!this.shutdown.hasBegun) this.moving.forgetShutdown()
  }

  get drain(): Effect.Effect<void> {
    return this.shutdown.drain
  }

  get draining(): Effect.Effect<void> {
    return this.shutdown.whenBegun
  }

  get lastPolls(): Effect.Effect<void> {
    return this.shutdown.lastPolls
  }

  readonly drainTimeLeft = (): number => this.shutdown.timeLeft
}
