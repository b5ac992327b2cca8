import { TokenBucket } from "../../internal/tokenBucket.ts"
import type { ReadLimit } from "../EngineLimits.ts"

/**
 * A pause lasts until this many packets may come, because a pause per packet would cost more than
 * the packets. It lasts at most this many milliseconds: packets that come together are handled
 * together, and other clients wait for that.
 */
const PACKETS = 16
const PAUSE = 10

/** The clock and the timer of a limiter. */
interface Timing {
  /** The time in milliseconds. */
  readonly now: () => number
  /** Runs a task later, unless the returned function is called before. */
  readonly after: (millis: number, run: () => void) => () => void
}

/** The client that a limiter slows down or disconnects. */
interface Limited {
  pauseUnsafe(by: "rate"): void
  resumeUnsafe(by: "rate"): void
  closeUnsafe(reason: "rate limit exceeded", description: string): void
}

/** Limits the rate of one client. */
export class ReadLimiter {
  private readonly tokens: TokenBucket
  private readonly limit: ReadLimit
  private readonly client: Limited
  private readonly timing: Timing
  private cancel: (() => void) | undefined

  constructor(limit: ReadLimit, client: Limited, timing: Timing) {
    this.tokens = new TokenBucket(limit)
    this.limit = limit
    this.client = client
    this.timing = timing
  }

  /** Counts a packet that has come in. Returns whether it may be handled. */
  onPacket(): boolean {
    const now = this.timing.now()
    if (this.limit.disconnects) {
      if (this.tokens.take(now) === 0) return true
      this.client.closeUnsafe("rate limit exceeded", "more packets than rateLimit allows")
      return false
    }
    const missing = this.tokens.spend(now)
    if (missing > 0 && this.cancel === undefined) {
      this.client.pauseUnsafe("rate")
      this.wait(missing)
    }
    return true
  }

  /** Ends the current pause, without resuming. */
  close(): void {
    this.cancel?.()
  }

  private wait(millis: number): void {
    this.cancel = this.timing.after(Math.ceil(Math.max(Math.min(PAUSE, PACKETS * this.limit.cost), millis)), () => {
      this.cancel = undefined
      // Packets that had already been read may have come meanwhile.
      const missing = this.tokens.missing(this.timing.now(), 0)
      if (missing > 0) this.wait(missing)
      else this.client.resumeUnsafe("rate")
    })
  }
}
