import type { OutboundMessage } from "../../engine/OutboundMessage.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "../../engine/TimerWheel.ts"
import { type AwaySession, AwaySessions } from "../../recovery/AwaySessions.ts"
import { LogBudget } from "../../recovery/MessageLog.ts"
import type { DirectBudget, SessionBounds } from "../../recovery/RecoverySession.ts"
import type { ResolvedRecoveryOptions } from "../RecoveryOptions.ts"

/** The engine's options that bound recovery. */
export interface RecoveryBounds {
  readonly pingInterval: number
  readonly pingTimeout: number
  readonly maxOutbox: number
}

/** What the namespaces of a server share: the budgets, and the sessions that wait. */
export class ServerRecovery implements WheelEntry {
  bucket: number = IDLE
  readonly budget: LogBudget
  readonly away: AwaySessions<OutboundMessage>
  readonly sessionBounds: SessionBounds
  readonly direct: DirectBudget
  readonly maxDisconnection: number
  private readonly wheel: TimerWheel
  private readonly sweepAfter: number

  constructor(options: ResolvedRecoveryOptions, bounds: RecoveryBounds, wheel: TimerWheel) {
    const { maxBytes, maxDirectBytes, maxDisconnection, maxEvents, maxReplay, maxSessions } = options
    // A client that has received a message long ago may still not have confirmed it, and its loss
    // may be noticed late.
    const retention = bounds.pingInterval + bounds.pingTimeout + maxDisconnection
    this.budget = new LogBudget({ maxEvents, maxBytes, retention })
    this.away = new AwaySessions(maxSessions)
    this.sessionBounds = { maxReplay, maxReplayBytes: Math.floor(bounds.maxOutbox / 2) }
    this.direct = { bytes: 0, maxBytes: maxDirectBytes }
    this.maxDisconnection = maxDisconnection
    this.wheel = wheel
    this.sweepAfter = Math.max(1, retention / 8)
  }

  now(): number {
    return this.wheel.now()
  }

  /** A session waits for its client. */
  park(away: AwaySession<OutboundMessage>): void {
    this.away.add(away, this.now() + this.maxDisconnection)?.end("overflow")
    this.watch()
  }

  /** Something waits for its time. */
  watch(): void {
    if (this.bucket !== IDLE) return
    const next = this.away.nextDeadline
    const wait = next === undefined ? this.sweepAfter : Math.min(this.sweepAfter, next - this.now())
    this.wheel.schedule(this, Math.max(1, wait))
  }

  onDeadline(): void {
    const now = this.now()
    this.budget.trim(now)
    for (const away of this.away.takeExpired(now)) away.end("expired")
    if (this.away.size > 0 || this.budget.size > 0) this.watch()
  }

  /** The server has ended. */
  dispose(): void {
    this.wheel.cancel(this)
  }
}
