import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"

import { HANDLER_DURATION_BOUNDS, handlerDuration } from "../ServerMetrics.ts"

const BOUNDS = HANDLER_DURATION_BOUNDS

/**
 * The durations of an event's handlers. The metric reads these plain numbers on demand: recording
 * is on the message path.
 */
export class DurationSeries {
  private readonly buckets = new Float64Array(BOUNDS.length + 1)
  private sum = 0
  private min = Number.MAX_VALUE
  private max = -Number.MAX_VALUE

  record(seconds: number): void {
    let bucket = 0
    while (bucket < BOUNDS.length && seconds > BOUNDS[bucket]!) bucket++
    this.buckets[bucket]!++
    this.sum += seconds
    if (seconds < this.min) this.min = seconds
    if (seconds > this.max) this.max = seconds
  }

  get state(): Metric.HistogramState {
    let count = 0
    const buckets = BOUNDS.map((bound, i): [number, number] => [bound, (count += this.buckets[i]!)])
    count += this.buckets[BOUNDS.length]!
    return { buckets, count, min: this.min, max: this.max, sum: this.sum }
  }
}

const byRegistry = new WeakMap<object, Map<string, DurationSeries>>()

/** The series of an event, which all servers of a metric registry share. */
export const seriesOf = (context: Context.Context<never>, registry: object, namespace: string, event: string) => {
  let all = byRegistry.get(registry)
  if (all === undefined) byRegistry.set(registry, (all = new Map()))
  const key = `${namespace}\0${event}`
  let series = all.get(key)
  if (series === undefined) {
    const made = (series = new DurationSeries())
    all.set(key, made)
    Metric.registerUnsafe(Metric.withAttributes(handlerDuration, { namespace, event }), context, {
      get: () => made.state,
      update() {},
      modify() {}
    })
  }
  return series
}
