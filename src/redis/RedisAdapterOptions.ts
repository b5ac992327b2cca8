/**
 * The options that all adapters over Redis share.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"

import type * as DistributedAdapter from "../adapter/DistributedAdapter.ts"

/**
 * Options of every adapter over Redis.
 *
 * @since 0.1.0
 * @category options
 */
export interface RedisAdapterOptions extends DistributedAdapter.Options {
  /**
   * The first part of all channels. Servers of one cluster have the same one; several clusters on
   * one Redis have different ones. Default: `socket.io`, as in official servers.
   */
  readonly key?: string
  /** The bounds of the messages that wait while Redis is away. */
  readonly outbox?: {
    /**
     * The size of all messages that wait, in bytes. More are dropped, and counted. Default: 16 MiB.
     */
    readonly maxBytes?: number
    /**
     * The time for which a message may wait. Older ones are dropped, and counted. Default: 10
     * seconds.
     */
    readonly maxAge?: Duration.Input
  }
  /**
   * The size of a message of another server, in bytes. Larger ones are refused, and counted.
   * Default: 16 MiB.
   */
  readonly maxMessageBytes?: number
}
