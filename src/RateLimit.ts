/**
 * Limits of the rate at which clients may send, as token buckets. A bucket holds up to `burst`
 * tokens and gets `limit` of them per `interval`; each event or packet takes one.
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
  /** The number of tokens per `interval`: a positive number. */
  readonly limit: number
  /** The time in which `limit` tokens come. Default: 1 second. */
  readonly interval?: Duration.Input
  /**
   * The number of tokens that a full bucket holds: a positive integer. Default: `limit`, and 1 at
   * least.
   */
  readonly burst?: number
}

/**
 * A rate with every default filled in: times in milliseconds.
 *
 * @since 0.1.0
 * @category options
 */
export interface Rate {
  /** The time for one token. */
  readonly cost: number
  /** The time in which an empty bucket becomes full. */
  readonly capacity: number
}

/**
 * The rate at which a socket's client may send an event, and the treatment of an event in excess.
 *
 * **Details**
 *
 * - `refuse` (default): the event is dropped and counted (`ServerMetrics.eventsLimited`). A client
 *   that asks for an acknowledgement gets the failure `EventRefused` (see `EventAnswer`). Its
 *   `data` is `{ retryAfter }`: the milliseconds until the next token.
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
 * The rate of packets that the client of a connection may send: messages of every kind, each
 * attachment, heartbeats. The treatment of packets in excess:
 *
 * - `pause` (default): reading from the client pauses until there are tokens again. Its packets
 *   wait on its side, and none is lost. A pause takes at least 10 milliseconds, so a `burst`
 *   smaller than the traffic of that time makes the rate lower than `limit`. A client is not
 *   treated as dead while it is not read. Its close may be noticed only when reading resumes.
 * - `disconnect`: the connection is closed with reason `rate limit exceeded`.
 *
 * @since 0.1.0
 * @category options
 */
export interface ConnectionRateLimit extends RateLimit {
  readonly onExceeded?: "pause" | "disconnect"
}
