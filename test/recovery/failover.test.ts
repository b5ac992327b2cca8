/**
 * Recovery over Redis Streams when a master of a Redis Cluster dies, and its replica takes over without the last entries: Redis
 * replicates them after it has confirmed them.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

import { requires } from "../support/peers.ts"
import { client as redisClient, type ClientKind } from "../support/redisClients.ts"
import { ownerOf, replicaOf } from "../support/redisCluster.ts"
import { startRedis, until } from "../support/redisServer.ts"
import { eventually } from "./clients.ts"
import type { Subject } from "./servers.ts"
import { backTo, numbersOf, StreamServers, withoutMarks } from "./streamServers.ts"

const kinds: ReadonlyArray<ClientKind> = ["redis cluster", "ioredis Cluster"]

describe("recovery over a Redis Cluster whose master fails", requires("Redis"), () => {
  for (const kind of kinds) {
    describe(`through ${kind}`, () => {
      let world: StreamServers
      beforeAll(async () => {
        world = new StreamServers(await startRedis({ masters: 3, replicas: 1 }))
      }, 60_000)
      afterAll(() => world?.stop())

      const start = (count: number) => world.start("failing", count, { redisClient: redisClient(kind, world.redis) })

      it("never says `recovered` where an entry may be missing that others have had, and recovers again after that", async () => {
        const [one, two] = await start(2)
        const witness = await world.connect(one)
        const [early, later] = [await world.connect(one), await world.connect(one)]
        const ids = new Set([witness, early, later].map(({ id }) => id))
        for (const client of [early, later, witness]) await world.settle(one, client)
        for (const client of [early, later]) await client.cut("reset")
        await eventually("the ends", () => one.departures.length === 2)

        const master = await ownerOf(world.redis, "failing")
        const replica = await replicaOf(world.redis, master)
        await replica.command("config", "set", "cluster-replica-no-failover", "yes")
        // Nothing more reaches the replica.
        replica.pause()
        assert.strictEqual(await master.command("client", "kill", "type", "replica"), "1")
        await one.emit({}, "e", 1)
        await eventually("the entry that will be missing", () => numbersOf(witness).includes(1))
        await master.kill()
        replica.resume()
        await until("the takeover", async () => {
          await replica.command("cluster", "failover", "takeover")
          return (await replica.command("role")).startsWith("master") ? true : undefined
        })
        await hears(one, witness, "after")
        assert.notInclude(await replica.command("xrange", "failing", "-", "+"), `["e",1]`)

        // A server that was there, and one that has never seen the former master.
        const [late] = await start(1)
        assert.deepStrictEqual([await backTo(early, two), await backTo(later, late)], [false, false])
        // It has had everything, but nobody knows that it has.
        await witness.cut("reset")
        assert.isFalse(await backTo(witness, two))
        assert.isEmpty([early.id, later.id, witness.id].filter((id) => ids.has(id)))

        for (const [client, server] of [
          [early, late],
          [later, one],
          [witness, two]
        ] as const) {
          await hears(two, client, `before ${client.id}`)
          await world.settle(two, client)
          const { heard, id } = client
          const before = heard.length
          await client.cut("reset")
          await two.emit({}, "e", `missed by ${id}`)
          assert.isTrue(await backTo(client, server))
          assert.strictEqual(client.id, id)
          await world.settle(two, client)
          assert.include(withoutMarks(client).slice(before - client.heard.length), `missed by ${id}`)
        }
      }, 90_000)
    })
  }
})

/** Emits until it is heard: an event that Redis may have had when it went is not sent again. */
const hears = async (server: Subject, client: Parameters<typeof numbersOf>[0], what: string) => {
  let count = 0
  await until(
    `"${what}"`,
    async () => {
      await server.emit({}, "e", `${what} ${++count}`)
      return numbersOf(client).some((n) => String(n).startsWith(what)) ? true : undefined
    },
    { every: 100, timeout: 30_000 }
  )
}
