/**
 * Calls and streams in worlds in which connections are lost in every way: see `scenario.ts`.
 *
 * `SIMULATION_SEEDS=5000` runs so many instead, from `SIMULATION_FROM` on: `SIMULATION_SEEDS=1 SIMULATION_FROM=1322` runs one again, with
 * its trace.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import * as Simulation from "../../src/testing/Simulation.ts"
import { costly } from "../support/extent.ts"
import { Progress } from "../support/progress.ts"
import { makeTally, scenario } from "./scenario.ts"

const asked = process.env["SIMULATION_SEEDS"]
const from = Number(process.env["SIMULATION_FROM"] ?? 0)
const count = Number(asked ?? costly(5_000, 500, 60))

const PART = 500

/** A long run says how far it is. */
const progress = asked === undefined ? undefined : new Progress({ steps: Math.ceil(count / PART) })

describe("calls and streams end once and leave nothing, however connections are lost", () => {
  for (let first = from; first < from + count; first += PART) {
    const seeds = Math.min(PART, from + count - first)
    const name = `seeds ${first} to ${first + seeds - 1}`
    it.live(
      name,
      () =>
        Effect.gen(function* () {
          progress?.step(name)
          const tally = makeTally()
          yield* Simulation.check({ seeds, from: first, maxTrace: seeds === 1 ? 10_000 : 0 }, scenario(tally))
          progress?.print(`${name}: ${JSON.stringify(tally)}`)
          if (seeds === 1) return
          // Much has happened in these worlds.
          assert.isAbove(tally.calls, 12 * seeds)
          for (const what of ["succeeded", "failed", "interrupted", "outlived", "recoveries"] as const) {
            assert.isAbove(tally[what], seeds / 8, what)
          }
        }),
      60_000 + seeds * 100
    )
  }
})
