/**
 * The layers that provide Redis.
 */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Exit, Layer } from "effect"
import { Redis } from "ioredis"

import * as NodeRedisClient from "../../src/redis/NodeRedisClient.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import { requires } from "../support/peers.ts"
import { wait } from "../support/redisClients.ts"
import { redis } from "../support/redisServer.ts"

const ping = Effect.gen(function* () {
  const service = yield* RedisClient.RedisClient
  yield* wait("a connection", () => service.isConnected())
  return yield* service.command(["PING"])
})

const connections = (command: (...args: ReadonlyArray<string>) => Promise<string>) =>
  Effect.promise(async () => (await command("client", "list")).split("\n").length)

describe("The layer of Redis", requires("Redis"), () => {
  it.live("takes the settings of NodeRedis", () =>
    Effect.gen(function* () {
      const { url } = yield* redis()
      const layer = NodeRedisClient.layer().pipe(Layer.provide(NodeRedis.layer({ url })))
      assert.strictEqual(yield* Effect.provide(ping, layer), "PONG")
    })
  )

  it.live("reads the URL from the configuration, and ends its connections with its scope", () =>
    Effect.gen(function* () {
      const { server, url } = yield* redis()
      const provider = ConfigProvider.layer(ConfigProvider.fromUnknown({ REDIS_URL: url, OTHER: url }))
      const before = yield* connections((...args) => server.command(...args))
      for (const options of [{}, { url: Config.Redacted("OTHER") }]) {
        const layer = NodeRedisClient.layerConfig(options).pipe(Layer.provide(provider))
        assert.strictEqual(yield* Effect.provide(ping, layer), "PONG")
      }
      yield* connections((...args) => server.command(...args)).pipe(Effect.repeat({ until: (n) => n === before }))
    })
  )

  it.live("fails without a URL", () =>
    Effect.gen(function* () {
      const provider = ConfigProvider.layer(ConfigProvider.fromUnknown({}))
      const layer = NodeRedisClient.layerConfig().pipe(Layer.provide(provider))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Effect.provide(ping, layer))))
    })
  )

  it.live("is there at once, also without Redis", () =>
    Effect.gen(function* () {
      const { server, url } = yield* redis()
      yield* Effect.promise(() => server.kill())
      const provider = ConfigProvider.layer(ConfigProvider.fromUnknown({ REDIS_URL: url }))
      const layer = NodeRedisClient.layerConfig().pipe(Layer.provide(provider))
      const state = Effect.gen(function* () {
        const service = yield* RedisClient.RedisClient
        assert.isFalse(service.isConnected())
        const { reason } = yield* Effect.flip(service.command(["PING"]))
        return reason._tag
      })
      assert.strictEqual(yield* Effect.provide(state, layer), "Disconnected")
    })
  )

  it.live("takes any of the clients", () =>
    Effect.gen(function* () {
      const { server } = yield* redis()
      const layer = RedisClient.layer(
        Effect.suspend(() => RedisClient.fromIoredis(new Redis(server.port, "127.0.0.1", { lazyConnect: true })))
      )
      assert.strictEqual(yield* Effect.provide(ping, layer), "PONG")
    })
  )
})
