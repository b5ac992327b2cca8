/**
 * Recovery in worlds in which connections are lost in every way: see `scenario.ts`. One seed alone is run with its trace.
 */
import { assert, describe } from "@effect/vitest"
import { Effect } from "effect"

import * as Simulation from "../../src/testing/Simulation.ts"
import { costly } from "../support/extent.ts"
import { eachPart } from "../support/seeds.ts"
import { makeTally, scenario } from "./scenario.ts"

describe("recovery says the truth, and succeeds, however connections are lost", () => {
  eachPart(
    costly(20_000, 2_000, 100),
    Effect.fnUntraced(function* ({ first, name, print, seeds }) {
      const tally = makeTally()
      yield* Simulation.check({ seeds, from: first, maxTrace: seeds === 1 ? 10_000 : 0 }, scenario(tally))
      print(`${name}: ${JSON.stringify({ ...tally, reasons: Object.fromEntries(tally.reasons) })}`)
      if (seeds === 1) return
      // Every client of which the server had to keep the session has got it: the scenario sees to that. There were many.
      assert.isAbove(tally.due, 2.5 * seeds)
      assert.isAtLeast(tally.recovered, tally.due)
      assert.isAbove(tally.missed, 4 * seeds)
      assert.isAbove(tally.abandoned, seeds)
      const reasons = ["transport close", "transport error", "ping timeout", "forced close", "session resumed"]
      for (const reason of reasons) assert.isAbove(tally.reasons.get(reason) ?? 0, seeds / 10, reason)
    })
  )
})
