/**
 * Clusters of this library under faults: no node ends, nobody on a node waits for Redis, and what is lost is counted. `faults.ts` has
 * more of them, and official clusters beside.
 */
import { assert, describe, it } from "@effect/vitest"

import { isFull } from "../support/extent.ts"
import { requires } from "../support/peers.ts"
import type { AdapterName } from "./nodes.ts"
import type { FaultName } from "./strikes.ts"
import { type FaultReport, runUnderFault } from "./underFault.ts"

const adapters: ReadonlyArray<AdapterName> = isFull ? ["redis", "sharded", "streams"] : ["redis"]

const SHORT = { before: 750, after: 2_500 }

/** What holds under every fault. */
const holds = (report: FaultReport): void => {
  const text = JSON.stringify(report)
  assert.deepStrictEqual(report.crashes, [], text)
  assert.strictEqual(report.lostInSilence, 0, text)
  assert.strictEqual(report.own.lost, 0, text)
  assert.strictEqual(report.own.disordered + report.far.disordered, 0, text)
  assert.strictEqual(report.own.repeated + report.far.repeated, 0, text)
  assert.strictEqual(report.fetches.failed, 0, text)
  // What a busy machine takes from a process is no pause of the node's.
  assert.isBelow(report.own.latestMs, 100 + report.delayMs, text)
}

for (const adapter of adapters) {
  describe.concurrent(`a cluster with the adapter ${adapter}`, requires("Redis"), () => {
    const under = (fault: FaultName): Promise<FaultReport> => runUnderFault("ours", { adapter, fault, ...SHORT })

    it("answers questions without a node that is killed, and says that it is missing", { retry: 1 }, async () => {
      const report = await under("node-kill")
      holds(report)
      const { fewest, fewestIncomplete, incomplete, longestMs } = report.fetches
      assert.isAtLeast(incomplete, 1)
      assert.deepStrictEqual([fewest, fewestIncomplete], [2, 2], JSON.stringify(report))
      assert.isBelow(longestMs, 300 + report.delayMs, JSON.stringify(report))
    })

    if (!isFull) return

    it("goes on without Redis for its own clients, and counts what others miss", { retry: 1 }, async () =>
      holds(await under("redis-kill"))
    )

    it("subscribes again when Redis cuts its subscribers", { retry: 1 }, async () => {
      const report = await under("redis-drop-subscribers")
      holds(report)
      // Nobody takes the few subscribers of that moment for all the servers.
      assert.strictEqual(report.fetches.fewest, 3, JSON.stringify(report))
    })

    it("goes on after messages that nobody can read", { retry: 1 }, async () => {
      const report = await under("malformed")
      holds(report)
      assert.strictEqual(report.far.lost + report.victim.lost, 0)
      for (const { refused = 0 } of report.statuses) assert.isAbove(refused, 0)
    })
  })
}
