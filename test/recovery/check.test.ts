/**
 * Short runs of the checker: clients of both kinds, cut off again and again while nodes of this library count aloud, and are killed.
 * `check.ts` has longer ones, and official servers beside.
 */
import { assert, describe, it } from "@effect/vitest"

import { costly } from "../support/extent.ts"
import { requires } from "../support/peers.ts"
import { runStorm, type StormReport } from "./storm.ts"

const CLIENTS = 9

/** Nothing was lost in silence, and nearly all came back that could. */
const isTrue = (report: StormReport): void => {
  const text = JSON.stringify(report)
  const { contradictions, disordered, duplicates, lostInSilence, received, recoverable, unlogged = 0 } = report
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
  // A client whose last event is not in the log cannot be recovered, and it may be everybody's last.
  assert.isAtMost(recoverable.refused, 0.05 * cuts + CLIENTS * unlogged, text)
  assert.isAbove(received, 100, text)
}

describe("clients that are cut off again and again", () => {
  it("miss nothing in silence, hear nothing twice, and are recovered", async () => {
    const report = await runStorm({
      kind: "ours",
      adapter: "memory",
      duration: costly(20_000, 3_000, 3_000),
      hz: 100,
      clients: CLIENTS,
      transport: "both",
      every: 500,
      down: 300,
      seed: 7
    })
    isTrue(report)
  }, 60_000)

  it(
    "miss nothing over Redis Streams either, at any node, though nodes are killed",
    { ...requires("Redis"), timeout: 90_000 },
    async () => {
      const report = await runStorm({
        kind: "ours",
        adapter: "streams",
        nodes: 3,
        hop: true,
        kill: 1_300,
        duration: costly(20_000, 4_500, 4_000),
        hz: 50,
        clients: CLIENTS,
        transport: "both",
        every: 700,
        down: 300,
        seed: 8
      })
      isTrue(report)
      assert.isAbove(report.outcomes["node killed"]?.recovered ?? 0, 0, JSON.stringify(report))
    }
  )

  for (const officials of [0, 2]) {
    it(
      `miss nothing that is in the log, with ${officials} official nodes beside, though connections of Redis are killed`,
      { ...requires("Redis"), timeout: 90_000 },
      async () => {
        const report = await runStorm({
          kind: "ours",
          adapter: "streams",
          nodes: 2,
          officials,
          hop: true,
          strike: 400,
          duration: costly(20_000, 4_500, 4_000),
          hz: 50,
          clients: CLIENTS,
          transport: "both",
          every: 500,
          down: 300,
          seed: 9
        })
        isTrue(report)
        const { dropped, struck, unlogged } = report
        assert.isAbove(struck, 9)
        // An event that is not in the log was counted by the node that has emitted it.
        assert.isAtMost(unlogged, dropped)
        assert.isBelow(unlogged, 100)
      }
    )
  }
})
