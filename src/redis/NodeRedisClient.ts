/**
 * Redis for the adapters through the service `NodeRedis` of `@effect/platform-node`, and from
 * configuration.
 *
 * @since 0.1.0
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { createClient } from "redis"

import * as RedisClient from "./RedisClient.ts"

/**
 * Provides Redis with the settings of the `NodeRedis` service.
 *
 * **Details**
 *
 * Connections of its own are used. An outage of the client of that service does not concern them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: RedisClient.RedisClientOptions
): Layer.Layer<RedisClient.RedisClient, never, NodeRedis.NodeRedis> =>
  Layer.effect(
    RedisClient.RedisClient,
    Effect.flatMap(NodeRedis.NodeRedis, ({ client }) => RedisClient.fromNodeRedis(client, options))
  )

/**
 * Provides Redis at a URL from the configuration, `REDIS_URL` if no other is given.
 *
 * **Details**
 *
 * The layer is there at once: it does not wait for Redis and does not fail without it.
 *
 * **Example** (The URL from another variable)
 *
 * ```ts
 * const RedisLive = NodeRedisClient.layerConfig({ url: Config.Redacted("CACHE_URL") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: RedisClient.RedisClientOptions & { readonly url?: Config.Config<Redacted.Redacted<string>> } = {}
): Layer.Layer<RedisClient.RedisClient, Config.ConfigError> =>
  Layer.effect(
    RedisClient.RedisClient,
    Effect.gen(function* () {
      const url = yield* options.url ?? Config.Redacted("REDIS_URL")
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => createClient({ url: Redacted.value(url) })),
        (made) => Effect.sync(() => made.destroy())
      )
      return yield* RedisClient.fromNodeRedis(client, options)
    })
  )
