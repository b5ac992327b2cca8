/**
 * The server and the client in worlds in which everything goes wrong: see `scenarios/`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"

import * as Simulation from "../../src/testing/Simulation.ts"
import { costly } from "../support/extent.ts"
import { eachPart, isAsked } from "../support/seeds.ts"
import { conversation } from "./scenarios/conversation.ts"
import { duplicateAcks } from "./scenarios/wire.ts"

/** Seeds with which something was wrong once. */
const knownSeeds: Readonly<Record<number, string>> = {
  5: "to join a namespace again before the answer to the first time closed the connection",
  8: "an event to an old stay in a namespace reached the next one over the same connection",
  1081: "a deadline slept for less than a nanosecond, again and again",
  1404: "the answer to a CONNECT that was taken back made a socket ask over a connection that was being closed"
}

/** Runs a seed, and says what is wrong. */
const checked = Effect.fnUntraced(function* (seed: number) {
  const report = yield* Simulation.run({ seed, maxTrace: 100_000 }, conversation)
  if (Exit.isFailure(report.exit) || report.leaks.length > 0) {
    return yield* Effect.die(new Simulation.SimulationFailed({ report }))
  }
  assert.deepStrictEqual(duplicateAcks(report.trace), [], `seed ${seed}`)
  assert.isAbove(report.trace.length, 10)
})

describe("conversations go as they must, whatever happens to their networks", () => {
  if (!isAsked) {
    for (const [seed, what] of Object.entries(knownSeeds)) it.live(`seed ${seed}: ${what}`, () => checked(Number(seed)))
  }
  eachPart(costly(2_000, 400, 100), ({ first, seeds }) =>
    Effect.forEach(
      Array.from({ length: seeds }, (_, i) => first + i),
      checked,
      { discard: true }
    )
  )
})
