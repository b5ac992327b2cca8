/**
 * The server and the client in worlds in which everything goes wrong: see `scenarios/`.
 *
 * `SIMULATION_SEEDS=2000` runs so many instead, from `SIMULATION_FROM` on: `SIMULATION_SEEDS=1 SIMULATION_FROM=1322` runs one again.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"

import * as Simulation from "../../src/testing/Simulation.ts"
import { count as extent } from "../support/extent.ts"
import { Progress } from "../support/progress.ts"
import { conversation } from "./scenarios/conversation.ts"
import { duplicateAcks } from "./scenarios/wire.ts"

/** Seeds with which something was wrong once. */
const knownSeeds: Readonly<Record<number, string>> = {
  5: "to join a namespace again before the answer to the first time closed the connection",
  8: "an event to an old stay in a namespace reached the next one over the same connection",
  1081: "a deadline slept for less than a nanosecond, again and again",
  1404: "the answer to a CONNECT that was taken back made a socket ask over a connection that was being closed"
}

const asked = process.env["SIMULATION_SEEDS"]
const from = Number(process.env["SIMULATION_FROM"] ?? 0)
const count = Number(asked ?? extent(2_000, 100))

const PART = 500

/** A long run says how far it is. */
const progress = asked === undefined ? undefined : new Progress({ steps: Math.ceil(count / PART) })

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
  if (asked === undefined) {
    for (const [seed, what] of Object.entries(knownSeeds)) it.live(`seed ${seed}: ${what}`, () => checked(Number(seed)))
  }
  for (let first = from; first < from + count; first += PART) {
    const last = Math.min(first + PART, from + count)
    const seeds = Array.from({ length: last - first }, (_, i) => first + i)
    it.live(
      `seeds ${first} to ${last - 1}`,
      () => {
        progress?.step(`seeds ${first} to ${last - 1}`)
        return Effect.forEach(seeds, checked, { discard: true })
      },
      60_000 + seeds.length * 100
    )
  }
})
