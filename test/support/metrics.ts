/**
 * The engine's counts, as a table.
 */
import { assert } from "@effect/vitest"
import { Effect, Metric } from "effect"

/** Everything that is counted in a registry: `name` or `name{value of the attribute}`. Zeros are left out. */
export const read = Effect.map(Metric.snapshot, (snapshots) => {
  const result: Record<string, number> = {}
  for (const { attributes, id, state } of snapshots) {
    if (!id.startsWith("socketio_")) continue
    const values = Object.values(attributes ?? {})
    const name = id.slice("socketio_".length) + (values.length > 0 ? `{${values.join()}}` : "")
    assert.notProperty(result, name)
    const value = "count" in state ? Number(state.count) : "value" in state ? Number(state.value) : Number.NaN
    if (value !== 0) result[name] = value
  }
  return result
})

/** Those whose names begin so. */
export const readOnly = (...names: ReadonlyArray<string>) =>
  Effect.map(read, (all) =>
    Object.fromEntries(Object.entries(all).filter(([name]) => names.some((prefix) => name.startsWith(prefix))))
  )

/** Runs with a registry of its own, so that other tests do not count. */
export const alone = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))
