/**
 * Tests of simulations, in parts of 500 seeds.
 *
 * `SIMULATION_SEEDS=5000` runs so many instead, from `SIMULATION_FROM` on: `SIMULATION_SEEDS=1 SIMULATION_FROM=1322` runs one again.
 */
import { it } from "@effect/vitest"
import type { Effect, Scope } from "effect"

import { Progress } from "./progress.ts"

const asked = process.env["SIMULATION_SEEDS"]
const from = Number(process.env["SIMULATION_FROM"] ?? 0)

const PART = 500

/** Whether somebody asks for seeds. Then nothing else needs to run. */
export const isAsked = asked !== undefined

/** Seeds that follow one another. */
export interface Part {
  readonly name: string
  readonly first: number
  readonly seeds: number
  /** Prints a line in a long run. */
  readonly print: (text: string) => void
}

/** Declares a test for each part of the seeds: as many as are asked for, or these. */
export const eachPart = <E>(usual: number, run: (part: Part) => Effect.Effect<void, E, Scope.Scope>): void => {
  const count = Number(asked ?? usual)
  /** A long run says how far it is. */
  const progress = isAsked ? new Progress({ steps: Math.ceil(count / PART) }) : undefined
  for (let first = from; first < from + count; first += PART) {
    const seeds = Math.min(PART, from + count - first)
    const name = `seeds ${first} to ${first + seeds - 1}`
    it.live(
      name,
      () => {
        progress?.step(name)
        return run({ name, first, seeds, print: (text) => progress?.print(text) })
      },
      60_000 + seeds * 100
    )
  }
}
