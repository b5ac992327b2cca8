/**
 * Recovery over Redis Streams with each client of Redis, and on a Redis Cluster.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

import { rows } from "../support/extent.ts"
import { requires } from "../support/peers.ts"
import { client as redisClientOf, type ClientKind, isClusterKind, type OlderKind } from "../support/redisClients.ts"
import { startRedis } from "../support/redisServer.ts"
import { eventually } from "./clients.ts"
import { backTo, StreamServers, withoutMarks } from "./streamServers.ts"

type Kind = ClientKind | OlderKind

const kinds: ReadonlyArray<Kind> = rows<Kind>(
  ["redis 5", "ioredis", "ioredis 5", "redis cluster", "redis 5 cluster", "ioredis Cluster", "ioredis 5 Cluster"],
  (kind) => kind === "ioredis" || kind === "redis cluster" || kind === "ioredis Cluster"
)

describe("recovery over Redis Streams", requires("Redis"), () => {
  let single: StreamServers
  let cluster: StreamServers
  beforeAll(async () => {
    single = new StreamServers(await startRedis())
    cluster = new StreamServers(await startRedis({ masters: 3 }))
  }, 60_000)
  afterAll(async () => {
    await single?.stop()
    await cluster?.stop()
  })

  for (const kind of kinds) {
    it(`works with a client of the kind ${kind}`, async () => {
      const world = isClusterKind(kind) ? cluster : single
      const redisClient = redisClientOf(kind, world.redis)
      const [one, two] = await world.start(`stream of ${kind}`, 2, { redisClient })
      const witness = await world.connect(two)
      // The keys of their sessions are at all servers of a Redis Cluster, that of the stream at one.
      const clients = []
      for (let i = 0; i < 6; i++) clients.push(await world.connect(one, ["room"]))
      for (const client of clients) await world.settle(one, client)
      const ids = clients.map(({ id }) => id)
      for (const client of clients) await client.cut("reset")
      await eventually("the ends", () => one.departures.length === clients.length)
      await two.emit({ to: ["room"] }, "e", 1)
      await two.join("room", "new")
      await two.emit({ to: ["new"] }, "e", 2)
      await world.settle(two, witness)
      // One that has read all of that, and one that has read nothing.
      const [late] = await world.start(`stream of ${kind}`, 1, { redisClient })
      for (const [i, client] of clients.entries()) {
        const next = i % 2 === 0 ? two : late
        assert.isTrue(await backTo(client, next), `client ${i}`)
        assert.strictEqual(client.id, ids[i])
        await one.emit({ to: [client.id!] }, "e", 3)
        await world.settle(one, client)
        assert.deepStrictEqual(withoutMarks(client), [1, 2, 3])
      }
    }, 30_000)
  }
})
