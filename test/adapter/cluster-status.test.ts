/**
 * What operators see of a cluster.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, References, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

import * as ClusterStatus from "../../src/adapter/ClusterStatus.ts"

const observed = Effect.gen(function* () {
  const lines: Array<string> = []
  const logger = Logger.make(({ fiber, message }) => {
    const { count } = fiber.getRef(References.CurrentLogAnnotations)
    lines.push(`${String(message)}${count === undefined ? "" : `: ${String(count)}`}`)
  })
  const scope = yield* Scope.fork(yield* Effect.scope)
  const monitor = yield* ClusterStatus.makeMonitor.pipe(Scope.provide(scope), Effect.provide(Logger.layer([logger])))
  return { lines, monitor, close: Scope.close(scope, Exit.void) }
})

describe("the status of a cluster", () => {
  it.effect("tells what was lost, dropped and refused, and the outages", () =>
    Effect.gen(function* () {
      const { monitor } = yield* observed
      assert.isFalse((yield* monitor.status.current).connected)
      monitor.connected(true)
      monitor.connected(false)
      monitor.connected(true)
      monitor.connected(true)
      monitor.lost(3, "/", "b")
      monitor.dropped(2, "overflow")
      monitor.refused("/", "no")
      assert.deepStrictEqual(yield* monitor.status.current, {
        connected: true,
        outages: 1,
        lost: 3,
        dropped: 2,
        refused: 1
      })
    })
  )

  it.effect("its changes begin with the current one", () =>
    Effect.gen(function* () {
      const { monitor } = yield* observed
      const seen: Array<number> = []
      const reader = yield* Effect.forkChild(
        Stream.runForEach(monitor.status.changes, ({ lost }) => Effect.sync(() => void seen.push(lost))),
        { startImmediately: true }
      )
      yield* TestClock.adjust(1)
      monitor.lost(1, "/", "b")
      monitor.lost(1, "/", "b")
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(seen, [0, 2])
      yield* Fiber.interrupt(reader)
    })
  )

  it.effect("a matter is logged at once, and at most every five seconds with all that has come since", () =>
    Effect.gen(function* () {
      const { lines, monitor } = yield* observed
      for (let i = 0; i < 100; i++) monitor.lost(1, "/", "b")
      assert.deepStrictEqual(lines, ["cluster: messages of another server did not come: 1"])
      monitor.refused("/", "x")
      assert.deepStrictEqual(lines.slice(1), ["cluster: a message could not be read: 1"])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(lines.slice(2), ["cluster: messages of another server did not come: 99"])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(lines.length, 3)
    })
  )

  it.effect("what is not yet logged at the end is logged then", () =>
    Effect.gen(function* () {
      const { close, lines, monitor } = yield* observed
      monitor.dropped(1, "failed")
      monitor.dropped(4, "failed")
      yield* close
      assert.deepStrictEqual(lines, [
        "cluster: messages were not sent (failed): 1",
        "cluster: messages were not sent (failed): 4"
      ])
    })
  )
})
