/**
 * The most that clients may send, open, or leave waiting.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

import { rateOf } from "../internal/tokenBucket.ts"
import { MAX_PACKETS_PER_PAYLOAD } from "../protocol/ProtocolLimits.ts"
import type { ConnectionRateLimit, Rate } from "../RateLimit.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { group, integer, type Names, oneOf, refuse } from "./OptionReaders.ts"
import type { OutboxOverflow } from "./Outbox.ts"

/**
 * The most that clients may send, open, or leave waiting. Sizes are in bytes.
 *
 * @since 0.1.0
 * @category options
 */
export interface EngineLimits {
  /**
   * The largest message in bytes: of one long-polling request body, and of one WebSocket message.
   * Clients are told this value. Default: 1,000,000.
   */
  readonly maxPayload?: number
  /** The largest number of packets in one long-polling request body. Default: 10,000. */
  readonly maxPacketsPerPayload?: number
  /**
   * The bytes that may wait for one client that does not read them. `outboxOverflow` is the policy
   * for more. Default: 16,777,216.
   *
   * The memory that holds a message counts, too: 64 bytes if other clients get the same message,
   * and otherwise 200, and 200 for each of its attachments. A write to a WebSocket whose peer does
   * not read counts 320 more. A text with a wide character counts two bytes for each of its
   * characters.
   *
   * A larger message is accepted if nothing else waits. With the policy `disconnect`, messages that
   * are sent within one turn of the event loop do not close a client, up to four times the budget:
   * the client could not read any of them yet. While more than the budget waits, the client must
   * read as much as is sent to it, except for an eighth of the budget. So the most that waits for
   * one client is the messages of one turn on top of a full outbox (at most four times the budget,
   * or one larger message) and an eighth of the budget. With the other policies it is at most twice
   * the budget, one larger message, and 64 KiB.
   */
  readonly maxOutbox?: number
  /** The policy for a message that does not fit into `maxOutbox`. Default: `disconnect`. */
  readonly outboxOverflow?: OutboxOverflow
  /**
   * The rate of packets of every kind that the client of one connection may send. `rateLimit` of
   * `Event.make` limits single events. Default: no limit.
   */
  readonly rateLimit?: ConnectionRateLimit
  /**
   * The number of connections: open ones, those that `allowRequest` and `generateId` have not
   * decided on, and closed ones whose client has not read its waiting messages, or whose handlers
   * have not ended. Further requests are refused with code 4 and status 503, so that clients come
   * again later. They are counted like other refusals, and logged at level Warn, every ten seconds
   * at most. Default: no limit.
   */
  readonly maxConnections?: number
  /**
   * The same for each address of clients. IPv6 addresses count by their first 64 bits. Clients of a
   * proxy all have its address, unless the edge trusts it (`trustedProxies` in Node). Clients
   * without an address, such as over a Unix socket, are not limited. Default: no limit.
   */
  readonly maxConnectionsPerAddress?: number
}

/**
 * The resolved `rateLimit`: the rate of packets of a client, and the consequence of more.
 *
 * @since 0.1.0
 * @category options
 */
export interface ReadLimit extends Rate {
  /** Whether the session is closed, rather than not read for a while. */
  readonly disconnects: boolean
}

/**
 * Limits with every default filled in.
 *
 * @since 0.1.0
 * @category options
 */
export interface ResolvedEngineLimits {
  readonly maxPayload: number
  readonly maxPacketsPerPayload: number
  readonly maxOutbox: number
  readonly outboxOverflow: OutboxOverflow
  readonly rateLimit: ReadLimit | undefined
  readonly maxConnections: number | undefined
  readonly maxConnectionsPerAddress: number | undefined
}

const OVERFLOWS = ["disconnect", "dropNewest", "dropOldest", "suspend"] as const

const LIMITS: Names<EngineLimits> = {
  maxPayload: true,
  maxPacketsPerPayload: true,
  maxOutbox: true,
  outboxOverflow: true,
  rateLimit: true,
  maxConnections: true,
  maxConnectionsPerAddress: true
}

const RATE_LIMIT: Names<ConnectionRateLimit> = { limit: true, interval: true, burst: true, onExceeded: true }

const rateLimit = Effect.fnUntraced(function* (
  option: ConnectionRateLimit | undefined
): Effect.fn.Return<ReadLimit | undefined, InvalidOptionError> {
  if (option === undefined) return undefined
  yield* group("limits.rateLimit", option, RATE_LIMIT)
  const rate = rateOf(option)
  if (typeof rate === "string") return yield* refuse("limits.rateLimit", rate)
  const onExceeded = yield* oneOf("limits.rateLimit.onExceeded", option.onExceeded, ["pause", "disconnect"])
  return { ...rate, disconnects: onExceeded === "disconnect" }
})

const limit = (option: string, value: number | undefined): Effect.Effect<number | undefined, InvalidOptionError> =>
  value === undefined ? Effect.succeed(undefined) : integer(option, value, 0, 1)

/**
 * Fills in the defaults, and refuses limits that make no sense.
 *
 * @since 0.1.0
 * @category decoding
 */
export const resolve = Effect.fnUntraced(function* (
  options: EngineLimits | undefined
): Effect.fn.Return<ResolvedEngineLimits, InvalidOptionError> {
  const limits = yield* group("limits", options, LIMITS)
  return {
    maxPayload: yield* integer("limits.maxPayload", limits.maxPayload, 1_000_000, 1),
    maxPacketsPerPayload: yield* integer(
      "limits.maxPacketsPerPayload",
      limits.maxPacketsPerPayload,
      MAX_PACKETS_PER_PAYLOAD,
      1
    ),
    maxOutbox: yield* integer("limits.maxOutbox", limits.maxOutbox, 16 * 1024 * 1024, 1),
    outboxOverflow: yield* oneOf("limits.outboxOverflow", limits.outboxOverflow, OVERFLOWS),
    rateLimit: yield* rateLimit(limits.rateLimit),
    maxConnections: yield* limit("limits.maxConnections", limits.maxConnections),
    maxConnectionsPerAddress: yield* limit("limits.maxConnectionsPerAddress", limits.maxConnectionsPerAddress)
  }
})
