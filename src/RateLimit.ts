/**
 * How fast clients may send: token buckets. A bucket holds up to `burst` tokens and gets `limit` of
 * them per `interval`; each event or packet takes one.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"

/**
 * A rate.
 *
 * @since 0.1.0
 * @category options
 */
export interface RateLimit {
  /** How many there may be per `interval`, over time: a positive number. */
  readonly limit: number
  /** Default: 1 second. */
  readonly interval?: Duration.Input
  /** How many there may be at once, after a time of rest: a positive integer. Default: `limit`. */
  readonly burst?: number
}

/**
 * A rate with every default filled in: times in milliseconds.
 *
 * @since 0.1.0
 * @category options
 */
export interface Rate {
  /** The time in which a token comes. */
  readonly cost: number
  /** The time in which an empty bucket gets full. */
  readonly capacity: number
}

/**
 * How often a socket's client may send an event, and the treatment of an event in excess.
 *
 * **Details**
 *
 * - `refuse` (default): the event is dropped and counted (`ServerMetrics.eventsLimited`). A client
 *   that asks for an acknowledgement gets
 *   `{ _tag: "Failure", error: { _tag: "EventRefused", message, data: { retryAfter } }
 *   }`, with the milliseconds until the next token in `retryAfter`.
 * - `disconnect`: the connection is closed with reason `rate limit exceeded`.
 *
 * **Gotchas**
 *
 * Each socket has its own bucket: a client that connects again starts with a full one. Limit
 * connections as well if that matters.
 *
 * **Example** (Ten messages per second, thirty at once)
 *
 * ```ts
 * const Say = Event.make("say", { payload: Schema.String, rateLimit: { limit: 10, burst: 30 } })
 * ```
 *
 * @since 0.1.0
 * @category options
 */
export interface EventRateLimit extends RateLimit {
  readonly onExceeded?: "refuse" | "disconnect"
}

/**
 * How many packets the client of a connection may send: messages of every kind, each attachment,
 * heartbeats. When there are more:
 *
 * - `pause` (default): reading from the client pauses until there are tokens again. Its packets
 *   wait on its side, and none is lost. A pause takes at least 10 milliseconds, so a `burst`
 *   smaller than the traffic of that time makes the rate lower than `limit`. A client that is not
 *   read is not taken for dead; that it has closed may be noticed only when reading resumes.
 * - `disconnect`: the connection is closed with reason `rate limit exceeded`.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConnectionRateLimit extends RateLimit {
  readonly onExceeded?: "pause" | "disconnect"
}
