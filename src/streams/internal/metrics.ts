import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"

import * as StreamMetrics from "../StreamMetrics.ts"
import type { Ledger, LedgerListener } from "./ledger.ts"

/** Writes the metrics of a ledger. The gauges add up over the ledgers of one registry. */
export const ledgerMetrics = (context: Context.Context<never>) => {
  const count = (counter: Metric.Counter<number>, by: number, attributes: Readonly<Record<string, string>> = {}) =>
    Metric.withAttributes(counter, attributes).updateUnsafe(by, context)
  const told = { running: 0, kept: 0, bytes: 0 }
  const listener: LedgerListener = {
    onDropped: (values) => count(StreamMetrics.streamValuesDropped, values),
    onEnded: (end) => count(StreamMetrics.streamsEnded, 1, { end })
  }
  return {
    listener,
    onRefused: (bound: string) => count(StreamMetrics.streamsRefused, 1, { bound }),
    measure: (ledger: Ledger, isOver = false) => {
      const now = isOver
        ? { running: 0, kept: 0, bytes: 0 }
        : { running: ledger.runs, kept: ledger.size, bytes: ledger.bytes }
      StreamMetrics.streamsRunning.modifyUnsafe(now.running - told.running, context)
      StreamMetrics.streamsKept.modifyUnsafe(now.kept - told.kept, context)
      StreamMetrics.streamBytes.modifyUnsafe(now.bytes - told.bytes, context)
      Object.assign(told, now)
    }
  }
}
