/**
 * When deadlines come: never early, and hardly late.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"

import { IDLE, TimerWheel, type WheelEntry } from "../../src/engine/TimerWheel.ts"
import { makeEngine } from "../support/engine.ts"

describe("deadlines of sessions", () => {
  for (const opened of [0, 37, 123_456]) {
    it.effect(`the first ping comes when the interval is over, for a session that opened at ${opened} ms`, () =>
      Effect.gen(function* () {
        const { webSocket } = yield* makeEngine({
          heartbeat: { pingInterval: "25 seconds", pingTimeout: "20 seconds" }
        })
        yield* TestClock.adjust(opened)
        const channel = webSocket()
        channel.take()
        yield* TestClock.adjust("24999 millis")
        assert.deepStrictEqual(channel.take(), [])
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(channel.take(), ["2"])
      })
    )

    for (const [pingInterval, pingTimeout] of [
      [300, 200],
      [2_000, 1_500],
      [25_000, 20_000]
    ] as const) {
      it.effect(`a session that opened at ${opened} ms ends ${pingInterval + pingTimeout} ms later`, () =>
        Effect.gen(function* () {
          const { closes, webSocket } = yield* makeEngine({ heartbeat: { pingInterval, pingTimeout } })
          yield* TestClock.adjust(opened)
          webSocket()
          yield* TestClock.adjust(pingInterval + pingTimeout - 1)
          assert.deepStrictEqual(closes, [])
          yield* TestClock.adjust(1)
          assert.deepStrictEqual(closes, [{ reason: "ping timeout", description: undefined }])
        })
      )
    }

    it.effect(`a session of revision 3 that opened at ${opened} ms ends when no ping has come for both`, () =>
      Effect.gen(function* () {
        const { closes, http } = yield* makeEngine({
          heartbeat: { pingInterval: 300, pingTimeout: 200 },
          allowEIO3: true
        })
        yield* TestClock.adjust(opened)
        http({ EIO: "3" })
        yield* TestClock.adjust(499)
        assert.deepStrictEqual(closes, [])
        yield* TestClock.adjust(1)
        assert.lengthOf(closes, 1)
      })
    )
  }

  it.effect("crowds share wakeups: no ping is early, and none later than by a hundredth", () =>
    Effect.gen(function* () {
      const { webSocket } = yield* makeEngine({ heartbeat: { pingInterval: "25 seconds" } })
      const channels = []
      for (let opened = 0; opened < 25_000; opened += 5) {
        channels.push({ opened, channel: webSocket() })
        yield* TestClock.adjust(5)
      }
      for (const { channel } of channels) channel.take()
      const moments = new Set<number>()
      const waiting = new Set(channels)
      // Those that opened within a second.
      for (let now = 25_000; now < 26_250; now++) {
        for (const each of waiting) {
          if (each.channel.take().length === 0) continue
          assert.isAtLeast(now - each.opened, 25_000)
          assert.isAtMost(now - each.opened, 25_250)
          each.channel.receiver.onText("3")
          moments.add(now)
          waiting.delete(each)
        }
        yield* TestClock.adjust(1)
      }
      assert.isTrue(channels.every((each) => !waiting.has(each) || each.opened >= 1_000))
      assert.isAtMost(moments.size, 11)
    })
  )

  it.live("hold against the time of the wall", () =>
    Effect.gen(function* () {
      const { closes, webSocket } = yield* makeEngine({ heartbeat: { pingInterval: 150, pingTimeout: 100 } })
      const started = performance.now()
      const channel = webSocket()
      while (channel.take().includes("2") === false) yield* Effect.sleep(1)
      assert.isAtLeast(performance.now() - started, 150)
      while (closes.length === 0) yield* Effect.sleep(1)
      const took = performance.now() - started
      assert.isAtLeast(took, 250)
      assert.isAtMost(took, 1_500)
    })
  )
})

/** A wheel whose time the test moves, step by step or at once. */
const makeWheel = (maxPause: number) => {
  let now = 5_000
  let wakes = Infinity
  const clock = { monotonicTimeNanosUnsafe: () => BigInt(Math.round(now * 1e6)) } as Clock.Clock
  const wheel = new TimerWheel(maxPause, clock, (millis) => {
    wakes = now + millis
    return () => (wakes = Infinity)
  })
  const wake = () => {
    wakes = Infinity
    wheel.sweep()
  }
  return {
    wheel,
    now: () => now,
    isArmed: () => wakes < Infinity,
    /** The process is awake all the time. */
    run: (millis: number) => {
      const until = now + millis
      for (let next = wakes; next <= until; next = wakes) {
        now = next
        wake()
      }
      now = until
    },
    /** The process does nothing for so long, then what is due. */
    pause: (millis: number) => {
      now += millis
      if (wakes <= now) wake()
    }
  }
}

class Entry implements WheelEntry {
  bucket: number = IDLE
  due = 0
  firedAt: number | undefined
  private readonly now: () => number

  constructor(now: () => number) {
    this.now = now
  }

  onDeadline(): void {
    this.firedAt = this.now()
  }
}

describe("the wheel", () => {
  it("calls everything once, never early, at most a hundredth late, whatever is scheduled and cancelled", () => {
    const operation = fc.record({
      pause: fc.integer({ min: 0, max: 400 }),
      entry: fc.nat(19),
      millis: fc.oneof(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 0, max: 60_000 })),
      cancel: fc.boolean()
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const { isArmed, now, run, wheel } = makeWheel(1_000)
        const entries = Array.from({ length: 20 }, () => new Entry(now))
        const expected = new Map<Entry, number>()
        const check = () => {
          for (const [entry, millis] of expected) {
            const margin = Math.max(1, millis / 100)
            if (entry.firedAt === undefined) assert.isAtLeast(entry.due + margin, now())
            else {
              assert.isAtLeast(entry.firedAt, entry.due)
              assert.isAtMost(entry.firedAt, entry.due + margin)
              expected.delete(entry)
            }
          }
        }
        for (const { cancel, entry: index, millis, pause } of operations) {
          run(pause + 0.25)
          check()
          const entry = entries[index]!
          entry.firedAt = undefined
          expected.delete(entry)
          if (cancel) wheel.cancel(entry)
          else {
            wheel.schedule(entry, millis)
            entry.due = now() + millis
            expected.set(entry, millis)
          }
        }
        run(61_000)
        check()
        assert.strictEqual(expected.size, 0)
        assert.isTrue(entries.every((entry) => entry.bucket === IDLE))
        assert.isFalse(isArmed())
      })
    )
  })

  it("counts no more of a pause of the process than a part of it, against anybody", () => {
    const { now, pause, run, wheel } = makeWheel(1_000)
    const [soon, later] = [new Entry(now), new Entry(now)]
    wheel.schedule(soon, 900)
    wheel.schedule(later, 20_000)
    run(500)
    pause(60_000)
    assert.isDefined(soon.firedAt)
    assert.isUndefined(later.firedAt)
    // 1.5 seconds of its 20 have been counted.
    run(18_499)
    assert.isUndefined(later.firedAt)
    run(2)
    assert.isDefined(later.firedAt)
  })

  it("gives what is scheduled right after a pause its whole time", () => {
    const { now, pause, run, wheel } = makeWheel(1_000)
    const [first, second] = [new Entry(now), new Entry(now)]
    wheel.schedule(first, 20_000)
    run(250)
    // Something else comes before the timer.
    pause(200)
    wheel.schedule(second, 300)
    run(299)
    assert.isUndefined(second.firedAt)
    run(1)
    assert.isDefined(second.firedAt)
  })

  it("lets what one deadline does not call off a deadline of the same moment be called, and no other", () => {
    const { now, run, wheel } = makeWheel(1_000)
    const cancelled = new Entry(now)
    const moved = new Entry(now)
    const again = new Entry(now)
    const entry: WheelEntry = {
      bucket: IDLE,
      onDeadline: () => {
        wheel.cancel(cancelled)
        wheel.schedule(moved, 50)
      }
    }
    for (const each of [entry, cancelled, moved, again]) wheel.schedule(each, 100)
    const started = now()
    run(1_000)
    assert.isUndefined(cancelled.firedAt)
    assert.strictEqual(again.firedAt, started + 100)
    assert.strictEqual(moved.firedAt, started + 150)
  })
})
