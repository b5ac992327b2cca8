import { type Rate, TokenBucket } from "../../internal/tokenBucket.ts"
import type { EngineSession } from "../EngineSession.ts"

/** What a client may send, and what happens when it sends more. */
export interface ReadLimit extends Rate {
  readonly disconnects: boolean
}

/**
 * A pause lasts until so many packets may come, as to stop and go on for every packet would cost more than the packets, but these
 * milliseconds at the most: what has come together is handled together, and others wait for it.
 */
const PACKETS = 16
const PAUSE = 10

/** What measures time for the limiter. */
interface Timing {
  /** In milliseconds. */
  readonly now: () => number
  /** Runs something later, unless the function that it gives is called before. */
  readonly after: (millis: number, run: () => void) => () => void
}

/** Holds a session's client to its rate. */
export class ReadLimiter {
  private readonly tokens: TokenBucket
  private readonly limit: ReadLimit
  private readonly session: EngineSession
  private readonly timing: Timing
  private cancel: (() => void) | undefined

  constructor(limit: ReadLimit, session: EngineSession, timing: Timing) {
    this.tokens = new TokenBucket(limit)
    this.limit = limit
    this.session = session
    this.timing = timing
  }

  /** A packet has come in. Whether it is to be handled. */
  onPacket(): boolean {
    const now = this.timing.now()
    if (this.limit.disconnects) {
      if (this.tokens.take(now) === 0) return true
      this.session.closeUnsafe("rate limit exceeded", "more packets than rateLimit allows")
      return false
    }
    const missing = this.tokens.spend(now)
    if (missing > 0 && this.cancel === undefined) {
      this.session.pauseUnsafe("rate")
      this.wait(missing)
    }
    return true
  }

  /** The session has ended. */
  close(): void {
    this.cancel?.()
  }

  private wait(millis: number): void {
    this.cancel = this.timing.after(Math.ceil(Math.max(Math.min(PAUSE, PACKETS * this.limit.cost), millis)), () => {
      this.cancel = undefined
      // More may have come meanwhile: what had been read already.
      const missing = this.tokens.missing(this.timing.now(), 0)
      if (missing > 0) this.wait(missing)
      else this.session.resumeUnsafe("rate")
    })
  }
}
