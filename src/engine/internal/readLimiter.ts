import { type Rate, TokenBucket } from "../../internal/tokenBucket.ts"
import type { EngineSession } from "../EngineSession.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "./timerWheel.ts"

/** What a client may send, and what happens when it sends more. */
export interface ReadLimit extends Rate {
  readonly disconnects: boolean
}

/** Holds a session's client to its rate. */
export class ReadLimiter implements WheelEntry {
  bucket: number = IDLE
  private readonly tokens: TokenBucket
  private readonly limit: ReadLimit
  private readonly session: EngineSession
  private readonly wheel: TimerWheel

  constructor(limit: ReadLimit, session: EngineSession, wheel: TimerWheel) {
    this.tokens = new TokenBucket(limit)
    this.limit = limit
    this.session = session
    this.wheel = wheel
  }

  /** A packet has come in. Whether it is to be handled. */
  onPacket(): boolean {
    const now = this.wheel.now()
    if (this.limit.disconnects) {
      const missing = this.tokens.take(now)
      if (missing === 0) return true
      this.session.closeUnsafe("rate limit exceeded", "more packets than rateLimit allows")
      return false
    }
    const missing = this.tokens.spend(now)
    if (missing > 0 && this.bucket === IDLE) {
      this.session.pauseUnsafe("rate")
      this.wheel.schedule(this, missing)
    }
    return true
  }

  onDeadline(): void {
    // More may have come meanwhile: what had been read already.
    const missing = this.tokens.missing(this.wheel.now(), 0)
    if (missing > 0) this.wheel.schedule(this, missing)
    else this.session.resumeUnsafe("rate")
  }

  /** The session has ended. */
  close(): void {
    this.wheel.cancel(this)
  }
}
