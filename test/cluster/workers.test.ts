/**
 * Every operation between the workers of Node's cluster module: this library's alone and together with official ones, under a primary
 * of this library and under the official one.
 */
import { afterAll, beforeAll, beforeEach, describe, it } from "@effect/vitest"

import { isExhaustive, isFull } from "../support/extent.ts"
import { type Cluster, type Kind, startCluster } from "./nodes.ts"
import { actorOf, knownFailures, operations, World } from "./operations.ts"

interface Suite {
  readonly primary: Kind
  readonly kinds: ReadonlyArray<Kind>
}

/** A quick run has the first one, CI the first two. */
const suites: ReadonlyArray<Suite> = [
  { primary: "ours", kinds: ["ours", "official", "ours"] },
  { primary: "official", kinds: ["ours", "official", "ours"] },
  { primary: "ours", kinds: ["ours", "ours", "ours"] },
  { primary: "official", kinds: ["ours", "ours"] }
]

const extent = isExhaustive ? suites.length : isFull ? 2 : 1

const owner = (kind: Kind): string => (kind === "ours" ? "this library" : "the official package")

for (const { kinds, primary } of suites.slice(0, extent)) {
  describe(`workers ${kinds.join(", ")} under a primary of ${owner(primary)}`, () => {
    let cluster: Cluster
    let world: World

    beforeAll(async () => {
      cluster = await startCluster({ adapter: "cluster", kinds, primary })
      world = new World(cluster)
      await world.enterAll()
    })
    beforeEach(() => world.forget())
    afterAll(async () => {
      world?.leaveAll()
      await cluster?.stop()
    })

    for (const [index, kind] of kinds.entries()) {
      // Two workers of one kind do the same.
      if (kinds.indexOf(kind) !== index) continue
      for (const [name, check] of Object.entries(operations)) {
        if (knownFailures[kind].includes(name)) continue
        it(`the worker of ${owner(kind)} ${name}`, () => check(actorOf(world, index)))
      }
    }
  })
}
