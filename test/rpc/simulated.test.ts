/**
 * Calls and streams in worlds in which connections are lost in every way: see `scenario.ts`. One seed alone is run with its trace.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"

import * as Simulation from "../../src/testing/Simulation.ts"
import { costly } from "../support/extent.ts"
import { eachPart } from "../support/seeds.ts"
import { makeTally, scenario } from "./scenario.ts"

describe("calls and streams end once and leave nothing, however connections are lost", () => {
  eachPart(
    costly(5_000, 100, 60),
    Effect.fnUntraced(function* ({ first, name, print, seeds }) {
      const tally = makeTally()
      yield* Simulation.check({ seeds, from: first, maxTrace: seeds === 1 ? 10_000 : 0 }, scenario(tally))
      print(`${name}: ${JSON.stringify(tally)}`)
      if (seeds === 1) return
      // Much has happened in these worlds.
      assert.isAbove(tally.calls, 12 * seeds)
      for (const what of ["succeeded", "failed", "interrupted", "outlived", "recoveries"] as const) {
        assert.isAbove(tally[what], seeds / 8, what)
      }
    })
  )
})
