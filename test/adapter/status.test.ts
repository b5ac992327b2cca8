/**
 * The news that a server has of its cluster: the status, its changes, the log and the metrics.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Metric, References, Stream } from "effect"
import { TestClock } from "effect/testing"

import * as ClusterMetrics from "../../src/adapter/ClusterMetrics.ts"
import { type ClusterMonitor, makeMonitor, type Status } from "../../src/adapter/ClusterStatus.ts"
import { alone, readOnly } from "../support/metrics.ts"

interface Line {
  readonly level: string
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** A monitor, and the lines that it writes. */
const watched = <A, E, R>(test: (monitor: ClusterMonitor, lines: Array<Line>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<Line> = []
    const logger = Logger.make(({ fiber, logLevel, message }) => {
      const annotations = fiber.getRef(References.CurrentLogAnnotations)
      lines.push({ level: logLevel, text: [message].flat().map(String).join(" "), annotations: { ...annotations } })
    })
    return Effect.flatMap(makeMonitor, (monitor) => test(monitor, lines)).pipe(
      Effect.scoped,
      Effect.provide(Logger.layer([logger])),
      alone
    )
  })

const nothing: Status = { connected: false, outages: 0, lost: 0, dropped: 0, refused: 0 }

const settled = TestClock.adjust(0)

describe("the status", () => {
  it.effect("is not connected at first, and counts what happens", () =>
    watched((monitor) =>
      Effect.gen(function* () {
        const { current } = monitor.status
        assert.deepStrictEqual(yield* current, nothing)
        monitor.connected(false)
        assert.deepStrictEqual(yield* current, nothing)
        monitor.connected(true)
        monitor.connected(true)
        monitor.lost(3, "/", "b")
        monitor.lost(1, "/", "c")
        monitor.dropped(2, "overflow")
        monitor.dropped(1, "expired")
        monitor.refused("/", "it is not JSON")
        assert.deepStrictEqual(yield* current, { connected: true, outages: 0, lost: 4, dropped: 3, refused: 1 })
        monitor.connected(false)
        monitor.connected(true)
        monitor.connected(false)
        const { connected, outages } = yield* current
        assert.deepStrictEqual([connected, outages], [false, 2])
      })
    )
  )

  it.effect("has its changes as a stream: the current one first, one for each turn", () =>
    watched((monitor) =>
      Effect.gen(function* () {
        const seen: Array<Status> = []
        monitor.connected(true)
        yield* settled
        const reader = yield* Effect.forkChild(
          Stream.runForEach(monitor.status.changes, (status) => Effect.sync(() => void seen.push(status))),
          { startImmediately: true }
        )
        yield* settled
        assert.deepStrictEqual(seen, [{ ...nothing, connected: true }])
        for (let i = 0; i < 1_000; i++) monitor.refused("/", "it is not JSON")
        yield* settled
        monitor.lost(5, "/", "b")
        yield* settled
        assert.deepStrictEqual(
          seen.map(({ lost, refused }) => [refused, lost]),
          [
            [0, 0],
            [1_000, 0],
            [1_000, 5]
          ]
        )
        yield* Fiber.interrupt(reader)
      })
    )
  )

  it.effect("skips changes for a reader that is slow", () =>
    watched((monitor) =>
      Effect.gen(function* () {
        const seen: Array<number> = []
        const reader = yield* Effect.forkChild(
          Stream.runForEach(monitor.status.changes, ({ refused }) =>
            Effect.andThen(
              Effect.sync(() => void seen.push(refused)),
              Effect.sleep("1 second")
            )
          ),
          { startImmediately: true }
        )
        for (let i = 0; i < 500; i++) {
          monitor.refused("/", "it is not JSON")
          yield* settled
        }
        yield* TestClock.adjust("10 seconds")
        assert.isAtMost(seen.length, 4)
        assert.strictEqual(seen.at(-1), 500)
        yield* Fiber.interrupt(reader)
      })
    )
  )
})

describe("the log", () => {
  it.effect("has a line for each outage and its end", () =>
    watched((monitor, lines) =>
      Effect.sync(() => {
        for (const isConnected of [true, true, false, true]) monitor.connected(isConnected)
        assert.deepStrictEqual(
          lines.map(({ level, text }) => [level, text]),
          [
            ["Info", "cluster: connected"],
            ["Warn", "cluster: connection lost"],
            ["Info", "cluster: connected"]
          ]
        )
      })
    )
  )

  it.effect("has one line in five seconds for each matter, with the number of messages since the last one", () =>
    watched((monitor, lines) =>
      Effect.gen(function* () {
        const take = () => lines.splice(0).map(({ annotations, text }) => [text.slice("cluster: ".length), annotations])
        const problem = "it is not JSON"
        monitor.refused("/", problem)
        monitor.lost(7, "/chat", "b")
        assert.deepStrictEqual(take(), [
          ["a message could not be read", { namespace: "/", problem, count: 1 }],
          ["messages of another server did not come", { namespace: "/chat", server: "b", count: 7 }]
        ])
        for (let i = 0; i < 100; i++) monitor.refused("/", problem)
        monitor.lost(2, "/", "c")
        yield* TestClock.adjust("4999 millis")
        assert.deepStrictEqual(take(), [])
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(take(), [
          ["a message could not be read", { namespace: "/", problem, count: 100 }],
          ["messages of another server did not come", { namespace: "/", server: "c", count: 2 }]
        ])
        // Each second one more.
        for (let second = 0; second < 60; second++) {
          monitor.refused("/", problem)
          yield* TestClock.adjust("1 second")
        }
        const later = take()
        assert.isAtMost(later.length, 12)
        yield* TestClock.adjust("1 minute")
        const all = [...later, ...take()] as Array<[string, { readonly count: number }]>
        assert.strictEqual(
          all.reduce((sum, [, { count }]) => sum + count, 0),
          60
        )
      })
    )
  )

  it.effect("keeps reasons apart, cuts what others have sent, and is complete at the end", () =>
    Effect.gen(function* () {
      const written = yield* watched((monitor, lines) =>
        Effect.sync(() => {
          monitor.dropped(1, "overflow")
          monitor.dropped(2, "failed")
          monitor.incomplete("/", 3)
          monitor.refused("/", "x".repeat(10_000))
          monitor.dropped(5, "overflow")
          assert.lengthOf(lines, 4)
          assert.lengthOf(lines[3]!.annotations["problem"] as string, 200)
          return lines
        })
      )
      assert.deepStrictEqual(
        written.map(({ annotations, text }) => [text, annotations["count"]]),
        [
          ["cluster: messages were not sent (overflow)", 1],
          ["cluster: messages were not sent (failed)", 2],
          ["cluster: servers did not answer", 1],
          ["cluster: a message could not be read", 1],
          ["cluster: messages were not sent (overflow)", 5]
        ]
      )
    })
  )
})

describe("the metrics", () => {
  it.effect("count the same", () =>
    watched((monitor) =>
      Effect.gen(function* () {
        monitor.connected(true)
        monitor.lost(3, "/", "b")
        monitor.dropped(2, "overflow")
        monitor.dropped(1, "failed")
        monitor.refused("/", "it is not JSON")
        monitor.incomplete("/", 2)
        assert.deepStrictEqual(yield* readOnly("cluster_"), {
          cluster_connected: 1,
          cluster_messages_lost: 3,
          "cluster_messages_dropped{overflow}": 2,
          "cluster_messages_dropped{failed}": 1,
          cluster_messages_refused: 1,
          cluster_questions_incomplete: 1
        })
        monitor.connected(false)
        const { value } = yield* Metric.value(ClusterMetrics.connected)
        assert.strictEqual(value, 0)
      })
    )
  )
})
