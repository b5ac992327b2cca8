import type { SessionCloseReason } from "../../DisconnectReason.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "../TimerWheel.ts"
import { Credit, TICK } from "./credit.ts"

/** The closing of sessions whose time is over, while their server goes on. */
export interface Retirement {
  readonly reason: SessionCloseReason
  /** The sessions of a second at most. */
  readonly rate: number
  /** The time for a client that can move to another connection, in milliseconds. */
  readonly within: number
}

/** The sessions that retire, as far as this needs them. */
interface Leavers<S> {
  /** Whether it is open, and does not leave yet. */
  readonly isWaiting: (session: S) => boolean
  readonly begin: (session: S, retirement: Retirement) => void
}

/** Closes sessions one after another, so that not all of their clients come back at once. */
export class Retiring<S> implements WheelEntry {
  bucket: number = IDLE
  private readonly waiting = new Map<S, Retirement>()
  private readonly wheel: TimerWheel
  private readonly leavers: Leavers<S>
  private credit: Credit | undefined

  constructor(wheel: TimerWheel, leavers: Leavers<S>) {
    this.wheel = wheel
    this.leavers = leavers
  }

  /** Closes a session when its turn comes: at once, if no other one has retired lately. */
  add(session: S, retirement: Retirement): void {
    if (!this.leavers.isWaiting(session)) return
    this.waiting.set(session, retirement)
    if (this.bucket === IDLE) this.onDeadline()
  }

  /** A session has ended. */
  delete(session: S): void {
    this.waiting.delete(session)
  }

  onDeadline(): void {
    const { leavers, waiting, wheel } = this
    const now = wheel.now()
    const [first] = waiting.values()
    if (first === undefined) return
    const credit = (this.credit ??= firstCredit(now))
    credit.earn(now, first.rate / 1_000)
    for (const [session, retirement] of waiting) {
      if (leavers.isWaiting(session)) {
        if (!credit.spend()) break
        leavers.begin(session, retirement)
      }
      waiting.delete(session)
    }
    if (waiting.size > 0) wheel.schedule(this, TICK)
  }
}

/** The first one need not wait, however slow the rate is. */
const firstCredit = (now: number): Credit => {
  const credit = new Credit(now)
  credit.value = 1
  return credit
}
