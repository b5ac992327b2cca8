/**
 * Recovery by several servers, in worlds in which connections are lost, and servers hang and die: see `clusterScenario.ts`. One seed alone
 * is run with its trace.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"

import { Logged } from "../../src/adapter/internal/logged.ts"
import { CatchUp } from "../../src/recovery/CatchUp.ts"
import { SharedSession } from "../../src/recovery/SharedSession.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import { costly } from "../support/extent.ts"
import { eachPart } from "../support/seeds.ts"
import { clusterScenario, makeClusterTally } from "./clusterScenario.ts"
import type { Mutation } from "./modelLog.ts"

describe("recovery by any server says the truth, and succeeds", () => {
  eachPart(
    costly(10_000, 250, 250),
    Effect.fnUntraced(function* ({ first, name, print, seeds }) {
      const tally = makeClusterTally()
      yield* Simulation.check({ seeds, from: first, maxTrace: seeds === 1 ? 10_000 : 0 }, clusterScenario(tally))
      print(`${name}: ${JSON.stringify(tally)}`)
      if (seeds === 1) return
      assert.isAbove(tally.recovered, 2 * seeds)
      assert.isAbove(tally.moved, seeds)
      assert.isAbove(tally.missed, seeds)
      assert.isAbove(tally.killed, seeds / 10)
      assert.isAbove(tally.frozen, seeds / 2)
      assert.isAbove(tally.failedOver, seeds / 10)
    })
  )
})

describe("recovery by any server", () => {
  const nothing = () => {}

  /** The parts that are taken away, so that the simulation has something to find. */
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
