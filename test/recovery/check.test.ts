/**
 * A short run of the checker: clients of both kinds, cut off again and again while a node of this library counts aloud. `check.ts` has
 * longer ones, clusters, and official servers beside.
 */
import { assert, describe, it } from "@effect/vitest"

import { costly } from "../support/extent.ts"
import { runStorm } from "./storm.ts"

describe("clients that are cut off again and again", () => {
  it("miss nothing in silence, hear nothing twice, and are recovered", async () => {
    const report = await runStorm({
      kind: "ours",
      adapter: "memory",
      duration: costly(20_000, 4_000, 3_000),
      hz: 100,
      clients: 9,
      transport: "both",
      every: 500,
      down: 300,
      seed: 7
    })
    const text = JSON.stringify(report)
    const { contradictions, disordered, duplicates, lostInSilence, received, recoverable } = report
    assert.deepStrictEqual(
      { contradictions, disordered, duplicates, lostInSilence },
      {
        contradictions: 0,
        disordered: 0,
        duplicates: 0,
        lostInSilence: 0
      },
      text
    )
    const cuts = recoverable.recovered + recoverable.refused
    assert.isAbove(cuts, 9, text)
    assert.isAtLeast(recoverable.recovered / cuts, 0.95, text)
    assert.isAbove(received, 100, text)
  }, 60_000)
})
