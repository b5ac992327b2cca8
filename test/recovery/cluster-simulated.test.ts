/**
 * Recovery by several servers, in worlds in which connections are lost, and servers hang and die: see `clusterScenario.ts`.
 *
 * `SIMULATION_SEEDS=5000` runs so many instead, from `SIMULATION_FROM` on.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import * as Simulation from "../../src/testing/Simulation.ts"
import { costly } from "../support/extent.ts"
import { clusterScenario, makeClusterTally } from "./clusterScenario.ts"

const asked = process.env["SIMULATION_SEEDS"]
const from = Number(process.env["SIMULATION_FROM"] ?? 0)
const count = Number(asked ?? costly(10_000, 2_000, 200))

describe("recovery by any server", () => {
  it.live(
    `says the truth, and succeeds: seeds ${from} to ${from + count - 1}`,
    () =>
      Effect.gen(function* () {
        const tally = makeClusterTally()
        yield* Simulation.check({ seeds: count, from, maxTrace: count === 1 ? 10_000 : 0 }, clusterScenario(tally))
        if (asked !== undefined) console.log(JSON.stringify(tally))
        if (count === 1) return
        assert.isAbove(tally.recovered, 2 * count)
        assert.isAbove(tally.moved, count)
        assert.isAbove(tally.missed, count)
        assert.isAbove(tally.killed, count / 10)
        assert.isAbove(tally.frozen, count / 2)
      }),
    60_000 + count * 200
  )
})
