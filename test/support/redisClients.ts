/**
 * The clients of Redis that the library takes, each kind made for running servers.
 */
import { Effect, Exit, type Scope } from "effect"
import { Cluster, Redis } from "ioredis"
import { Cluster as Cluster5, Redis as Redis5 } from "ioredis5"
import { createClient, createCluster } from "redis"
import { createClient as createClient5, createCluster as createCluster5 } from "redis5"

import * as RedisClient from "../../src/redis/RedisClient.ts"
import { parseAddress } from "../../src/redis/internal/driver.ts"
import { until, type RunningServers } from "./redisServer.ts"

export type ClientKind = "redis" | "redis cluster" | "ioredis" | "ioredis Cluster"

/** The oldest versions that the package takes. */
export type OlderKind = "redis 5" | "redis 5 cluster" | "ioredis 5" | "ioredis 5 Cluster"

export const clientKinds: ReadonlyArray<ClientKind> = ["redis", "redis cluster", "ioredis", "ioredis Cluster"]
export const olderKinds: ReadonlyArray<OlderKind> = ["redis 5", "redis 5 cluster", "ioredis 5", "ioredis 5 Cluster"]

export const isClusterKind = (kind: ClientKind | OlderKind): boolean => /cluster/i.test(kind)

type Service = RedisClient.RedisClient["Service"]

const addresses = ({ servers }: RunningServers) => servers.map(({ port }) => parseAddress(`127.0.0.1:${port}`))

/** A client of an application, without a listener for its errors. */
const make = (
  kind: ClientKind | OlderKind,
  running: RunningServers,
  options?: RedisClient.RedisClientOptions
): Effect.Effect<Service, never, Scope.Scope> => {
  const { port } = running.server
  const nodes = { rootNodes: running.servers.map(({ url }) => ({ url })) }
  switch (kind) {
    case "redis":
      return RedisClient.fromNodeRedis(createClient({ url: running.url }), options)
    case "redis 5":
      return RedisClient.fromNodeRedis(createClient5({ url: running.url }), options)
    case "redis cluster":
      return closing(createCluster(nodes), (cluster) => RedisClient.fromNodeRedisCluster(cluster, options))
    case "redis 5 cluster":
      return closing(createCluster5(nodes), (cluster) => RedisClient.fromNodeRedisCluster(cluster, options))
    case "ioredis":
      return RedisClient.fromIoredis(new Redis(port, "127.0.0.1", { lazyConnect: true }), options)
    case "ioredis 5":
      return RedisClient.fromIoredis(new Redis5(port, "127.0.0.1", { lazyConnect: true }), options)
    case "ioredis Cluster":
      return closing(new Cluster(addresses(running), { lazyConnect: true }), (cluster) =>
        RedisClient.fromIoredisCluster(cluster, options)
      )
    case "ioredis 5 Cluster":
      return closing(new Cluster5(addresses(running), { lazyConnect: true }), (cluster) =>
        RedisClient.fromIoredisCluster(cluster, options)
      )
  }
}

/** Ours uses the application's own client of a cluster, which ends with the test. */
const closing = <C extends { destroy(): unknown } | { disconnect(): unknown }>(
  cluster: C,
  use: (cluster: C) => Effect.Effect<Service, never, Scope.Scope>
): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.andThen(
    Effect.addFinalizer(() => Effect.sync(() => ("destroy" in cluster ? cluster.destroy() : cluster.disconnect()))),
    use(cluster)
  )

/** A client of a kind, connected. */
export const client = (
  kind: ClientKind | OlderKind,
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
