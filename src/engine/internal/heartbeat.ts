import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"

import type { EngineRevision } from "../EngineRequest.ts"
import type { Ping } from "../Heartbeat.ts"
import type { TimerWheel, WheelEntry } from "../TimerWheel.ts"

/** The meaning of a session's deadline. */
export type Beat =
  /** No deadline: the session is not open yet, or closed. */
  | { readonly _tag: "Stopped" }
  /** The next ping is due at the deadline. */
  | { readonly _tag: "PingDue" }
  /**
   * The pong is overdue at the deadline; `isExtended` after another packet has prolonged the wait.
   */
  | { readonly _tag: "PongDue"; readonly isExtended: boolean }
  /** The ping of a client of revision 3 is overdue at the deadline. */
  | { readonly _tag: "ClientPingDue" }

// All sessions share these values: the state of a heartbeat costs a session no memory of its own.
export const STOPPED: Beat = { _tag: "Stopped" }
const PING_DUE: Beat = { _tag: "PingDue" }
/** Sessions compare it with every message: a message is a sign of life in this state only. */
export const PONG_DUE: Beat = { _tag: "PongDue", isExtended: false }
const PONG_DUE_EXTENDED: Beat = { _tag: "PongDue", isExtended: true }
const CLIENT_PING_DUE: Beat = { _tag: "ClientPingDue" }

/**
 * The parts of a session that its heartbeat uses. The session itself is the entry of the timer
 * wheel.
 */
export interface Beating extends WheelEntry {
  beat: Beat
  /** Its run of the schedule, if the server has one. */
  pace: Pace | undefined
  readonly revision: EngineRevision
  /** The name of its transport. */
  readonly transport: string
  /** Whether its client is read. */
  readonly isReading: boolean
  sendPing(): void
  /** The client has been silent for too long. */
  onSilence(): void
  onDefect(defect: unknown): void
}

/** The options that a heartbeat needs, in milliseconds. */
export interface HeartbeatOptions {
  readonly pingInterval: number
  readonly pingTimeout: number
  readonly heartbeat: Schedule.Schedule<unknown, Ping> | undefined
}

/** The heartbeat of all sessions of a server: it sends pings, and notices overdue pongs. */
export class Heartbeat {
  readonly options: HeartbeatOptions
  readonly wheel: TimerWheel
  /** Services of the layer that made the server. */
  private readonly context: Context.Context<never>

  constructor(options: HeartbeatOptions, wheel: TimerWheel, context: Context.Context<never>) {
    this.options = options
    this.wheel = wheel
    this.context = context
  }

  /** The session has opened. */
  start(session: Beating): void {
    if (session.revision === 3) return this.awaitClient(session)
    const { heartbeat } = this.options
    if (heartbeat !== undefined) session.pace = new Pace(this, session, heartbeat, this.context)
    this.pause(session)
  }

  /** The session has ended. */
  stop(session: Beating): void {
    this.wheel.cancel(session)
    session.beat = STOPPED
    session.pace?.stop()
  }

  onDeadline(session: Beating): void {
    switch (session.beat._tag) {
      case "PingDue":
        return this.ping(session)
      case "PongDue":
        if (session.isReading) return session.onSilence()
        // The pong may wait unread. A ping that cannot be delivered reveals a broken connection.
        return this.ping(session)
      case "ClientPingDue":
        if (session.isReading) return session.onSilence()
        return this.awaitClient(session)
    }
  }

  /** A client of revision 3 has pinged. */
  onPing(session: Beating): void {
    this.awaitClient(session)
  }

  onPong(session: Beating): void {
    // A pong that answers no ping has no effect.
    if (session.beat._tag !== "PongDue") return
    this.wheel.cancel(session)
    session.pace?.onPong()
    this.pause(session)
  }

  /**
   * A message has come while the pong is due. A client that is busy sending something large is
   * alive, though its pong comes after that. This prolongs the wait once per ping.
   */
  onSignOfLife(session: Beating): void {
    session.beat = PONG_DUE_EXTENDED
    this.wheel.schedule(session, this.options.pingTimeout)
  }

  /** The client is read again: the packet that is due may come after those that were not read. */
  onResume(session: Beating): void {
    if (session.revision === 3) return this.awaitClient(session)
    if (session.beat._tag === "PongDue") this.awaitPong(session)
  }

  private ping(session: Beating): void {
    this.awaitPong(session)
    session.pace?.onPing()
    session.sendPing()
  }

  private awaitPong(session: Beating): void {
    session.beat = PONG_DUE
    this.wheel.schedule(session, this.options.pingTimeout)
  }

  private awaitClient(session: Beating): void {
    const { pingInterval, pingTimeout } = this.options
    session.beat = CLIENT_PING_DUE
    this.wheel.schedule(session, pingInterval + pingTimeout)
  }

  private pause(session: Beating): void {
    session.beat = PING_DUE
    // A session without a schedule costs a number, and no step.
    if (session.pace === undefined) this.wheel.schedule(session, this.options.pingInterval)
    else session.pace.next()
  }
}

type Step = (now: number, input: Ping) => Pull.Pull<[unknown, Duration.Duration], never, unknown>

type StepExit = Exit.Exit<[unknown, Duration.Duration], unknown>

/** One session's run of a heartbeat schedule. */
class Pace {
  private readonly heartbeat: Heartbeat
  private readonly session: Beating
  private readonly context: Context.Context<never>
  private readonly clock: Clock.Clock
  private stepping: Fiber.Fiber<[unknown, Duration.Duration], unknown> | undefined
  private isDone = false
  private step: Effect.Effect<Step>
  /** The number of pauses so far. A step that ends late belongs to an earlier pause. */
  private pauses = 0
  private pingedAt = 0
  private roundTrip = 0

  constructor(
    heartbeat: Heartbeat,
    session: Beating,
    schedule: NonNullable<HeartbeatOptions["heartbeat"]>,
    context: Context.Context<never>
  ) {
    this.heartbeat = heartbeat
    this.session = session
    this.context = context
    this.clock = Context.get(context, Clock.Clock)
    this.step = Effect.tap(Schedule.toStep(schedule), (step) =>
      Effect.sync(() => {
        this.step = Effect.succeed(step)
      })
    )
  }

  onPing(): void {
    this.pingedAt = this.heartbeat.wheel.now()
  }

  onPong(): void {
    this.roundTrip = this.heartbeat.wheel.now() - this.pingedAt
  }

  stop(): void {
    this.isDone = true
    this.stepping?.interruptUnsafe()
  }

  /** Begins the pause before the next ping. */
  next(): void {
    const { clock, heartbeat, session } = this
    const pause = ++this.pauses
    // Clients are told this interval: the ping waits neither for a schedule that has ended nor for
    // a slow step.
    heartbeat.wheel.schedule(session, heartbeat.options.pingInterval)
    if (this.isDone || this.stepping !== undefined) return
    const began = heartbeat.wheel.now()
    const input: Ping = { roundTrip: Duration.millis(this.roundTrip), transport: session.transport }
    const fiber = Effect.runForkWith(this.context)(
      // Wall-clock time, as in Effect's own loops: a schedule may follow the calendar.
      Effect.flatMap(this.step, (step) => step(clock.currentTimeMillisUnsafe(), input))
    )
    // Most steps end at once.
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return this.apply(exit, began, pause)
    this.stepping = fiber
    fiber.addObserver((exit) => {
      this.stepping = undefined
      this.apply(exit, began, pause)
    })
  }

  private apply(exit: StepExit, began: number, pause: number): void {
    const { heartbeat, session } = this
    if (this.isDone) return
    if (Exit.isFailure(exit)) {
      this.isDone = true
      if (Cause.hasDies(exit.cause)) session.onDefect(Cause.squash(exit.cause))
      return
    }
    if (session.beat !== PING_DUE || this.pauses !== pause) return
    const elapsed = heartbeat.wheel.now() - began
    const delay = Duration.toMillis(exit.value[1])
    heartbeat.wheel.schedule(session, Math.min(delay, heartbeat.options.pingInterval - elapsed))
  }
}
