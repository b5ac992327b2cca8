/**
 * Rate limits as packet middleware, for `socket.use`: of events without a contract, or of all
 * events of a socket together. Single events of a contract have their own (`rateLimit` of
 * `Event.make`), and the server's option `limits.rateLimit` is for connections.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

import { rateOf, TokenBucket } from "../internal/tokenBucket.ts"
import type { RateLimit } from "../RateLimit.ts"
import { EventRefused, type IncomingEvent } from "./ServerSocket.ts"

/**
 * Makes a packet middleware that refuses events beyond a rate. It reports the milliseconds until
 * the next token as `data.retryAfter`. All events and sockets that use it share one bucket: make
 * one for each socket, or share it on purpose. It uses the Clock's monotonic time. Throws if the
 * limit makes no sense.
 *
 * **Example** (Ten events per second of one socket)
 *
 * ```ts
 * yield* socket.use(RateLimiter.make({ limit: 10, burst: 20 }))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  limit: RateLimit,
  /** Which events count. Default: all. */
  applies: (event: IncomingEvent) => boolean = () => true
): ((event: IncomingEvent) => Effect.Effect<void, EventRefused>) => {
  const rate = rateOf(limit)
  if (typeof rate === "string") throw new Error(`rate limit: ${rate}`)
  const bucket = new TokenBucket(rate)
  return (event) =>
    Effect.clockWith((clock: Clock.Clock) => {
      if (!applies(event)) return Effect.void
      const missing = bucket.take(Number(clock.monotonicTimeNanosUnsafe()) / 1e6)
      return missing === 0 ? Effect.void : Effect.fail(rateExceeded(missing))
    })
}

const rateExceeded = (missing: number): EventRefused =>
  new EventRefused({ message: "rate limit exceeded", data: { retryAfter: Math.ceil(missing) } })
