/**
 * Heartbeats as schedules: their context, steps that take time, and the default.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"

import * as Heartbeat from "../../src/engine/Heartbeat.ts"
import type { EngineOptions } from "../../src/engine/EngineOptions.ts"
import { makeEngine } from "../support/engine.ts"

const timeouts = { pingInterval: "10 seconds", pingTimeout: "5 seconds" } as const

/** Options with the schedule. */
const every = <R>(schedule: Schedule.Schedule<unknown, Heartbeat.Ping, never, R>): EngineOptions<R> => ({
  heartbeat: { ...timeouts, schedule }
})

/** The times at which a client that answers each ping after `roundTrip` milliseconds is pinged. */
const pings = Effect.fnUntraced(function* <R = never>(options: EngineOptions<R>, seconds: number, roundTrip = 200) {
  const engine = yield* makeEngine(options)
  const channel = engine.webSocket()
  const times: Array<number> = []
  const pong: Array<number> = []
  for (let now = 0; now <= seconds * 1_000; now += 10) {
    if (channel.take().includes("2")) {
      times.push(now)
      pong.push(now + roundTrip)
    }
    if (pong[0] === now) {
      pong.shift()
      channel.receive("3")
    }
    yield* TestClock.adjust("10 millis")
  }
  assert.deepStrictEqual(engine.closes, [])
  return times
})

class Pause extends Context.Service<Pause, { readonly millis: number }>()("test/Pause") {}

describe("the default heartbeat", () => {
  const pingInterval = "1 minute"

  it.effect("is the schedule Heartbeat.default", () =>
    Effect.gen(function* () {
      const untouched = yield* pings({}, 120)
      const schedule = yield* pings({ heartbeat: { pingInterval, schedule: Heartbeat.default } }, 120)
      assert.deepStrictEqual(schedule, untouched)
      assert.lengthOf(untouched, 4)
    })
  )

  it.effect("can be composed", () =>
    Effect.gen(function* () {
      const schedule = Schedule.min([Heartbeat.default, Schedule.spaced("7 seconds")])
      assert.deepStrictEqual(yield* pings({ heartbeat: { pingInterval, schedule } }, 20), [7_000, 14_200])
    })
  )
})

describe("a heartbeat's schedule", () => {
  const composed = Schedule.max([Schedule.spaced("1 second"), Schedule.exponential("100 millis", 1.5)]).pipe(
    Schedule.setInputType<Heartbeat.Ping>(),
    Schedule.while(({ input }) => input.transport === "websocket" && Duration.toMillis(input.roundTrip) < 1_000),
    Schedule.jittered
  )

  it.effect("replays under a seed", () =>
    Effect.gen(function* () {
      const run = (seed: string) => Effect.scoped(pings(every(composed), 60)).pipe(Random.withSeed(seed))
      const first = yield* run("a")
      assert.isAbove(first.length, 5)
      assert.deepStrictEqual(yield* run("a"), first)
      assert.notDeepEqual(yield* run("b"), first)
    })
  )

  it.effect("has the services of the layer, and the transport and the round trip as its input", () =>
    Effect.gen(function* () {
      const inputs: Array<readonly [number, string]> = []
      const heartbeat = Schedule.forever.pipe(
        Schedule.setInputType<Heartbeat.Ping>(),
        Schedule.while(({ input }) => {
          inputs.push([Duration.toMillis(input.roundTrip), input.transport])
          return true
        }),
        Schedule.addDelay(() => Effect.map(Pause, ({ millis }) => Duration.millis(millis)))
      )
      const times = yield* pings(every(heartbeat), 10).pipe(Effect.provideService(Pause, { millis: 3_000 }))
      assert.deepStrictEqual(times, [3_000, 6_200, 9_400])
      assert.deepStrictEqual(inputs.slice(0, 3), [
        [0, "websocket"],
        [200, "websocket"],
        [200, "websocket"]
      ])
    })
  )

  it.effect("may suspend: its delay counts from the end of the step", () =>
    Effect.gen(function* () {
      const heartbeat = Schedule.spaced("2 seconds").pipe(
        Schedule.addDelay(() => Effect.as(Effect.sleep("1 second"), Duration.zero))
      )
      assert.deepStrictEqual(yield* pings(every(heartbeat), 10), [3_000, 6_200, 9_400])
    })
  )

  it.effect("does not hold a ping back by a step that does not end, nor the detection of a dead peer", () =>
    Effect.gen(function* () {
      let steps = 0
      const heartbeat = Schedule.spaced("1 second").pipe(
        Schedule.addDelay(() => Effect.suspend(() => (++steps === 1 ? Effect.succeed(Duration.zero) : Effect.never)))
      )
      const engine = yield* makeEngine(every(heartbeat))
      const channel = engine.webSocket()
      channel.take()
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(channel.take(), ["2"])
      for (let i = 0; i < 2; i++) {
        channel.receive("3")
        yield* TestClock.adjust("9900 millis")
        assert.deepStrictEqual(channel.take(), [])
        yield* TestClock.adjust("200 millis")
        assert.deepStrictEqual(channel.take(), ["2"])
      }
      // The step that is under way is the second one still.
      assert.strictEqual(steps, 2)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(
        engine.closes.map(({ reason }) => reason),
        ["ping timeout"]
      )
    })
  )

  it.effect("is interrupted by the session's end", () =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      const heartbeat = Schedule.forever.pipe(
        Schedule.addDelay(() => Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined)))
      )
      const engine = yield* makeEngine(every(heartbeat))
      engine.webSocket().end()
      yield* Deferred.await(interrupted)
    })
  )

  it.effect("closes the session if a step dies after it has suspended", () =>
    Effect.gen(function* () {
      const heartbeat = Schedule.forever.pipe(
        Schedule.addDelay(() => Effect.andThen(Effect.sleep("1 second"), Effect.die(new Error("boom"))))
      )
      const engine = yield* makeEngine(every(heartbeat))
      engine.webSocket()
      assert.deepStrictEqual(engine.closes, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(
        engine.closes.map(({ reason }) => reason),
        ["internal error"]
      )
    })
  )
})
