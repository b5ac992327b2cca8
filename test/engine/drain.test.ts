/**
 * Shutting down with many sessions, under a clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"

import { makeEngine } from "../support/engine.ts"
import type { FakeChannel } from "../support/fakes.ts"

/** Closes an engine with that many sessions, and moves the clock until it has ended: when how many were closed. */
const drain = Effect.fnUntraced(function* (
  count: number,
  drainTimeout: Duration.Input,
  answers: boolean,
  step: number = 1
) {
  const scope = yield* Scope.make()
  const engine = yield* Scope.provide(makeEngine({ drainTimeout, heartbeat: { pingInterval: "10 minutes" } }), scope)
  const channels = Array.from({ length: count }, () => engine.webSocket())
  const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
  const batches: Array<{ readonly at: number; readonly size: number }> = []
  let seen = 0
  let at = 0
  for (; ; at += step) {
    const closed = engine.closes.length
    if (closed > seen) batches.push({ at, size: closed - seen })
    if (answers) for (const channel of channels.slice(seen, closed)) channel.end()
    seen = closed
    if (at > 60_000) assert.fail("it does not end")
    // The waiter for the last sessions is woken in a turn of its own.
    yield* Effect.yieldNow
    if (closing.pollUnsafe() !== undefined) break
    yield* TestClock.adjust(step)
  }
  yield* Fiber.join(closing)
  assert.lengthOf(engine.closes, count)
  assert.isTrue(engine.closes.every(({ reason }) => reason === "server shutting down"))
  assert.strictEqual(engine.server.sessionCount, 0)
  return { batches, channels, endedAt: at }
})

describe("shutting down", () => {
  it.effect("closes 500 sessions at once, with a pause before the next", () =>
    Effect.gen(function* () {
      const { batches, endedAt } = yield* drain(2_000, "5 seconds", true)
      assert.deepStrictEqual(
        batches.map(({ size }) => size),
        [500, 500, 500, 500]
      )
      for (const [i, { at }] of batches.entries()) if (i > 0) assert.isAtLeast(at - batches[i - 1]!.at, 10)
      // Everybody has answered, so nobody is waited for.
      assert.isAtMost(endedAt, 100)
    })
  )

  it.effect("closes 500 sessions without any pause", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Effect.map(drain(500, "5 seconds", true), ({ batches }) => batches), [
        { at: 0, size: 500 }
      ])
    })
  )

  it.effect("cuts those that do not answer when its time is over, not before", () =>
    Effect.gen(function* () {
      const { channels, endedAt } = yield* drain(2_000, "5 seconds", false, 10)
      assert.isAtLeast(endedAt, 5_000)
      assert.isAtMost(endedAt, 5_020)
      assert.isTrue(channels.every(({ state }) => state === "terminated"))
    })
  )

  it.effect("closes more at once when the time is short for so many, and leaves half of it for their answers", () =>
    Effect.gen(function* () {
      const { batches, endedAt } = yield* drain(20_000, "100 millis", false)
      assert.isAtMost(batches.at(-1)!.at, 50)
      assert.isAtLeast(batches.length, 4)
      const sizes = batches.map(({ size }) => size)
      assert.isAtMost(Math.max(...sizes), 5_000)
      for (const [i, { at }] of batches.entries()) if (i > 0) assert.isAtLeast(at - batches[i - 1]!.at, 10)
      assert.isAtLeast(endedAt, 100)
      assert.isAtMost(endedAt, 102)
    })
  )

  it.effect("takes no time at all where it has none", () =>
    Effect.gen(function* () {
      const { channels, endedAt } = yield* drain(2_000, 0, false)
      assert.strictEqual(endedAt, 0)
      assert.isTrue(channels.every(({ state }) => state === "terminated"))
    })
  )

  it.effect("lets nobody in between two batches", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const engine = yield* Scope.provide(makeEngine({ drainTimeout: "5 seconds" }), scope)
      const channels = Array.from({ length: 600 }, () => engine.webSocket())
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      assert.lengthOf(engine.closes, 500)
      // A balancer asks another server then.
      assert.strictEqual(engine.http({}).responses[0]!.status, 503)
      assert.throws(() => engine.webSocket(), "Forbidden")
      // Those whose turn has not come work as ever.
      channels[550]!.receiver.onText("4still here")
      assert.deepStrictEqual(engine.messages, ["4still here"])
      // This client leaves meanwhile, by itself.
      channels[560]!.end()
      assert.strictEqual(engine.closes.at(-1)!.reason, "transport close")
      for (const channel of channels.slice(0, 500)) channel.end()
      yield* TestClock.adjust("10 millis")
      assert.lengthOf(engine.closes, 600)
      for (const channel of channels.slice(500)) if (channel !== channels[560]) channel.end()
      yield* Fiber.join(closing)
    })
  )

  it.effect("cuts upgrades that are under way when its time is over", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const engine = yield* Scope.provide(
        makeEngine({ drainTimeout: "1 second", upgrade: { timeout: "1 hour" } }),
        scope
      )
      const { sid } = JSON.parse(engine.http({}).responses[0]!.body.slice(1))
      const channel = engine.webSocket({ sid })
      channel.receiver.onText("2probe")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      // Its client may still change over to learn that it is over.
      yield* TestClock.adjust("900 millis")
      assert.strictEqual(channel.state, "open")
      yield* TestClock.adjust("200 millis")
      yield* Fiber.join(closing)
      assert.strictEqual(channel.state, "terminated")
    })
  )

  for (const [what, spoil] of [
    ["that have failed", (engine, sid) => [{ channel: engine.webSocket({ sid }), says: "9" }]],
    [
      "that came second",
      (engine, sid) => [
        { channel: engine.webSocket({ sid }), says: "2probe" },
        { channel: engine.webSocket({ sid }), says: undefined }
      ]
    ],
    [
      "that came to a session which was upgraded",
      (engine, sid) => {
        const [first, late] = [engine.webSocket({ sid }), engine.webSocket({ sid })]
        first.receiver.onText("2probe")
        return [
          { channel: first, says: "5" },
          { channel: late, says: undefined }
        ]
      }
    ]
  ] satisfies ReadonlyArray<
    [
      string,
      (
        engine: Effect.Success<ReturnType<typeof makeEngine>>,
        sid: string
      ) => ReadonlyArray<{ readonly channel: FakeChannel; readonly says: string | undefined }>
    ]
  >) {
    it.effect(`cuts upgrades ${what}, if their clients do not mind their closing`, () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const engine = yield* Scope.provide(
          makeEngine({ drainTimeout: "1 second", upgrade: { timeout: "1 hour" } }),
          scope
        )
        const { sid } = JSON.parse(engine.http({}).responses[0]!.body.slice(1))
        const upgrades = spoil(engine, sid)
        for (const { channel, says } of upgrades) if (says !== undefined) channel.receiver.onText(says)
        assert.include(
          upgrades.map(({ channel }) => channel.state),
          "closing"
        )
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* TestClock.adjust("900 millis")
        assert.isUndefined(closing.pollUnsafe())
        yield* TestClock.adjust("200 millis")
        yield* Fiber.join(closing)
        for (const { channel } of upgrades) assert.strictEqual(channel.state, "terminated")
      })
    )
  }

  it.effect("does not wait for an upgrade that has failed and is gone", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const engine = yield* Scope.provide(makeEngine({ drainTimeout: "1 second" }), scope)
      const socket = engine.webSocket()
      const { sid } = JSON.parse(engine.http({}).responses[0]!.body.slice(1))
      const channel = engine.webSocket({ sid })
      channel.receiver.onText("9")
      channel.end()
      engine.http({ sid })
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      engine.http({ sid })
      socket.end()
      yield* Fiber.join(closing)
    })
  )

  it.effect("takes the time once, however often it is asked for", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const engine = yield* Scope.provide(makeEngine({ drainTimeout: "1 second" }), scope)
      // Its connection does not go even when it is cut.
      const channel = engine.webSocket()
      channel.terminate = () => {
        channel.state = "terminated"
      }
      const closing = yield* Effect.forkChild(
        Effect.all([engine.server.drain, engine.server.drain, Scope.close(scope, Exit.void)]),
        { startImmediately: true }
      )
      yield* TestClock.adjust("900 millis")
      assert.strictEqual(engine.server.drainTimeLeft(), 100)
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("200 millis")
      yield* Fiber.join(closing)
      assert.strictEqual(channel.state, "terminated")
    })
  )
})
