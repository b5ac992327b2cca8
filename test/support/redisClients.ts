/**
 * The clients of Redis that the library takes, each kind made for running servers.
 */
import { Effect, Exit, type Scope } from "effect"
import { Cluster, Redis } from "ioredis"
import { createClient, createCluster } from "redis"

import * as RedisClient from "../../src/redis/RedisClient.ts"
import { parseAddress } from "../../src/redis/internal/driver.ts"
import { until, type RunningServers } from "./redisServer.ts"

export type ClientKind = "redis" | "redis cluster" | "ioredis" | "ioredis Cluster"

export const clientKinds: ReadonlyArray<ClientKind> = ["redis", "redis cluster", "ioredis", "ioredis Cluster"]

export const isClusterKind = (kind: ClientKind): boolean => /cluster/i.test(kind)

type Service = RedisClient.RedisClient["Service"]

const addresses = ({ servers }: RunningServers) => servers.map(({ port }) => parseAddress(`127.0.0.1:${port}`))

/** A client of an application, without a listener for its errors. */
const make = (
  kind: ClientKind,
  running: RunningServers,
  options?: RedisClient.RedisClientOptions
): Effect.Effect<Service, never, Scope.Scope> => {
  switch (kind) {
    case "redis":
      return RedisClient.fromNodeRedis(createClient({ url: running.url }), options)
    case "redis cluster": {
      const cluster = createCluster({ rootNodes: running.servers.map(({ url }) => ({ url })) })
      return Effect.andThen(
        Effect.addFinalizer(() => Effect.sync(() => cluster.destroy())),
        RedisClient.fromNodeRedisCluster(cluster, options)
      )
    }
    case "ioredis":
      return RedisClient.fromIoredis(new Redis(running.server.port, "127.0.0.1", { lazyConnect: true }), options)
    case "ioredis Cluster": {
      const cluster = new Cluster(addresses(running), { lazyConnect: true })
      return Effect.andThen(
        Effect.addFinalizer(() => Effect.sync(() => cluster.disconnect())),
        RedisClient.fromIoredisCluster(cluster, options)
      )
    }
  }
}

/** A client of a kind, connected. */
export const client = (
  kind: ClientKind,
  running: RunningServers,
  options?: RedisClient.RedisClientOptions
): Effect.Effect<Service, never, Scope.Scope> =>
  make(kind, running, options).pipe(Effect.tap((service) => wait("a connection", () => service.isConnected())))

/** Waits until a condition holds. */
export const wait = (what: string, holds: () => boolean, timeout?: number): Effect.Effect<void> =>
  Effect.promise(() => until(what, () => (holds() ? true : undefined), timeout === undefined ? {} : { timeout }))

/** Waits until the loss of all connections has been noticed. */
export const lost = (service: Service): Effect.Effect<void> =>
  Effect.andThen(
    wait("the loss of connections", () => !service.isConnected()),
    Effect.exit(service.command(["PING"])).pipe(Effect.repeat({ until: Exit.isFailure }), Effect.asVoid)
  )
