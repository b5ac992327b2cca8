import * as Duration from "effect/Duration"

import type { Rate, RateLimit } from "../RateLimit.ts"

/** Reads a rate. Returns an error as text. */
export const rateOf = ({ burst, interval = 1_000, limit }: RateLimit): Rate | string => {
  let millis = 0
  try {
    millis = Duration.toMillis(interval)
  } catch {
    // An invalid duration is refused below, like a duration of zero.
  }
  if (!(typeof limit === "number" && limit > 0 && limit < Infinity)) {
    return `limit must be a positive number, not ${String(limit)}`
  }
  if (!(millis > 0 && millis < Infinity)) return "interval must be a positive, finite duration"
  if (burst !== undefined && !(Number.isSafeInteger(burst) && burst >= 1)) {
    return `burst must be a positive integer, not ${String(burst)}`
  }
  const cost = millis / limit
  return { cost, capacity: cost * (burst ?? Math.max(1, limit)) }
}

/**
 * A token bucket, stored as one number: the time at which it will be full again. It is full at
 * first.
 */
export class TokenBucket {
  private readonly rate: Rate
  private fullAt = -Infinity

  constructor(rate: Rate) {
    this.rate = rate
  }

  /** Takes a token if there is one. Otherwise returns the milliseconds until there is one. */
  take(now: number): number {
    const missing = this.missing(now, 1)
    if (missing > 0) return missing
    this.spend(now)
    return 0
  }

  /** Takes a token, even one that is not there yet. Returns the milliseconds until it is. */
  spend(now: number): number {
    this.fullAt = Math.max(this.fullAt, now) + this.rate.cost
    return this.missing(now, 0)
  }

  /**
   * Returns the milliseconds until there are this many tokens, after those that were taken in
   * advance.
   */
  missing(now: number, tokens: number): number {
    // Sums of fractions are inexact: a token counts as present up to a microsecond early.
    const missing = Math.max(this.fullAt, now) + tokens * this.rate.cost - now - this.rate.capacity
    return missing > 1e-3 ? missing : 0
  }
}
