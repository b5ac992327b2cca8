import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

import { IDLE, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { CompiledMiddleware } from "../../internal/compileContract.ts"
import { CONTROL_ID } from "../../internal/controlEvents.ts"
import { ConnectRefused } from "../../NamespaceMiddleware.ts"
import type { AwayRights, AwaySession } from "../../recovery/AwaySessions.ts"
import { authEnds, authRefreshes } from "../ServerMetrics.ts"
import { type InboundSocket, report, withHandler, withoutHandler } from "./answers.ts"
import { Decision, type End, expired } from "./expiry.ts"
import { ParkedRights, waitFor } from "./parkedRights.ts"
import type { EventHandler } from "./ports.ts"

/** The time in which a client of this library may move to a new connection, in milliseconds. */
const MOVE = 5_000

/** A socket, as its rights see it. */
export interface Entitled extends InboundSocket {
  readonly handshake: object
  disconnectUnsafe(close: boolean): void
}

/** The grant of one middleware. */
interface Grant {
  /** The service that it has provided. */
  readonly value: unknown
  readonly end: End | undefined
  /** The time at which the client is told; infinite if it is not, or knows. */
  noticeAt: number
  /** The refresh for which the middleware has run, if it was one. */
  readonly run: Run | undefined
}

/** A run of a middleware for a refresh. */
interface Run {
  readonly scope: Scope.Closeable
  /** The number of the fiber. Fibers with smaller ones are older: they do not know its service. */
  readonly fiber: number
}

/**
 * The rights of a socket whose middlewares limit them, or let the client refresh them. Other
 * sockets have none of this.
 *
 * It is the one entry in the server's timer, for all of the socket's ends and notices.
 */
export class Rights implements WheelEntry {
  bucket: number = IDLE
  private readonly socket: Entitled
  /** The context of the middlewares. */
  private readonly context: Context.Context<any>
  private readonly grants = new Map<CompiledMiddleware, Grant>()
  private handlers: ReadonlyArray<EventHandler> | undefined
  /** The services that refreshes have replaced. */
  private replaced: Context.Context<any> | undefined
  /** The end has come. */
  private isOver = false
  /** A refresh has shown that the client is somebody else now. */
  private isForeign = false

  constructor(socket: Entitled, context: Context.Context<any>) {
    this.socket = socket
    this.context = context
  }

  private get now(): number {
    return this.socket.connection.environment.wallNow()
  }

  /** Whether anything must be remembered of a middleware's decision. */
  static concerns({ service }: CompiledMiddleware, end: End | undefined): boolean {
    return end !== undefined || service.refresh !== undefined
  }

  // ---------------------------------------------------------------- grants

  /** A middleware has admitted the client. */
  grant(middleware: CompiledMiddleware, value: unknown, end: End | undefined): void {
    this.grants.set(middleware, { value, end, noticeAt: this.noticeAt(middleware, end), run: undefined })
  }

  /** The time of the notice: at most half of the rest before the end, or rounds would not end. */
  private noticeAt({ service }: CompiledMiddleware, end: End | undefined): number {
    if (end === undefined || service.refresh === undefined) return Infinity
    const left = end.told - this.now
    return left > 0 ? end.told - Math.min(end.notice, left / 2) : Infinity
  }

  /** The milliseconds until the end, as clients are told; `undefined` if there is none. */
  get expiresIn(): number | undefined {
    let told = Infinity
    for (const { end } of this.grants.values()) if (end !== undefined) told = Math.min(told, end.told)
    return told === Infinity ? undefined : Math.max(0, told - this.now)
  }

  /** The part of the answer to CONNECT that only clients of this library get. */
  get greeting(): object {
    const { expiresIn } = this
    return expiresIn === undefined ? {} : { auth: { expiresIn } }
  }

  get tellsUsers(): boolean {
    for (const { service } of this.grants.keys()) if (service.refresh !== undefined) return true
    return false
  }

  /** Whether the user is the same as in the rights of an earlier connection. */
  isSameAs(former: AwayRights | undefined): boolean {
    if (!(former instanceof ParkedRights)) return true
    for (const [middleware, { value }] of this.grants) {
      const { services } = former
      if (services.has(middleware) && !this.isSame(middleware, services.get(middleware), value)) return false
    }
    return true
  }

  private isSame({ service }: CompiledMiddleware, before: unknown, now: unknown): boolean {
    if (service.refresh === undefined) return true
    try {
      return service.refresh.same(before, now)
    } catch (defect) {
      report(this.socket, service.refresh.request._tag, Cause.die(defect))
      return false
    }
  }

  // ---------------------------------------------------------------- the end

  /** The socket is admitted, or its rights have changed. */
  schedule(): void {
    const { wheel } = this.socket.connection.environment
    let next = Infinity
    for (const { end, noticeAt } of this.grants.values()) {
      if (end !== undefined) next = Math.min(next, end.at, noticeAt)
    }
    if (next === Infinity || this.isOver) wheel.cancel(this)
    else wheel.schedule(this, waitFor(next - this.now))
  }

  onDeadline(): void {
    const { now } = this
    const ends: Array<End> = []
    for (const [middleware, grant] of this.grants) {
      const { end } = grant
      if (end === undefined) continue
      if (now >= end.at) ends.push(end)
      else if (now >= grant.noticeAt) {
        grant.noticeAt = Infinity
        this.tell(middleware, end)
      }
    }
    if (ends.length === 0) this.schedule()
    else this.finish(ends.some(({ leaves }) => leaves))
  }

  onDefect(defect: unknown): void {
    this.socket.connection.session.onDefect(defect)
  }

  private finish(leaves: boolean): void {
    const { connection, namespace } = this.socket
    const { environment, session } = connection
    this.isOver = true
    environment.observer.count(authEnds, { namespace: namespace.label, action: leaves ? "leave" : "reconnect" })
    environment.observer.debug("namespace", "auth expired", this.socket.annotations, connection)
    if (leaves) return this.socket.disconnectUnsafe(false)
    environment.retire(session, { reason: "auth expired", rate: environment.options.authRate, within: MOVE })
  }

  /** Tells the client that its rights end soon. */
  private tell({ service }: CompiledMiddleware, { told }: End): void {
    const { connection, isConnected, namespace } = this.socket
    const { environment, isOurs, isSilent, session } = connection
    if (service.refresh === undefined || !isConnected || isSilent) return
    const { notice, request } = service.refresh
    const expiresIn = Math.max(0, told - this.now)
    const { wire } = environment
    const data = [notice._tag, { expiresIn }]
    session.sendUnsafe(wire.event(namespace.name, { data, mayHaveBinary: false }, undefined, true))
    if (!isOurs) return
    session.sendUnsafe(wire.controlEvent(["~fx:auth", { event: request._tag, expiresIn }], CONTROL_ID, namespace.name))
  }

  /** The socket has ended. */
  stop(): void {
    this.socket.connection.environment.wheel.cancel(this)
  }

  /**
   * The session waits for its client. After a connection that was closed for the end of its rights
   * it waits as after any other: the client is asked to come back with new ones.
   */
  park(away: AwaySession<any>): AwayRights {
    let endsAt = Infinity
    const services = new Map<CompiledMiddleware, unknown>()
    for (const [middleware, { end, value }] of this.grants) {
      services.set(middleware, value)
      if (end !== undefined && !this.isOver) endsAt = Math.min(endsAt, end.at)
    }
    return new ParkedRights(this.socket.connection.environment, away, services, endsAt)
  }

  // ---------------------------------------------------------------- refreshes

  /** A context that was captured earlier, with the services that refreshes have replaced since. */
  current(context: Context.Context<any>): Context.Context<any> {
    return this.replaced === undefined ? context : Context.merge(context, this.replaced)
  }

  /** Adds a handler; gives the function that removes it. */
  addHandler(handler: EventHandler): () => void {
    this.handlers = withHandler(this.handlers, handler)
    return () => {
      this.handlers = withoutHandler(this.handlers, handler)
    }
  }

  /** Runs a middleware again, for an auth payload that came as `raw`. Gives the client's answer. */
  refresh(middleware: CompiledMiddleware, auth: unknown, raw: unknown): Effect.Effect<unknown, unknown> {
    return Effect.withFiber((fiber) => {
      const { connection, id, namespace, scope } = this.socket
      // Middlewares may read the payload there, too.
      const handshake = { ...this.socket.handshake, auth: typeof raw === "object" && raw !== null ? raw : {} }
      const { closing, options, wallNow } = connection.environment
      const decision = new Decision(wallNow, options.authTolerance)
      const own = Scope.forkUnsafe(scope)
      const { expires } = decision
      const decide = Context.getUnsafe(this.context, middleware.service)
      const verified: Effect.Effect<unknown, unknown, Scope.Scope> = Effect.suspend(() =>
        decide({ id, namespace: namespace.name, handshake, auth, expires })
      )
      return Scope.provide(verified, own).pipe(
        Effect.timeoutOrElse({
          duration: Duration.millis(options.connectTimeout),
          orElse: () => Effect.fail(new ConnectRefused({ message: "Connect timeout" }))
        }),
        Effect.flatMap((value) => this.take(middleware, value, decision.make(), { scope: own, fiber: fiber.id })),
        Effect.onExit((exit) => {
          this.count(exit)
          if (exit._tag === "Failure") closing.close(own, { annotations: this.socket.annotations, culprit: connection })
          return Effect.void
        }),
        Effect.flatMap((value) => this.runHandlers(middleware, value)),
        Effect.map(() => {
          const { expiresIn } = this
          return expiresIn === undefined ? {} : { expiresIn }
        })
      )
    })
  }

  /** The middleware has accepted the payload. */
  private take(
    middleware: CompiledMiddleware,
    value: unknown,
    end: End | undefined,
    run: Run
  ): Effect.Effect<unknown, ConnectRefused> {
    if (this.isOver || !this.socket.isConnected) return Effect.fail(expired())
    const before = this.grants.get(middleware)!
    if (!this.isSame(middleware, before.value, value)) {
      this.isForeign = true
      return Effect.fail(new ConnectRefused({ message: "Auth changed", data: { code: "changed" } }))
    }
    // The same end again brings no other notice: the client has no other one.
    const noticeAt = end?.at === before.end?.at ? before.noticeAt : this.noticeAt(middleware, end)
    this.grants.set(middleware, { value, end, noticeAt, run })
    const { provides } = middleware.service
    if (provides !== undefined) {
      this.replaced = Context.add(this.replaced ?? Context.empty(), provides, value)
      this.socket.provide(provides, value)
    }
    this.schedule()
    if (before.run !== undefined) this.release(before.run)
    return Effect.succeed(value)
  }

  /** Another run has taken the place of one. Handlers that may use its service go on. */
  private release({ fiber, scope }: Run): void {
    const { annotations, connection, running } = this.socket
    const users = running.filter(({ id }) => id > fiber)
    connection.environment.closing.close(scope, { annotations, culprit: connection, users })
  }

  private count(exit: Exit.Exit<unknown, unknown>): void {
    const { connection, namespace } = this.socket
    const result = exit._tag === "Success" ? "accepted" : "refused"
    connection.environment.observer.count(authRefreshes, { namespace: namespace.label, result })
  }

  /** Runs the handlers of refreshes one after another, and waits for them. */
  private runHandlers({ service }: CompiledMiddleware, value: unknown): Effect.Effect<void> {
    const event = service.refresh!.request._tag
    return Effect.forEach(
      this.handlers ?? [],
      ({ handle, run }) =>
        Effect.callback<void>((resume) => {
          const onExit = (exit: Exit.Exit<any, any>) => {
            if (exit._tag === "Failure") report(this.socket, event, exit.cause)
            resume(Effect.void)
          }
          this.socket.start(run, () => handle(event, [value]), onExit)
        }),
      { discard: true }
    )
  }

  /** The refresh is answered. */
  onAnswered(): void {
    if (this.isForeign) this.socket.connection.session.closeUnsafe("auth changed")
  }
}
