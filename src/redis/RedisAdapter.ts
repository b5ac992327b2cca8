/**
 * Clusters over PUBLISH of Redis, together with official servers that have
 * `@socket.io/redis-adapter` 8.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

import type { ClusterStatus } from "../adapter/ClusterStatus.ts"
import { adapterLayer } from "./internal/adapterLayer.ts"
import * as ClassicLink from "./internal/classicLink.ts"
import { MAX_BYTES } from "./internal/msgpack.ts"
import * as ShardedLink from "./internal/shardedLink.ts"
import type { RedisAdapterOptions } from "./RedisAdapterOptions.ts"
import type { RedisClient } from "./RedisClient.ts"

/**
 * Options of sharded channels.
 *
 * @since 0.1.0
 * @category options
 */
export interface ShardedAdapterOptions extends RedisAdapterOptions {
  /**
   * Whether a room has a channel of its own, to which only servers with members subscribe
   * (`dynamic`), or not (`static`). All servers of a cluster must have the same mode. Default:
   * `dynamic`. Messages to a room whose name is longer than 512 characters reach all servers.
   *
   * **Gotchas**
   *
   * In a Redis Cluster, the channels of rooms are on different masters: the order of messages holds
   * within one room, and not between rooms. `static` keeps it, on one master.
   */
  readonly subscriptionMode?: "dynamic" | "static"
}

/** The part of the options that all links need. */
const linkOptions = ({ key = "socket.io", maxMessageBytes = MAX_BYTES }: RedisAdapterOptions) => ({
  prefix: key,
  maxBytes: maxMessageBytes
})

/**
 * Joins the server into a cluster over Redis: the format that most official clusters run
 * (`createAdapter`).
 *
 * **Details**
 *
 * The layer goes below the server's layer. Broadcasts, acknowledgements, `fetchSockets`, joins,
 * leaves, disconnections and events between servers then reach all servers with the same `key`,
 * with the same API as on one server.
 *
 * The server's own clients hear a broadcast at once, whether or not Redis is there. All messages of
 * one turn of the event loop leave in one pipeline. While Redis is away they wait, within the
 * bounds of `outbox`. Losses are counted: see {@link ClusterStatus}, which the layer provides, and
 * `ClusterMetrics`.
 *
 * A question, such as `fetchSockets`, fails with a `ServersMissingError` if a server dies, hangs or
 * cannot be reached meanwhile. The error has the answers of the others.
 *
 * **Gotchas**
 *
 * The layer does not fail while Redis is away: it connects in the background. Check
 * `ClusterStatus.current` for readiness.
 *
 * **Example** (A server of a cluster)
 *
 * ```ts
 * const RedisLive = RedisClient.layer(
 *   Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url: "redis://localhost" })))
 * )
 * const Main = ChatLive.pipe(
 *   Layer.provide(NodeSocketIoServer.layer({ port: 3000 })),
 *   Layer.provide(RedisAdapter.layer()),
 *   Layer.provide(RedisLive)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: RedisAdapterOptions = {}): Layer.Layer<ClusterStatus, never, RedisClient> =>
  adapterLayer(options, (bus) => Effect.succeed(ClassicLink.make(bus, linkOptions(options))))

/**
 * The same as {@link layer}, with configured options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<RedisAdapterOptions>
): Layer.Layer<ClusterStatus, Config.ConfigError, RedisClient> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))

/**
 * Joins the server into a cluster over the sharded channels of Redis 7, together with official
 * servers that have `createShardedAdapter`. It is made for a Redis Cluster, and works on one Redis.
 *
 * **Details**
 *
 * A server hears the messages to a room only while it has members of it. `socket.join` ends when it
 * does. See {@link layer} for everything else.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSharded = (options: ShardedAdapterOptions = {}): Layer.Layer<ClusterStatus, never, RedisClient> =>
  adapterLayer(options, (bus) =>
    Effect.succeed(ShardedLink.make(bus, { ...linkOptions(options), mode: options.subscriptionMode ?? "dynamic" }))
  )

/**
 * The same as {@link layerSharded}, with configured options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerShardedConfig = (
  options: Config.Wrap<ShardedAdapterOptions>
): Layer.Layer<ClusterStatus, Config.ConfigError, RedisClient> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layerSharded))
