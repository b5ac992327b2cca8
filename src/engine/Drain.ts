/**
 * Drains: the sessions of a server move to other servers, a few at a time, so that it can end.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

import type { InvalidOptionError } from "../SocketIoError.ts"
import { group, millis, type Names, refuse } from "./OptionReaders.ts"

/**
 * The times of a drain.
 *
 * @since 0.1.0
 * @category options
 */
export interface DrainOptions {
  /**
   * The time in which everything goes on, and new clients are still taken, while the server is
   * already `draining`: balancers learn of it. Give it a bit more time than the balancer takes.
   * Default: 5 seconds. At least 0.
   */
  readonly notice?: Duration.Input
  /**
   * The time after that, over which the connections are moved evenly. New clients are refused
   * meanwhile, with status 503. Default: 25 seconds. At least 0.
   */
  readonly over?: Duration.Input
  /**
   * The number of connections that are moved in a second at most. The drain takes longer than
   * `over` if there are more: connections divided by this, in seconds. Values above 10,000 have the
   * effect of 10,000. Clients come back after delays of their own, so single seconds may have more
   * handshakes. Default: 500. More than 0.
   */
  readonly rate?: number
}

/**
 * The result of a drain.
 *
 * @since 0.1.0
 * @category models
 */
export interface DrainReport {
  /** The connections that were closed in good order, or that their clients left meanwhile. */
  readonly moved: number
  /** The connections whose clients did not close them within two seconds: they were cut. */
  readonly cut: number
  /** The events whose handlers had not ended in time, and were interrupted. */
  readonly inFlight: number
}

/**
 * Options with every default filled in; durations in milliseconds.
 *
 * @since 0.1.0
 * @category options
 */
export interface ResolvedDrainOptions {
  readonly notice: number
  readonly over: number
  readonly rate: number
}

const NAMES: Names<DrainOptions> = { notice: true, over: true, rate: true }

/**
 * Fills in the defaults, and refuses options that make no sense. `path` is the name of the group.
 *
 * @since 0.1.0
 * @category decoding
 */
export const resolve = Effect.fnUntraced(function* (
  path: string,
  options: DrainOptions = {}
): Effect.fn.Return<ResolvedDrainOptions, InvalidOptionError> {
  const { notice, over, rate = 500 } = yield* group(path, options, NAMES)
  if (typeof rate !== "number" || !(rate > 0)) return yield* refuse(`${path}.rate`, `must be more than 0, not ${rate}`)
  return {
    notice: yield* millis(`${path}.notice`, notice, 5_000, 0),
    over: yield* millis(`${path}.over`, over, 25_000, 0),
    rate
  }
})
