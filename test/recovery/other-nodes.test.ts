/**
 * A client that is away gets what other nodes of a cluster have sent meanwhile, though no other client of its node needs it.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { createClient } from "redis"

import type { ClusterStatus } from "../../src/adapter/ClusterStatus.ts"
import * as RedisAdapter from "../../src/redis/RedisAdapter.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisStreamsAdapter from "../../src/redis/RedisStreamsAdapter.ts"
import { requires } from "../support/peers.ts"
import { type RunningServers, startRedis, until } from "../support/redisServer.ts"
import { eventually, startClient } from "./clients.ts"
import { startSubject } from "./servers.ts"

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

const adapters: Readonly<Record<string, () => Layer.Layer<ClusterStatus, unknown, RedisClient.RedisClient>>> = {
  classic: () => RedisAdapter.layer(),
  sharded: () => RedisAdapter.layerSharded(),
  streams: () => RedisStreamsAdapter.layer()
}

describe("a client of a cluster that is away", requires("Redis"), () => {
  let redis: RunningServers
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis?.stop())

  for (const [name, adapter] of Object.entries(adapters)) {
    it(`gets what another node has sent, over the adapter ${name}`, async () => {
      const start = () => {
        const client = RedisClient.layer(
          Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url: redis.url })))
        )
        return startSubject("ours", { adapter: Layer.provide(adapter(), client) })
      }
      const home = await start()
      const other = await start()
      const client = await startClient("official", home.port, { rooms: ["room", "left"] })
      const numbers = () => client.heard.map(([, n]) => n)
      try {
        await client.call("join", "room")
        // The first ones may come before the two know of each other.
        await eventually("the other node", () => {
          void other.emit({ to: ["room"] }, "e", 0)
          return numbers().includes(0)
        })
        const id = client.id!
        for (let round = 1; round <= 2; round++) {
          await client.cut("reset")
          await eventually("the end", () => home.departures.length === round)
          await other.emit({ to: ["room"] }, "e", 10 * round + 1)
          await other.emit({}, "e", 10 * round + 2)
          await other.emit({ to: [id] }, "e", 10 * round + 3)
          await other.emit({ to: ["elsewhere"] }, "e", "not for it")
          await other.emit({ to: ["late"] }, "e", round === 1 ? "not for it" : 24)
          await other.join(id, "late")
          await other.leave(id, "left")
          // Nodes subscribe to the sharded channel of a room when it has a member, which may be one that is away.
          if (name === "sharded") {
            await until("a subscription", async () => {
              const [, subscribers] = (await redis.server.command("pubsub", "shardnumsub", "socket.io#/#late#")).split(
                "\n"
              )
              return Number(subscribers) > 0 || undefined
            })
          }
          await other.emit({ to: ["late"] }, "e", 10 * round + 5)
          await other.emit({ to: ["left"] }, "e", "not for it")
          await other.emit({}, "e", 10 * round + 9)
          // Events that arrive after its return are no news: most of them must come before.
          await pause(150)
          assert.isTrue(await client.back())
          await eventually("what was missed", () => numbers().includes(10 * round + 9))
        }
        const missed = numbers().filter((n) => n !== 0)
        assert.sameMembers(missed as Array<number>, [11, 12, 13, 15, 19, 21, 22, 23, 24, 25, 29])
        assert.strictEqual(missed.length, 11)
      } finally {
        await client.end()
        await other.stop()
        await home.stop()
      }
    })
  }
})
