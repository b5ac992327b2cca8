/**
 * Clusters in worlds in which everything goes wrong: see `scenario.ts`.
 *
 * `SIMULATION_SEEDS=5000` runs so many instead, from `SIMULATION_FROM` on: `SIMULATION_SEEDS=1 SIMULATION_FROM=1322` runs one again.
 */
import { describe, it } from "@effect/vitest"

import * as Simulation from "../../src/testing/Simulation.ts"
import { count as extent } from "../support/extent.ts"
import { Progress } from "../support/progress.ts"
import { scenario } from "./scenario.ts"

const asked = process.env["SIMULATION_SEEDS"]
const from = Number(process.env["SIMULATION_FROM"] ?? 0)
const count = Number(asked ?? extent(1_000, 100))

const PART = 500

/** A long run says how far it is. */
const progress = asked === undefined ? undefined : new Progress({ steps: Math.ceil(count / PART) })

describe("a cluster does as its model, whatever happens to the bus", () => {
  for (let first = from; first < from + count; first += PART) {
    const seeds = Math.min(PART, from + count - first)
    it.live(
      `seeds ${first} to ${first + seeds - 1}`,
      () => {
        progress?.step(`seeds ${first} to ${first + seeds - 1}`)
        return Simulation.check({ seeds, from: first, maxTrace: 0 }, scenario)
      },
      60_000 + seeds * 100
    )
  }
})
