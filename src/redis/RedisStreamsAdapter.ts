/**
 * Clusters over a stream of Redis, together with official servers that have
 * `@socket.io/redis-streams-adapter` 0.3.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

import type { ClusterStatus } from "../adapter/ClusterStatus.ts"
import { adapterLayer } from "./internal/adapterLayer.ts"
import { MAX_BYTES } from "./internal/msgpack.ts"
import { makeTeller } from "./internal/retention.ts"
import * as Sessions from "./internal/sessions.ts"
import * as StreamReaders from "./internal/streamReaders.ts"
import * as StreamsLink from "./internal/streamsLink.ts"
import type { RedisAdapterOptions } from "./RedisAdapterOptions.ts"
import type { RedisClient } from "./RedisClient.ts"

/**
 * Options of an adapter over streams. All servers of a cluster must have the same ones.
 *
 * @since 0.1.0
 * @category options
 */
export interface RedisStreamsAdapterOptions extends Omit<RedisAdapterOptions, "key"> {
  /** The name of the stream. Default: `socket.io`. */
  readonly streamName?: string
  /** The number of streams, over which namespaces are spread. Default: 1. */
  readonly streamCount?: number
  /**
   * The number of entries that the stream keeps, about. A server that is away for longer loses the
   * older ones, and counts them. Default: 10,000. Where recovery is on, the stream keeps what
   * clients may have missed instead, whatever its number is.
   */
  readonly maxLen?: number
  /** The number of entries that are read at once. Default: 100. */
  readonly readCount?: number
  /** The first part of the keys of sessions, where recovery is on. Default: `sio:session:`. */
  readonly sessionKeyPrefix?: string
  /** The first part of the channels of questions and answers. Default: `socket.io`. */
  readonly channelPrefix?: string
  /** Whether questions and answers take the sharded channels of Redis 7. Default: false. */
  readonly useShardedPubSub?: boolean
  /** Whether no event has bytes, so that none are looked for. Default: false. */
  readonly onlyPlaintext?: boolean
}

/** The time for which Redis may wait for an entry, in milliseconds. */
const BLOCK_TIME = 5_000

/**
 * Joins the server into a cluster over a stream of Redis. A server that loses the connection reads
 * later what it has missed.
 *
 * **Details**
 *
 * Broadcasts, joins, leaves and disconnections go by the stream; questions and their answers, and
 * events between servers, by PUBLISH. If the server's `recovery` is on, the stream is also its log,
 * and sessions are in Redis: a client is recovered by any server. That takes Redis 7. See
 * `RedisAdapter.layer` for everything else, but for the costs: a message by a stream costs about
 * twice as much CPU time.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: RedisStreamsAdapterOptions = {}): Layer.Layer<ClusterStatus, never, RedisClient> =>
  adapterLayer(
    options,
    Effect.fnUntraced(function* (bus) {
      const { redis } = bus
      const maxLength = options.maxLen ?? 10_000
      const readers = yield* StreamReaders.make(redis, {
        readCount: options.readCount ?? 100,
        blockTime: BLOCK_TIME,
        keeps: maxLength
      })
      const sessions = yield* Sessions.make(redis, { keyPrefix: options.sessionKeyPrefix ?? "sio:session:" })
      const needs = yield* makeTeller(redis)
      return StreamsLink.make(bus, readers, sessions, needs, {
        prefix: options.channelPrefix ?? "socket.io",
        streamName: options.streamName ?? "socket.io",
        streamCount: options.streamCount ?? 1,
        maxLength,
        onlyPlaintext: options.onlyPlaintext ?? false,
        useShardedPubSub: options.useShardedPubSub ?? false,
        maxBytes: options.maxMessageBytes ?? MAX_BYTES
      })
    }),
    true
  )

/**
 * The same as {@link layer}, with configured options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<RedisStreamsAdapterOptions>
): Layer.Layer<ClusterStatus, Config.ConfigError, RedisClient> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
