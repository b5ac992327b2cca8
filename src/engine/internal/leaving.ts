import type { SessionCloseReason } from "../../DisconnectReason.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "../TimerWheel.ts"

/** The time for a client to close its side, in milliseconds. Its messages are still handled. */
export const CLOSE_TIMEOUT = 2_000

/**
 * The shortest time for handlers that still run when the client has left, in milliseconds. The
 * rest of the drain's time counts, if that is longer.
 */
const LAST_HANDLERS = 1_000

/** The pause before another look at a session that is changing its transport, in milliseconds. */
const UPGRADE_PAUSE = 100

/** The part that the handler of a session may take in its leaving. */
export interface LeavingHandler {
  /** The number of messages that are being handled. */
  readonly inFlight?: number
  onLeaving?(within: number, leave: () => void): void
  onLeft?(end: () => void): void
}

export interface LeavingSession {
  readonly isOpen: boolean
  readonly isReading: boolean
  /** Whether its client is changing the transport at the moment. */
  readonly isUpgrading: boolean
  readonly handler: LeavingHandler
  /**
   * Sends what waits, and closes the transport; messages still come. `onGone` is called once the
   * transport has released everything, unless it was cut before.
   */
  beginLeaving(leaving: Leaving): void
  /** Cuts the transport. */
  cut(): void
  /** Ends, whether the transport is closed or not. */
  endLeaving(): void
  onDefect(defect: unknown): void
}

/** A connection that passes through this server to the one that owns its session. */
export interface Passing {
  /** Asks the owner to move its session within that many milliseconds. */
  readonly move: (within: number) => void
  readonly cut: () => void
}

/** Such a connection, as it leaves. */
export class PassingSession implements LeavingSession {
  isOpen = true
  readonly isReading = true
  readonly isUpgrading = false
  readonly handler: LeavingHandler
  private readonly passing: Passing

  constructor(passing: Passing) {
    this.passing = passing
    // The owner closes it. Nobody here can say when.
    this.handler = { onLeaving: (within) => passing.move(within) }
  }

  beginLeaving(): void {}

  cut(): void {
    this.passing.cut()
  }

  endLeaving(): void {}

  onDefect(): void {
    this.passing.cut()
  }
}

/**
 * A session on its way out of its server:
 *
 * - `announced`: its handler is told, and may take some time;
 * - `closing`: the transport closes, and messages that the client had sent before it knew still
 *   come;
 * - `finishing`: nothing more can come, and handlers end.
 */
export class Leaving implements WheelEntry {
  bucket: number = IDLE
  private readonly session: LeavingSession
  private readonly wheel: TimerWheel
  /** The time of the wheel after which nothing is waited for. */
  private readonly until: number
  /** The reason of the session's end. */
  readonly reason: SessionCloseReason
  private readonly onEnd: (leaving: Leaving) => void
  private step: "announced" | "closing" | "finishing" | "ended" = "announced"
  /** Whether the client has closed its side. */
  private isAnswered = false
  /** Its client was cut. */
  isCut = false
  /** Messages whose handlers were interrupted. */
  inFlight = 0

  constructor(
    session: LeavingSession,
    wheel: TimerWheel,
    until: number,
    reason: SessionCloseReason,
    onEnd: (leaving: Leaving) => void
  ) {
    this.session = session
    this.wheel = wheel
    this.until = until
    this.reason = reason
    this.onEnd = onEnd
  }

  start(): void {
    const { handler } = this.session
    if (handler.onLeaving === undefined) return this.close()
    this.wheel.schedule(this, this.left)
    handler.onLeaving(this.left, () => this.close())
  }

  private get left(): number {
    return Math.max(0, this.until - this.wheel.now())
  }

  private close(): void {
    const { session, wheel } = this
    if (this.step !== "announced" || !session.isOpen) return
    // An upgrade has its own way of closing. It is over soon.
    if (session.isUpgrading && this.left > 0) return wheel.schedule(this, Math.min(UPGRADE_PAUSE, this.left))
    this.step = "closing"
    wheel.schedule(this, CLOSE_TIMEOUT)
    session.beginLeaving(this)
  }

  /** The client has closed its side, or knows that this one is closed. */
  onAnswered(): void {
    this.isAnswered = true
  }

  /** Nothing more can come. */
  onGone(): void {
    if (this.step !== "closing") return
    const { handler } = this.session
    this.step = "finishing"
    if (handler.onLeft === undefined) return this.finish()
    this.wheel.schedule(this, Math.max(LAST_HANDLERS, this.left))
    handler.onLeft(() => this.finish())
  }

  private finish(): void {
    if (this.step === "finishing") this.session.endLeaving()
  }

  /** The session has ended, in this way or in another. */
  onEnded(): void {
    if (this.step === "ended") return
    this.step = "ended"
    this.wheel.cancel(this)
    this.onEnd(this)
  }

  onDeadline(): void {
    const { session, wheel } = this
    switch (this.step) {
      case "announced":
        return this.close()
      case "closing":
        // Its messages wait on its side, and its answer after them.
        if (!session.isReading && this.left > 0) return wheel.schedule(this, Math.min(CLOSE_TIMEOUT, this.left))
        this.isCut = !this.isAnswered
        session.cut()
        return this.onGone()
      case "finishing":
        this.inFlight = session.handler.inFlight ?? 0
        return this.finish()
    }
  }

  onDefect(defect: unknown): void {
    this.session.onDefect(defect)
  }
}
