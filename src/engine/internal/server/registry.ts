import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

import type { ResolvedEngineOptions } from "../../EngineOptions.ts"
import type { EngineRequest } from "../../EngineRequest.ts"
import type { SessionClose, SessionHandler } from "../../EngineSession.ts"
import type { TimerWheel } from "../../TimerWheel.ts"
import type { AnyTransport, ServerTransport, TransportDefinition } from "../../Transport.ts"
import type { Report } from "../application.ts"
import { Heartbeat } from "../heartbeat.ts"
import { Inflow } from "../session/inflow.ts"
import { Outflow } from "../session/outflow.ts"
import type { SessionOwner } from "../session/owner.ts"
import { Session } from "../session/session.ts"
import { SessionStreams } from "../sessionEffects.ts"
import { type EngineStats, statsOf } from "../stats.ts"
import { revisionOf } from "./verification.ts"

/** The server of the sessions. */
export interface RegistryServer {
  /**
   * Whether a session may not open any more, though its request was admitted: others have taken the
   * last place, or the server has closed.
   */
  isTooLate(session: Session): boolean
  onOpened(session: Session): void
  onClosed(session: Session): void
  onReleased(session: Session): void
  /** A session that was released counts as a connection no more. */
  onPlaceLeft(session: Session): void
}

/**
 * The sessions of a server by their ids. It opens them, has everything that they share, and counts
 * them until they have released their resources.
 */
export class SessionRegistry implements SessionOwner<Session> {
  /** Those that hold resources: open ones, and closed ones whose transport is still flushing. */
  readonly byId = new Map<string, Session>()
  /** The numbers of open sessions by the transports that they use now. */
  readonly byTransport = new Map<string, number>()
  openCount = 0
  /** The sessions that keep their places after their end, and whether they were released. */
  private readonly kept = new Map<Session, boolean>()
  readonly options: ResolvedEngineOptions
  readonly wheel: TimerWheel
  readonly scope: Scope.Closeable
  readonly stats: EngineStats
  readonly heartbeat: Heartbeat
  readonly inflow: Inflow
  readonly outflow: Outflow
  readonly streams: SessionStreams
  readonly now: () => number
  readonly after: (millis: number, run: () => void) => () => void
  readonly closeScope: (scope: Scope.Closeable) => void
  /** The names of the transports that clients may upgrade to. */
  private readonly upgrades: ReadonlyArray<string>
  private readonly onSession: (session: Session) => SessionHandler
  private readonly server: RegistryServer
  private readonly report: Report

  constructor(
    options: ResolvedEngineOptions,
    transports: ReadonlyArray<AnyTransport>,
    wheel: TimerWheel,
    context: Context.Context<never>,
    scope: Scope.Closeable,
    onSession: (session: Session) => SessionHandler,
    server: RegistryServer,
    report: Report
  ) {
    const runFork = Effect.runForkWith(context)
    this.options = options
    this.wheel = wheel
    this.scope = scope
    this.now = () => wheel.now()
    this.after = (millis, run) => {
      const fiber = runFork(Effect.andThen(millis === 0 ? Effect.yieldNow : Effect.sleep(millis), Effect.sync(run)))
      return () => fiber.interruptUnsafe()
    }
    this.closeScope = (scope) => void runFork(Scope.close(scope, Exit.void))
    this.stats = statsOf(context)
    this.heartbeat = new Heartbeat(options, wheel, context)
    this.outflow = new Outflow(options, this.stats, this.after)
    this.inflow = new Inflow(this.stats, this.heartbeat, this.outflow)
    this.streams = new SessionStreams(scope)
    this.upgrades = transports.flatMap(({ name, upgrade }) => (upgrade === undefined ? [] : [name]))
    this.onSession = onSession
    this.server = server
    this.report = report
  }

  /**
   * Opens a session. `onStarted` is called before the session has a handler, and also if it has
   * ended by then.
   */
  open<Carrier>(
    id: string,
    request: EngineRequest,
    definition: TransportDefinition<Carrier>,
    carrier: Carrier,
    onStarted?: (session: Session) => void
  ): void {
    const session = new Session(id, revisionOf(request), request.details(), this)
    session.take(definition, carrier)
    const isTooLate = this.server.isTooLate(session)
    this.byId.set(session.id, session)
    this.openCount++
    this.countTransport(session.transport, 1)
    this.stats.opened++
    this.server.onOpened(session)
    session.start()
    if (isTooLate) session.terminate()
    onStarted?.(session)
    // A handler would never be told of an end that has already happened.
    if (!session.isOpen) return
    try {
      session.handler = this.onSession(session)
      session.handler.onOpen()
    } catch (defect) {
      session.onDefect(defect)
    }
    this.streams.onSession(session)
  }

  /** Drops every session at once, with its messages. */
  terminate(): void {
    for (const session of Array.from(this.byId.values())) session.terminate()
  }

  upgradesOf({ handover, name }: ServerTransport): ReadonlyArray<string> {
    if (!this.options.allowUpgrades || handover === undefined) return []
    return this.upgrades.filter((other) => other !== name)
  }

  onTransportChanged(from: string, to: string): void {
    this.countTransport(from, -1)
    this.countTransport(to, 1)
  }

  onSessionClosed(session: Session, { reason }: SessionClose): void {
    this.openCount--
    this.countTransport(session.transport, -1)
    this.stats.onClosed(reason)
    this.server.onClosed(session)
  }

  onSessionReleased(session: Session): void {
    this.byId.delete(session.id)
    this.server.onReleased(session)
    if (this.kept.has(session)) this.kept.set(session, true)
    else this.server.onPlaceLeft(session)
  }

  keepPlace(session: Session): () => void {
    this.kept.set(session, false)
    return () => {
      const wasReleased = this.kept.get(session)
      this.kept.delete(session)
      if (wasReleased === true) this.server.onPlaceLeft(session)
    }
  }

  onSessionDefect(session: Session, defect: unknown): void {
    this.report("a session has failed", Cause.die(defect), { session: session.id })
  }

  private countTransport(name: string, change: number): void {
    this.byTransport.set(name, (this.byTransport.get(name) ?? 0) + change)
  }
}
