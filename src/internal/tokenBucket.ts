import * as Duration from "effect/Duration"

import type { Rate, RateLimit } from "../RateLimit.ts"

/** Reads a rate; what is wrong with it is given as text. */
export const rateOf = ({ burst, interval = 1_000, limit }: RateLimit): Rate | string => {
  let millis = 0
  try {
    millis = Duration.toMillis(Duration.fromInputUnsafe(interval))
  } catch {
    // It is no duration: refused as one of nothing.
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
 * A token bucket, as one number: the time at which it will be full again. It begins full.
 */
export class TokenBucket {
  private readonly rate: Rate
  private fullAt = -Infinity

  constructor(rate: Rate) {
    this.rate = rate
  }

  /** Takes a token if there is one. Otherwise gives the milliseconds until there is. */
  take(now: number): number {
    const missing = this.missing(now, 1)
    if (missing > 0) return missing
    this.spend(now)
    return 0
  }

  /** Takes a token that may not be there yet, and gives the milliseconds until it is. */
  spend(now: number): number {
    this.fullAt = Math.max(this.fullAt, now) + this.rate.cost
    return this.missing(now, 0)
  }

  /** The milliseconds until there are so many tokens, what was taken ahead of time included. */
  missing(now: number, tokens: number): number {
    // Sums of fractions: what is off by less than a microsecond is there.
    const missing = Math.max(this.fullAt, now) + tokens * this.rate.cost - now - this.rate.capacity
    return missing > 1e-3 ? missing : 0
  }
}
