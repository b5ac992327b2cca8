/** The adapters over Redis, by the client library and the urls that a node is told. */
import { Effect, Layer } from "effect"
import { Cluster, Redis } from "ioredis"
import { createClient, createCluster } from "redis"

import * as RedisAdapter from "../../src/redis/RedisAdapter.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisStreamsAdapter from "../../src/redis/RedisStreamsAdapter.ts"
import { settings } from "./control.ts"

const urls = (process.env["REDIS_URL"] ?? "").split(",")
const isCluster = urls.length > 1

const clients = {
  redis: () =>
    isCluster
      ? RedisClient.fromNodeRedisCluster(createCluster({ rootNodes: urls.map((url) => ({ url })) }))
      : RedisClient.fromNodeRedis(createClient({ url: urls[0]! })),
  ioredis: () =>
    isCluster
      ? RedisClient.fromIoredisCluster(new Cluster(urls, { lazyConnect: true }))
      : RedisClient.fromIoredis(new Redis(urls[0]!, { lazyConnect: true }))
}

const client = RedisClient.layer(
  Effect.suspend(() => clients[(process.env["REDIS_CLIENT"] ?? "redis") as keyof typeof clients]())
)

export const redis = Layer.provide(RedisAdapter.layer(settings.adapterOptions), client)
export const sharded = Layer.provide(RedisAdapter.layerSharded(settings.adapterOptions), client)
export const streams = Layer.provide(RedisStreamsAdapter.layer(settings.adapterOptions), client)
