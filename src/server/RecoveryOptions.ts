/**
 * The options of connection state recovery, with their defaults and bounds.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

import { group, integer, millis, type Names, refuse } from "../engine/OptionReaders.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"

/**
 * Connection state recovery: a client that has lost its connection comes back as the same socket,
 * with its id, its rooms and its data, and receives what it has missed.
 *
 * **Details**
 *
 * All bounds are those of the whole server. A session or message beyond them is not recovered, and
 * its client is told so: `recovered` is `true` only if nothing is missing.
 *
 * @since 0.1.0
 * @category options
 */
export interface RecoveryOptions {
  /**
   * The time in which a client may come back, from the moment in which the server has noticed the
   * end of its connection. Default: 2 minutes. At least 1 ms.
   */
  readonly maxDisconnection?: Duration.Input
  /** The number of broadcasts that the server keeps. Default: 100,000. */
  readonly maxEvents?: number
  /** The memory of those broadcasts, in bytes. Each counts once. Default: 67,108,864 (64 MiB). */
  readonly maxBytes?: number
  /**
   * The memory of messages to single sockets, in bytes, which are kept until the client has
   * confirmed them. Default: 67,108,864 (64 MiB).
   */
  readonly maxDirectBytes?: number
  /**
   * The number of sessions that wait for their clients. The one that has waited longest ends for
   * another. Default: 10,000.
   */
  readonly maxSessions?: number
  /**
   * The number of messages that one client may get when it comes back. They may also not take more
   * than half of `limits.maxOutbox` bytes. Default: 1,000.
   */
  readonly maxReplay?: number
  /**
   * Where servers share a log (`RedisStreamsAdapter`): the number of its entries that are read for
   * one client that comes back, those for others included. For one that comes back again and again,
   * a server reads four times `maxScan`, and `maxScan` more every 10 seconds. Default: 20,000.
   */
  readonly maxScan?: number
  /**
   * Where servers share a log: the memory of the entries of its namespace that come while one
   * client that is back waits for its session, in bytes. Clients that wait at the same time share
   * them. Default: 16,777,216 (16 MiB).
   */
  readonly maxCatchUpBytes?: number
}

/**
 * Options with every default filled in; durations in milliseconds.
 *
 * @since 0.1.0
 * @category options
 */
export interface ResolvedRecoveryOptions {
  readonly maxDisconnection: number
  readonly maxEvents: number
  readonly maxBytes: number
  readonly maxDirectBytes: number
  readonly maxSessions: number
  readonly maxReplay: number
  readonly maxScan: number
  readonly maxCatchUpBytes: number
}

const NAMES: Names<RecoveryOptions> = {
  maxDisconnection: true,
  maxEvents: true,
  maxBytes: true,
  maxDirectBytes: true,
  maxSessions: true,
  maxReplay: true,
  maxScan: true,
  maxCatchUpBytes: true
}

/**
 * Fills in the defaults. `undefined` and `false` switch recovery off.
 *
 * @since 0.1.0
 * @category decoding
 */
export const resolve = Effect.fnUntraced(function* (
  value: boolean | RecoveryOptions | undefined
): Effect.fn.Return<ResolvedRecoveryOptions | undefined, InvalidOptionError> {
  if (value === undefined || value === false) return undefined
  if (value !== true && typeof value !== "object") {
    return yield* refuse("recovery", `must be true, false or an object of options, not ${String(value)}`)
  }
  const options = yield* group("recovery", value === true ? {} : value, NAMES)
  return {
    maxDisconnection: yield* millis("recovery.maxDisconnection", options.maxDisconnection, 120_000, 1),
    maxEvents: yield* integer("recovery.maxEvents", options.maxEvents, 100_000, 0),
    maxBytes: yield* integer("recovery.maxBytes", options.maxBytes, 67_108_864, 0),
    maxDirectBytes: yield* integer("recovery.maxDirectBytes", options.maxDirectBytes, 67_108_864, 0),
    maxSessions: yield* integer("recovery.maxSessions", options.maxSessions, 10_000, 0),
    maxReplay: yield* integer("recovery.maxReplay", options.maxReplay, 1_000, 0),
    maxScan: yield* integer("recovery.maxScan", options.maxScan, 20_000, 0),
    maxCatchUpBytes: yield* integer("recovery.maxCatchUpBytes", options.maxCatchUpBytes, 16_777_216, 0)
  }
})
