import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import type { ClusterLink } from "../../adapter/ClusterLink.ts"
import type { ClusterMonitor } from "../../adapter/ClusterStatus.ts"
import type { RedisAdapterOptions } from "../RedisAdapterOptions.ts"
import type { RedisClient } from "../RedisClient.ts"
import type { Command, Reply } from "../RedisCommand.ts"
import * as Away from "./away.ts"
import * as Membership from "./membership.ts"
import type { Body } from "./msgpack.ts"
import * as Publisher from "./publisher.ts"

/** The way of one server to all others. The links of its namespaces share it. */
export interface Bus {
  readonly redis: RedisClient["Service"]
  readonly monitor: ClusterMonitor
  /**
   * Publishes a message, in the order of the calls. It waits, within bounds, while Redis is away.
   */
  readonly publish: (channel: string, body: Body, isSharded: boolean) => void
  /**
   * The same with any command; `key` decides the server in a Redis Cluster. `done` is called once,
   * with the reply, or without one: it was dropped, or has failed and may still have been executed.
   */
  readonly send: (key: string, command: Command, done?: (reply: Reply | undefined) => void) => void
  /**
   * The part of a link that knows of the other servers, by a channel that every server subscribes
   * to. The first channel is also the one by which others are known to be back after an outage.
   */
  readonly others: (
    channel: string,
    isSharded: boolean
  ) => Effect.Effect<Pick<ClusterLink, "servers" | "lastServers" | "awayFor">, never, Scope.Scope>
}

/** Makes the bus of a server. */
export const makeBus = (
  redis: RedisClient["Service"],
  monitor: ClusterMonitor,
  { outbox }: RedisAdapterOptions
): Effect.Effect<Bus, never, Scope.Scope> =>
  Effect.gen(function* () {
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const tell = () => monitor.connected(redis.isConnected())
        tell()
        return redis.onChange(tell)
      }),
      (stop) => Effect.sync(stop)
    )
    const membership = yield* Membership.make(redis)
    const { add, publish } = yield* Publisher.make(redis, monitor, {
      ...outbox,
      // A message that leaves before the others have subscribed again would be lost.
      fence: Effect.andThen(Publisher.whenSubscribed(redis), membership.whenBack)
    })
    return {
      redis,
      monitor,
      publish,
      send: (key, command, done) => add(command, key, done),
      others: (channel, isSharded) =>
        Effect.map(Away.make(redis, channel, isSharded), (awayFor) => {
          membership.track(channel, isSharded)
          const { last, servers } = membership.counter(channel, isSharded)
          return { servers, lastServers: last, awayFor }
        })
    }
  })
