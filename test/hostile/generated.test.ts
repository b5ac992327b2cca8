/**
 * A hundred thousand generated inputs for every way in, or ten thousand in a short run, always the same ones. `test/hostile/long.ts` goes on with others.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { costly } from "../support/extent.ts"
import { entrances, pour } from "./memory.ts"

const INPUTS = costly(100_000, 10_000, 2_000)

describe(`${INPUTS} generated inputs`, () => {
  for (const [seed, entrance] of entrances.entries()) {
    it.live(
      `as ${entrance}: who sends them is closed or goes on, and nobody else notices`,
      () =>
        Effect.gen(function* () {
          const { closed, growth, inputs } = yield* pour(entrance, seed, INPUTS)
          assert.strictEqual(inputs, INPUTS)
          // They are malformed indeed, and not all of them in the first character.
          assert.isAbove(closed, entrance === "event payload" ? 0 : INPUTS / 10)
          assert.isBelow(closed, INPUTS)
          assert.isBelow(growth, 10_000_000)
        }),
      120_000
    )
  }
})
