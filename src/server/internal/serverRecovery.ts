import type { OutboundMessage } from "../../engine/OutboundMessage.ts"
import type { OutboxOverflow } from "../../engine/Outbox.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "../../engine/TimerWheel.ts"
import { type AwaySession, AwaySessions } from "../../recovery/AwaySessions.ts"
import { LogBudget } from "../../recovery/MessageLog.ts"
import { ReadAllowance } from "../../recovery/ReadAllowance.ts"
import type { DirectBudget, SessionBounds } from "../../recovery/RecoverySession.ts"
import type { ResolvedRecoveryOptions } from "../RecoveryOptions.ts"

/** The engine's options that bound recovery. */
export interface RecoveryBounds {
  readonly pingInterval: number
  readonly pingTimeout: number
  readonly maxOutbox: number
  readonly outboxOverflow: OutboxOverflow
}

/** The budgets and the waiting sessions that the namespaces of a server share. */
export class ServerRecovery implements WheelEntry {
  bucket: number = IDLE
  readonly budget: LogBudget
  readonly away: AwaySessions<OutboundMessage>
  readonly sessionBounds: SessionBounds
  readonly direct: DirectBudget
  readonly maxDisconnection: number
  readonly maxSessions: number
  /** The entries of a log that one client may make a server read. */
  readonly maxScan: number
  /** The memory of those that come meanwhile, in bytes. */
  readonly maxCatchUpBytes: number
  readonly reads: ReadAllowance
  /** The time for which a message is needed, in milliseconds. */
  readonly retention: number
  readonly wheel: TimerWheel
  private readonly sweepAfter: number
  /** The time of the next look, if one is scheduled. */
  private looksAt = 0

  constructor(options: ResolvedRecoveryOptions, bounds: RecoveryBounds, wheel: TimerWheel) {
    const { maxBytes, maxCatchUpBytes, maxDirectBytes, maxDisconnection } = options
    const { maxEvents, maxReplay, maxScan, maxSessions } = options
    // A client that has received a message long ago may still not have confirmed it, and its loss
    // may be noticed late.
    const retention = bounds.pingInterval + bounds.pingTimeout + maxDisconnection
    this.budget = new LogBudget({ maxEvents, maxBytes, retention })
    this.away = new AwaySessions(maxSessions)
    const { maxOutbox, outboxOverflow } = bounds
    const dropsMessages = outboxOverflow === "dropNewest" || outboxOverflow === "dropOldest"
    this.sessionBounds = { maxReplay, maxReplayBytes: Math.floor(maxOutbox / 2), dropsMessages }
    this.direct = { bytes: 0, maxBytes: maxDirectBytes }
    this.maxDisconnection = maxDisconnection
    this.maxScan = maxScan
    this.maxCatchUpBytes = maxCatchUpBytes
    this.reads = new ReadAllowance(maxScan, () => this.now())
    this.maxSessions = maxSessions
    this.retention = retention
    this.wheel = wheel
    this.sweepAfter = Math.max(1, retention / 8)
  }

  now(): number {
    return this.wheel.now()
  }

  /** A session waits for its client. */
  park(away: AwaySession<OutboundMessage>): void {
    const deadline = this.now() + this.maxDisconnection
    for (const left of this.away.add(away, deadline)) left.end("overflow")
    // The next look may be one at the log, later than this.
    if (this.bucket === IDLE || deadline < this.looksAt) this.look(this.maxDisconnection)
  }

  private look(wait: number): void {
    const millis = Math.max(1, wait)
    this.looksAt = this.now() + millis
    this.wheel.schedule(this, millis)
  }

  /** Something waits for its time. */
  watch(): void {
    if (this.bucket !== IDLE) return
    const next = this.away.nextDeadline
    this.look(next === undefined ? this.sweepAfter : Math.min(this.sweepAfter, next - this.now()))
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
