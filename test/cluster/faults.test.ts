/**
 * Clusters of this library under faults: no node ends, nobody on a node waits for Redis, and what is lost is counted. `faults.ts` has
 * more of them, and official clusters beside.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

import { isFull } from "../support/extent.ts"
import { requires } from "../support/peers.ts"
import type { AdapterName } from "./nodes.ts"
import type { FaultName } from "./strikes.ts"
import { type FaultReport, startSubject, strikeSubject, type Subject } from "./underFault.ts"

const adapters: ReadonlyArray<AdapterName> = isFull ? ["redis", "sharded", "streams"] : ["redis"]

/** The invariants under every fault. */
const holds = (report: FaultReport, text: string): void => {
  assert.deepStrictEqual(report.crashes, [], text)
  assert.strictEqual(report.lostInSilence, 0, text)
  assert.strictEqual(report.own.lost, 0, text)
  assert.strictEqual(report.own.disordered + report.far.disordered, 0, text)
  assert.strictEqual(report.own.repeated + report.far.repeated, 0, text)
  assert.strictEqual(report.fetches.failed, 0, text)
  // Time that a busy machine takes from a process is no pause of the node.
  assert.isBelow(report.own.latestMs, 100 + report.delayMs, text)
  assert.isBelow(report.turnMs, 100, text)
}

describe(`clusters of this library with the adapters ${adapters.join(", ")}`, requires("Redis"), () => {
  const subjects: Array<Subject> = []
  beforeAll(async () => {
    for (const adapter of adapters) subjects.push(await startSubject("ours", { adapter }))
  })
  afterAll(() => Promise.all(subjects.map((subject) => subject.stop())))

  /** All of them at once, as they mostly wait. */
  const under = async (fault: FaultName, check: (report: FaultReport, text: string) => void): Promise<void> => {
    const reports = await Promise.all(
      subjects.map((subject) => strikeSubject(subject, { fault, before: 500, after: 2_000 }))
    )
    for (const report of reports) {
      const text = JSON.stringify(report)
      holds(report, text)
      check(report, text)
    }
  }

  it.skipIf(!isFull)("go on after messages that nobody can read, and count them", () =>
    under("malformed", (report, text) => {
      assert.strictEqual(report.far.lost + report.victim.lost, 0, text)
      for (const { refused = 0 } of report.statuses) assert.isAbove(refused, 0, text)
    })
  )

  it.skipIf(!isFull)("subscribe again when Redis cuts its subscribers", () =>
    // Nobody takes the few subscribers of that moment for all the servers.
    under("redis-drop-subscribers", ({ fetches }, text) => assert.strictEqual(fetches.fewest, 3, text))
  )

  it.skipIf(!isFull)("go on without Redis for their own clients, and count what others miss", () =>
    under("redis-kill", ({ delayMs, fetches, statuses }, text) => {
      for (const { outages = 0 } of statuses) assert.isAbove(outages, 0, text)
      // A second, and not the five of `requestTimeout`.
      assert.isBelow(fetches.longestMs, 2_500 + 2 * delayMs, text)
    })
  )

  it("answer questions without a node that is killed, and say that it is missing", () =>
    under("node-kill", ({ delayMs, fetches }, text) => {
      assert.isAtLeast(fetches.incomplete, 1, text)
      assert.deepStrictEqual([fetches.fewest, fetches.fewestIncomplete], [2, 2], text)
      // A question and its answer take turns of several processes and of Redis: those that have to do with no death tell how long.
      assert.isBelow(fetches.afterEndMs, 300 + 2 * delayMs + fetches.calmMs, text)
      assert.isBelow(fetches.calmMs, 1_000 + 2 * delayMs, text)
    }))
})
