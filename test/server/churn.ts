/**
 * The rest that young collections leave of values that come and go, in MB of 100. It runs in a process of its own, where nothing else is collected:
 *
 *     node --expose-gc test/server/churn.ts
 */
import { GCProfiler } from "node:v8"

import { Bag } from "../../src/internal/bag.ts"
import { PendingAcks } from "../../src/server/internal/pendingAcks.ts"

const gc = globalThis.gc as unknown as (options: { readonly type: "major" | "minor" }) => void

const MB = 1024 * 1024

/** Each value is taken out again when a hundred others have come. */
const kept = (add: (value: object) => () => void): number => {
  const removals: Array<() => void> = []
  const churn = (count: number) => {
    for (let n = 0; n < count; n++) {
      removals[n % 100]?.()
      removals[n % 100] = add(Array.from({ length: 100 }))
    }
  }
  churn(100)
  // As happens to what has been there for a while.
  for (let i = 0; i < 3; i++) gc({ type: "minor" })
  gc({ type: "major" })
  let size = process.memoryUsage().heapUsed
  const profiler = new GCProfiler()
  profiler.start()
  churn(120_000)
  for (let i = 0; i < 3; i++) gc({ type: "minor" })
  let grown = 0
  for (const { afterGC, gcType } of profiler.stop()!.statistics) {
    if (gcType === "Scavenge") grown += afterGC.heapStatistics.usedHeapSize - size
    size = afterGC.heapStatistics.usedHeapSize
  }
  return grown / MB
}

const bag = new Bag<object>()
const acks = new PendingAcks({ owedAcks: 0 })
let ids = 0
const set = new Set<object>()

console.log(
  JSON.stringify({
    bag: kept((value) => {
      const entry = bag.add(value)
      return () => bag.remove(entry)
    }),
    acks: kept((value) => {
      const id = ids++
      acks.add(id, () => value)
      return () => acks.settle(id, [])
    }),
    set: kept((value) => {
      set.add(value)
      return () => set.delete(value)
    })
  })
)
