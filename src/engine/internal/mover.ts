import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

import type { SessionCloseReason } from "../../DisconnectReason.ts"
import type { DrainReport, ResolvedDrainOptions } from "../Drain.ts"
import type { ReadinessState } from "../Readiness.ts"
import type { TimerWheel } from "../TimerWheel.ts"
import { Credit, MAX_RATE, TICK } from "./credit.ts"
import { CLOSE_TIMEOUT, Leaving, type LeavingSession } from "./leaving.ts"
import { type Retirement, Retiring } from "./retiring.ts"
import { spread } from "./spread.ts"

/** The longest time that another server may give a session to move, in milliseconds. */
const MAX_WITHIN = 60_000

/** Steps of a shutdown that are further apart belong to different ones, in milliseconds. */
const APART = 1_000

/** The sessions of a server, as they are moved. */
export interface MovingServer<S extends LeavingSession> {
  /** Those that hold resources. */
  readonly sessions: Iterable<S>
  readonly wheel: TimerWheel
  readonly after: (millis: number, run: () => void) => () => void
}

/** A drain that is at work, or done: the server is not ready. */
interface Claim {
  /** The notice is over: new sessions are refused. */
  refuses: boolean
}

/** The part of a shutdown that moves sessions. Namespaces that close one after another share it. */
interface Shutdown extends Claim {
  readonly since: number
  steps: number
  lastStep: number
}

export interface ShutdownStep<S> {
  /** Whether a session has to leave in this step. */
  readonly concerns: (session: S) => boolean
  /** The rest of the step, when they have left. */
  readonly close: Effect.Effect<void>
  /** Whether the server still has something to do after the step, if no other one follows. */
  readonly isNeeded: () => boolean
}

/** A drain that moves sessions. */
interface Pacer {
  readonly end: number
  readonly rate: number
  moved: number
  cut: number
  inFlight: number
}

/**
 * Moves the sessions of a server to other servers: evenly over a time, and never more than a rate
 * allows. A later drain sets the pace for earlier ones that are still at work.
 */
export class Mover<S extends LeavingSession> {
  private readonly readiness: ReadinessState
  private readonly server: MovingServer<S>
  private readonly claims = new Set<Claim>()
  private readonly pacers: Array<Pacer> = []
  private readonly leaving = new Map<S, Leaving>()
  private shutdown: Shutdown | undefined
  /** Made with the first session that retires. */
  private retiring: Retiring<S> | undefined

  constructor(server: MovingServer<S>, readiness: ReadinessState) {
    this.server = server
    this.readiness = readiness
  }

  /** Whether a session is open, and does not leave yet. */
  private readonly isWaiting = (session: S): boolean => session.isOpen && !this.leaving.has(session)

  /** Whether new sessions are refused. */
  get isRefusing(): boolean {
    for (const { refuses } of this.claims) if (refuses) return true
    return false
  }

  /** The server ends: it is not ready any more, and takes no new sessions. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => this.announce({ refuses: true }))
  }

  /**
   * Moves all sessions, and then does something that is last. Interruption leaves those where they
   * are whose turn has not come, and the server is ready again.
   */
  move({ notice, over, rate }: ResolvedDrainOptions, last: Effect.Effect<void>): Effect.Effect<DrainReport> {
    return Effect.suspend(() => {
      const claim: Claim = { refuses: false }
      return Effect.gen({ self: this }, function* () {
        yield* this.announce(claim)
        yield* Effect.sleep(Duration.millis(notice))
        claim.refuses = true
        const report = yield* this.moveAll(this.server.wheel.now() + over, rate, () => true)
        yield* last
        return report
      }).pipe(Effect.onInterrupt(() => this.withdraw(claim)))
    })
  }

  /** The shutdown, which begins now unless it has. */
  private get begun(): Shutdown {
    return (this.shutdown ??= { refuses: false, since: this.server.wheel.now(), steps: 0, lastStep: 0 })
  }

  /** A shutdown has come so far that it takes no new sessions. */
  refuseForShutdown(): void {
    const shutdown = this.begun
    shutdown.refuses = true
    Effect.runSync(this.announce(shutdown))
  }

  /** A step of a shutdown: moves some sessions, at the pace that moves all of them in time. */
  moveForShutdown(
    { notice, over, rate }: ResolvedDrainOptions,
    { close, concerns, isNeeded }: ShutdownStep<S>
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { after, wheel } = this.server
      const shutdown = this.begun
      const noticed = shutdown.since + notice
      shutdown.steps++
      return Effect.gen({ self: this }, function* () {
        yield* this.announce(shutdown)
        yield* Effect.sleep(Duration.millis(Math.max(0, noticed - wheel.now())))
        shutdown.refuses = true
        yield* this.moveAll(noticed + over, rate, concerns)
        yield* close
      }).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            shutdown.steps--
            shutdown.lastStep = wheel.now()
            // A namespace that closes alone is no shutdown: nothing follows.
            after(APART, () => {
              const isOver = shutdown.steps === 0 && wheel.now() - shutdown.lastStep >= APART
              if (isOver && isNeeded()) this.forgetShutdown(shutdown)
            })
          })
        )
      )
    })
  }

  /** Something opens, so it was no shutdown. */
  forgetShutdown(shutdown = this.shutdown): void {
    if (shutdown === undefined || shutdown !== this.shutdown) return
    this.shutdown = undefined
    Effect.runFork(this.withdraw(shutdown))
  }

  /** A session has ended. */
  onClosed(session: S): void {
    this.retiring?.delete(session)
    this.leaving.get(session)?.onEnded()
  }

  /** Closes a session of a server that goes on, in its turn. */
  retire(session: S, retirement: Retirement): void {
    this.retiring ??= new Retiring<S>(this.server.wheel, {
      isWaiting: this.isWaiting,
      begin: (session, { reason, within }) => {
        this.start(session, this.server.wheel.now() + within, () => {}, reason)
      }
    })
    this.retiring.add(session, retirement)
  }

  private announce(claim: Claim): Effect.Effect<void> {
    return Effect.sync(() => {
      if (this.claims.has(claim)) return
      this.claims.add(claim)
      this.readiness.add("draining")
    })
  }

  private withdraw(claim: Claim): Effect.Effect<void> {
    return Effect.sync(() => {
      if (this.claims.delete(claim)) this.readiness.remove("draining")
    })
  }

  /** Moves sessions until none is left, and waits until all of them have ended. */
  private moveAll(end: number, rate: number, concerns: (session: S) => boolean): Effect.Effect<DrainReport> {
    const pacer: Pacer = { end, rate, moved: 0, cut: 0, inFlight: 0 }
    const { pacers, server } = this
    const { isWaiting } = this
    return Effect.gen({ self: this }, function* () {
      let queue: Array<S> = []
      let at = 0
      /** The sessions that are moved after these. */
      let later = 0
      const credit = new Credit(server.wheel.now())
      const count = Array.from(server.sessions).filter(isWaiting).length
      const seconds = Math.ceil(count / Math.min(rate, MAX_RATE))
      // A supervisor may have less patience.
      if (seconds * 1_000 > Math.max(end - server.wheel.now() + TICK, APART)) {
        yield* Effect.logWarning(`the drain of ${count} connections takes ${seconds} s, as its rate is ${rate}`)
      }
      for (;;) {
        if (at === queue.length) {
          // Sessions whose opening was under way have come since.
          const waiting = Array.from(server.sessions).filter(isWaiting)
          // Clients come back after a delay of their kind. Sessions of one kind may be neighbours:
          // if they left together, the last ones of a slow kind would come back with the first ones
          // of a quick one.
          queue = spread(waiting.filter(concerns))
          at = 0
          later = waiting.length - queue.length
          if (queue.length === 0 && !this.awaits(concerns)) break
        }
        const now = server.wheel.now()
        const isPacing = pacer === pacers[pacers.length - 1]
        const left = queue.length - at + later - credit.value
        credit.earn(now, isPacing ? Math.min(left / Math.max(TICK, end - now), rate / 1_000) : 0)
        for (; at < queue.length; at++) {
          const session = queue[at]!
          // Those that have left by themselves cost nothing.
          if (!isWaiting(session)) continue
          if (!isPacing || !credit.spend()) break
          this.begin(session, pacer)
        }
        yield* Effect.sleep(Duration.millis(TICK))
      }
      const { cut, inFlight, moved } = pacer
      return { moved, cut, inFlight }
    }).pipe((moving) =>
      Effect.acquireUseRelease(
        Effect.sync(() => pacers.push(pacer)),
        () => moving,
        () => Effect.sync(() => pacers.splice(pacers.indexOf(pacer), 1))
      )
    )
  }

  /** Moves a session of a server that goes on. */
  moveOne(session: S, within: number): void {
    const { wheel } = this.server
    if (this.isWaiting(session)) {
      this.start(session, wheel.now() + Math.min(within, MAX_WITHIN), () => {})
    }
  }

  private begin(session: S, pacer: Pacer): void {
    const until = Math.max(this.server.wheel.now() + CLOSE_TIMEOUT, pacer.end)
    this.start(session, until, ({ inFlight, isCut }) => {
      if (isCut) pacer.cut++
      else pacer.moved++
      pacer.inFlight += inFlight
    })
  }

  private start(
    session: S,
    until: number,
    onEnd: (leaving: Leaving) => void,
    reason: SessionCloseReason = "server shutting down"
  ): void {
    const leaving = new Leaving(session, this.server.wheel, until, reason, (leaving) => {
      this.leaving.delete(session)
      onEnd(leaving)
    })
    this.leaving.set(session, leaving)
    try {
      leaving.start()
    } catch (defect) {
      session.onDefect(defect)
    }
  }

  /** Whether sessions of a drain are still on their way. */
  private awaits(concerns: (session: S) => boolean): boolean {
    for (const session of this.leaving.keys()) if (concerns(session)) return true
    return false
  }
}
