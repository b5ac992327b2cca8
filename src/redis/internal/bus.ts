import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import type { ClusterMonitor } from "../../adapter/ClusterStatus.ts"
import type { RedisAdapterOptions } from "../RedisAdapter.ts"
import type { RedisClient } from "../RedisClient.ts"
import type { Command } from "../RedisCommand.ts"
import type { Body } from "./msgpack.ts"

/** The way of one server to all others: what the links of its namespaces share. */
export interface Bus {
  readonly redis: RedisClient["Service"]
  readonly monitor: ClusterMonitor
  /** Publishes a message, in the order of the calls. It waits, within bounds, while Redis is away. */
  readonly publish: (channel: string, body: Body, isSharded: boolean) => void
  /** The same with any command; `key` decides the server in a Redis Cluster. */
  readonly send: (key: string, command: Command) => void
  /** See `ClusterLink.servers`: the number of subscribers of a channel that every server subscribes to. */
  readonly servers: (channel: string, isSharded: boolean) => Effect.Effect<number | undefined>
}

/** Makes the bus of a server. */
export const makeBus = (
  redis: RedisClient["Service"],
  monitor: ClusterMonitor,
  _options: RedisAdapterOptions
): Effect.Effect<Bus, never, Scope.Scope> =>
  Effect.gen(function* () {
    const run = Effect.runForkWith(yield* Effect.context<never>())
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const tell = () => monitor.connected(redis.isConnected())
        tell()
        return redis.onChange(tell)
      }),
      (stop) => Effect.sync(stop)
    )
    let waiting: Array<{ readonly key: string | undefined; readonly command: Command }> = []
    const flush = () => {
      const commands = waiting
      waiting = []
      for (const { command, key } of commands) {
        run(
          Effect.catch(redis.execute([command], key === undefined ? {} : { key }), () =>
            Effect.sync(() => monitor.dropped(1, "failed"))
          )
        )
      }
    }
    const add = (key: string | undefined, command: Command) => {
      waiting.push({ key, command })
      if (waiting.length === 1) setImmediate(flush)
    }
    return {
      redis,
      monitor,
      publish: (channel, body, isSharded) =>
        add(isSharded ? channel : undefined, [isSharded ? "SPUBLISH" : "PUBLISH", channel, body]),
      send: add,
      servers: (channel, isSharded) => Effect.orElseSucceed(redis.numSub(channel, isSharded), () => undefined)
    }
  })
