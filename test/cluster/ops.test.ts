/**
 * Every operation between nodes of this library, and between them and official nodes: each as the one that asks and as the one that is
 * asked, over every adapter.
 */
import { afterAll, beforeAll, beforeEach, describe, it } from "@effect/vitest"

import { isCi, rows } from "../support/extent.ts"
import { requires } from "../support/peers.ts"
import { type RunningServers, startRedis } from "../support/redisServer.ts"
import { officialEmitter } from "./emitters.ts"
import { type AdapterName, type Cluster, type Kind, startCluster } from "./nodes.ts"
import { actorOf, emitterOperations, type ExternalEmitter, knownFailures, operations, World } from "./operations.ts"

interface Suite {
  readonly adapter: AdapterName
  readonly masters: number
  readonly kinds: ReadonlyArray<Kind>
}

/** Official nodes alone show that the checks themselves are right: `KINDS=official,official`. */
const kinds = process.env["KINDS"]?.split(",") as ReadonlyArray<Kind> | undefined

const clusters: ReadonlyArray<ReadonlyArray<Kind>> =
  kinds === undefined
    ? [
        ["official", "ours"],
        ["ours", "ours"]
      ]
    : [kinds]

const engines: ReadonlyArray<Omit<Suite, "kinds">> = [
  { adapter: "redis", masters: 0 },
  { adapter: "sharded", masters: 0 },
  { adapter: "streams", masters: 0 },
  { adapter: "sharded", masters: 3 }
]

const suites: ReadonlyArray<Suite> = engines.flatMap((engine) => clusters.map((kinds) => ({ ...engine, kinds })))

/** CI has clusters of both kinds alone. */
const isUsual = ({ kinds }: Suite): boolean => kinds !== clusters[1]

/** A quick run has one of them. */
const isEssential = ({ adapter, kinds }: Suite): boolean => adapter === "redis" && kinds !== clusters[1]

/** Clusters of this library alone take the other client. */
const clientOf = ({ kinds }: Suite): string => (kinds.includes("official") ? "redis" : "ioredis")

const titleOf = ({ adapter, kinds, masters }: Suite): string =>
  `a cluster of ${kinds.join(" and ")} nodes with the adapter ${adapter}${masters > 0 ? ` on a Redis Cluster of ${masters} masters` : ""}`

/** Redis servers are shared by suites: empty ones are as good as new ones, as every cluster has clients and nodes of its own. */
const redises = new Map<number, Promise<RunningServers>>()
const redisOf = (masters: number): Promise<RunningServers> => {
  const running = redises.get(masters) ?? startRedis({ masters })
  redises.set(masters, running)
  return running
}

afterAll(async () => {
  for (const running of redises.values()) await (await running).stop()
})

for (const suite of rows(suites, isCi ? isUsual : isEssential)) {
  const { adapter, kinds, masters } = suite
  describe(titleOf(suite), requires("Redis"), () => {
    let cluster: Cluster
    let world: World

    beforeAll(async () => {
      const redis = await redisOf(masters)
      cluster = await startCluster({ adapter, kinds, redis, env: { REDIS_CLIENT: clientOf(suite) } })
      world = new World(cluster)
      await world.enterAll()
    })
    beforeEach(() => world.forget())
    afterAll(async () => {
      world?.leaveAll()
      await cluster?.stop()
    })

    // Two nodes of one kind do the same.
    const actors = kinds
      .map((kind, index) => ({ kind, index }))
      .filter(({ kind, index }) => kinds.indexOf(kind) === index)
    for (const { index, kind } of actors) {
      for (const [name, check] of Object.entries(operations)) {
        if (knownFailures[kind].includes(name)) continue
        it(`the ${kind} node ${name}`, () => check(actorOf(world, index)))
      }
    }

    if (adapter === "redis" && masters === 0) {
      describe("with the official emitter", () => {
        let emitter: ExternalEmitter & { readonly close: () => Promise<void> }
        beforeAll(async () => {
          emitter = await officialEmitter(cluster.redis!.url)
        })
        afterAll(() => emitter?.close())
        for (const [name, check] of Object.entries(emitterOperations)) {
          it(`the emitter ${name}`, () => check(world, emitter))
        }
      })
    }
  })
}
