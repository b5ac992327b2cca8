/**
 * How fast clients may send: token buckets. A bucket holds up to `burst` tokens and gets `limit` of them per `interval`; whatever is
 * limited takes one.
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
  /** How many there may be per `interval`, over time. */
  readonly limit: number
  /** Default: 1 second. */
  readonly interval?: Duration.Input
  /** How many there may be at once, after a time of rest. Default: `limit`. */
  readonly burst?: number
}

/**
 * How often a socket's client may send an event, and what becomes of one that is too much.
 *
 * - `refuse` (default): it is dropped and counted (`ServerMetrics.eventsLimited`). Where the event declares an `error` and the client asks
 *   for an acknowledgement, the client gets `{ _tag: "Failure", error: { _tag: "EventRefused", message, data: { retryAfter } } }`, with
 *   the milliseconds until the next token in `retryAfter`.
 * - `disconnect`: the connection is closed with reason `rate limit exceeded`.
 *
 * @since 0.1.0
 * @category options
 */
export interface EventRateLimit extends RateLimit {
  readonly onExceeded?: "refuse" | "disconnect"
}

/**
 * How many packets the client of a connection may send: messages of every kind, each attachment, heartbeats. What becomes of it when there
 * are more:
 *
 * - `pause` (default): reading from it pauses until there are tokens again: what it sends waits on its side, and nothing is lost. A pause
 *   takes 10 milliseconds at least, so a `burst` of less than what comes in that time makes the rate lower than it says. A client that is not read is not taken for dead; that it has closed may be noticed only when reading resumes.
 * - `disconnect`: the connection is closed with reason `rate limit exceeded`.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConnectionRateLimit extends RateLimit {
  readonly onExceeded?: "pause" | "disconnect"
}
