/**
 * Recovery by several servers, in worlds in which connections are lost, and servers hang and die: see `clusterScenario.ts`.
 *
 * `SIMULATION_SEEDS=5000` runs so many instead, from `SIMULATION_FROM` on.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"

import { Logged } from "../../src/adapter/internal/logged.ts"
import { CatchUp } from "../../src/recovery/CatchUp.ts"
import { SharedSession } from "../../src/recovery/SharedSession.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import { costly } from "../support/extent.ts"
import { clusterScenario, makeClusterTally } from "./clusterScenario.ts"
import type { Mutation } from "./modelLog.ts"

const asked = process.env["SIMULATION_SEEDS"]
const from = Number(process.env["SIMULATION_FROM"] ?? 0)
const count = Number(asked ?? costly(10_000, 2_000, 250))

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
        assert.isAbove(tally.failedOver, count / 10)
      }),
    60_000 + count * 200
  )

  const nothing = () => {}

  /** What is taken away, so that the simulation has something to find. */
  const faults: Readonly<Record<string, { readonly store?: Mutation; readonly patch?: () => () => void }>> = {
    "a server's own broadcasts are not in the order of the log": {
      store: "order",
      patch: () => replace(Logged.prototype, "takes", () => false)
    },
    "entries that are not there any more are not missed": {
      patch: () => replace(CatchUp.prototype, "onRead", nothing)
    },
    "entries that come while the log is read are not kept": {
      patch: () => replace(Logged.prototype, "watch", () => nothing)
    },
    "a session that lacks something is recovered": { patch: () => replace(SharedSession.prototype, "spoil", nothing) },
    "the rooms of now stand for those of then": { store: "rooms" },
    "nobody learns that another server has taken over the log": { store: "era" },
    "a server keeps a session that another one has taken": { store: "generation" }
  }

  for (const [fault, { patch, store }] of Object.entries(faults)) {
    it.live(
      `is found out if ${fault}`,
      () =>
        Effect.gen(function* () {
          if (patch !== undefined) yield* Effect.acquireRelease(Effect.sync(patch), (undo) => Effect.sync(undo))
          const checked = Simulation.check({ seeds: 400, maxTrace: 0 }, clusterScenario(makeClusterTally(), store))
          const exit = yield* Effect.exit(checked)
          assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "nothing", "AssertionError")
        }),
      60_000
    )
  }
})

/** Replaces a method. Gives how to undo that. */
const replace = <T extends object, K extends keyof T>(object: T, name: K, method: T[K]): (() => void) => {
  const before = object[name]
  object[name] = method
  return () => {
    object[name] = before
  }
}
