/**
 * Moving the sessions of an engine to other servers, under a clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

import type { DrainOptions } from "../../src/engine/Drain.ts"
import type { EngineOptions } from "../../src/engine/EngineOptions.ts"
import { InvalidOptionError } from "../../src/SocketIoError.ts"
import { makeEngine } from "../support/engine.ts"
import type { FakeChannel } from "../support/fakes.ts"

const patient: EngineOptions = { heartbeat: { pingInterval: "10 minutes" } }

/** An engine with WebSockets, and a drain that has begun. */
const draining = Effect.fnUntraced(function* (count: number, options: DrainOptions) {
  const engine = yield* makeEngine(patient)
  const channels = Array.from({ length: count }, () => engine.webSocket())
  const drain = yield* Effect.forkChild(engine.server.move(options), { startImmediately: true })
  return { ...engine, channels, drain }
})

/** Moves the clock in steps, and answers every close frame at once; gives how many were closed by the end of each. */
const answerFor = Effect.fnUntraced(function* (channels: ReadonlyArray<FakeChannel>, total: number, step: number) {
  const closed: Array<number> = []
  let answered = 0
  for (let at = 0; at < total; at += step) {
    yield* TestClock.adjust(step)
    for (const channel of channels) {
      if (channel.state !== "closing" || channel.isEnded) continue
      channel.end()
      answered++
    }
    closed.push(answered)
  }
  return closed
})

/** A session over polling. */
const poll = (engine: Effect.Success<ReturnType<typeof makeEngine>>): string =>
  JSON.parse(engine.http({}).responses[0]!.body.slice(1)).sid

describe("a drain", () => {
  it.effect("gives notice: it is draining at once, and everything goes on until then, new sessions included", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const engine = yield* makeEngine(patient)
      yield* engine.server.readinessChanges.pipe(
        Stream.runForEach((readiness) => Effect.sync(() => seen.push(readiness))),
        Effect.forkScoped({ startImmediately: true })
      )
      assert.strictEqual(yield* engine.server.readiness, "ready")
      const first = engine.webSocket()
      yield* Effect.forkChild(engine.server.move({ notice: "5 seconds", over: "1 second" }), { startImmediately: true })
      assert.strictEqual(yield* engine.server.readiness, "draining")
      assert.strictEqual(yield* engine.server.readiness, "draining")
      yield* TestClock.adjust("4900 millis")
      const second = engine.webSocket()
      second.receiver.onText("4hello")
      assert.deepStrictEqual(engine.messages, ["4hello"])
      assert.deepStrictEqual([first.state, second.state], ["open", "open"])
      yield* TestClock.adjust("200 millis")
      assert.strictEqual(engine.http({}).responses[0]!.status, 503)
      assert.strictEqual(engine.http({}).headers[0]!["retry-after"], "5")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([first.state, second.state], ["closing", "closing"])
      assert.deepStrictEqual(seen, ["ready", "draining"])
    })
  )

  it.effect("moves sessions evenly over its time, with close code 1001", () =>
    Effect.gen(function* () {
      const { channels, closes, drain, server } = yield* draining(100, { notice: 0, over: "10 seconds" })
      const closed = yield* answerFor(channels, 10_000, 1_000)
      for (const [i, count] of closed.entries()) assert.closeTo(count, (i + 1) * 10, 1)
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(drain), { moved: 100, cut: 0, inFlight: 0 })
      assert.isTrue(channels.every(({ closeCode }) => closeCode === 1001))
      assert.isTrue(closes.every(({ reason }) => reason === "server shutting down"))
      assert.strictEqual(server.sessionCount, 0)
      // It is over for good: the process is about to end.
      assert.strictEqual(yield* server.readiness, "draining")
    })
  )

  it.effect("never moves more in a second than its rate, and takes longer then", () =>
    Effect.gen(function* () {
      const { channels, drain } = yield* draining(100, { notice: 0, over: "1 second", rate: 20 })
      const closed = yield* answerFor(channels, 6_000, 250)
      for (const [i, count] of closed.entries()) assert.isAtMost(count - (closed[i - 4] ?? 0), 21)
      assert.closeTo(closed[3]!, 20, 1)
      assert.strictEqual(closed.at(-1), 100)
      assert.deepStrictEqual(yield* Fiber.join(drain), { moved: 100, cut: 0, inFlight: 0 })
    })
  )

  it.effect("mixes those that came one after the other: clients of one kind come back after the same delay", () =>
    Effect.gen(function* () {
      const { channels, drain } = yield* draining(100, { notice: 0, over: "10 seconds" })
      const late = channels.slice(80)
      for (let second = 1; second <= 10; second++) {
        yield* answerFor(channels, 1_000, 1_000)
        assert.closeTo(late.filter(({ isEnded }) => isEnded).length, 2 * second, 1.5)
      }
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* Fiber.join(drain)).moved, 100)
    })
  )

  it.effect("handles messages that came before the client's own close frame, and ends the session after it", () =>
    Effect.gen(function* () {
      const { channels, closes, drain, messages, sessions } = yield* draining(1, { notice: 0, over: 0 })
      const [channel] = channels as [FakeChannel]
      assert.strictEqual(channel.state, "closing")
      channel.receiver.onText("4before")
      channel.receiver.onBinary(Uint8Array.of(1))
      assert.deepStrictEqual(messages, ["4before", Uint8Array.of(1)])
      assert.lengthOf(closes, 0)
      // After its close frame nothing can be sent.
      channel.take()
      yield* sessions[0]!.send("answer")
      assert.deepStrictEqual(channel.take(), [])
      channel.end()
      assert.deepStrictEqual(closes, [{ reason: "server shutting down", description: undefined }])
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(drain), { moved: 1, cut: 0, inFlight: 0 })
    })
  )

  it.effect("cuts clients that do not close in two seconds", () =>
    Effect.gen(function* () {
      const { channels, closes, drain } = yield* draining(3, { notice: 0, over: 0 })
      channels[0]!.end()
      yield* TestClock.adjust("1900 millis")
      assert.lengthOf(closes, 1)
      yield* TestClock.adjust("200 millis")
      assert.deepStrictEqual(yield* Fiber.join(drain), { moved: 1, cut: 2, inFlight: 0 })
      assert.deepStrictEqual(
        channels.map(({ state }) => state),
        ["closing", "terminated", "terminated"]
      )
    })
  )

  it.effect("sends what waits before it closes", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({ ...patient, limits: { outboxOverflow: "dropOldest" } })
      const channel = engine.webSocket()
      channel.buffered = 64 * 1024
      channel.take()
      yield* engine.sessions[0]!.send("waits")
      assert.deepStrictEqual(channel.take(), [])
      yield* Effect.forkChild(engine.server.move({ notice: 0, over: 0 }), { startImmediately: true })
      assert.deepStrictEqual(channel.take(), ["4waits"])
      assert.strictEqual(channel.state, "closing")
    })
  )

  it.effect("answers polls with what waits, with the close after that, and takes requests that are on their way", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine(patient)
      const sid = poll(engine)
      const drain = yield* Effect.forkChild(engine.server.move({ notice: 0, over: 0 }), { startImmediately: true })
      const posted = engine.http({ sid }, "POST", "4while it closes")
      assert.strictEqual(posted.responses[0]!.status, 200)
      assert.strictEqual(engine.http({ sid }).responses[0]!.body, "1")
      const late = engine.http({ sid }, "POST", "4on its way")
      assert.strictEqual(late.responses[0]!.status, 200)
      assert.deepStrictEqual(engine.messages, ["4while it closes", "4on its way"])
      assert.strictEqual(engine.http({ sid }).responses[0]!.status, 400)
      assert.lengthOf(engine.closes, 0)
      yield* TestClock.adjust("2100 millis")
      assert.deepStrictEqual(engine.closes, [{ reason: "server shutting down", description: undefined }])
      assert.deepStrictEqual(yield* Fiber.join(drain), { moved: 1, cut: 0, inFlight: 0 })
      assert.strictEqual(engine.http({ sid }, "POST", "4too late").responses[0]!.status, 400)
    })
  )

  it.effect("never puts a message and the close into one payload", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine(patient)
      const sid = poll(engine)
      const held = engine.http({ sid })
      yield* engine.sessions[0]!.send("last words")
      yield* Effect.forkChild(engine.server.move({ notice: 0, over: 0 }), { startImmediately: true })
      assert.deepStrictEqual(held.responses, [{ status: 200, body: "4last words" }])
      assert.strictEqual(engine.http({ sid }).responses[0]!.body, "1")
    })
  )

  it.effect("cuts clients that do not poll any more, and ends at once with a client that says goodbye", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine(patient)
      poll(engine)
      const polite = poll(engine)
      const drain = yield* Effect.forkChild(engine.server.move({ notice: 0, over: 0 }), { startImmediately: true })
      engine.http({ sid: polite }, "POST", "1")
      assert.lengthOf(engine.closes, 1)
      yield* TestClock.adjust("2100 millis")
      assert.deepStrictEqual(yield* Fiber.join(drain), { moved: 1, cut: 1, inFlight: 0 })
    })
  )

  it.effect("waits for a client that is changing to a WebSocket", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine(patient)
      const sid = poll(engine)
      const candidate = engine.webSocket({ sid })
      candidate.receiver.onText("2probe")
      const drain = yield* Effect.forkChild(engine.server.move({ notice: 0, over: "10 seconds" }), {
        startImmediately: true
      })
      yield* TestClock.adjust("9950 millis")
      assert.strictEqual(candidate.state, "open")
      candidate.receiver.onText("5")
      yield* TestClock.adjust("200 millis")
      assert.strictEqual(candidate.state, "closing")
      assert.strictEqual(candidate.closeCode, 1001)
      candidate.end()
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(drain), { moved: 1, cut: 0, inFlight: 0 })
    })
  )

  it.effect("gives an upgrade that does not end its own close when the time is over", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({ ...patient, upgrade: { timeout: "1 hour" } })
      const sid = poll(engine)
      const candidate = engine.webSocket({ sid })
      candidate.receiver.onText("2probe")
      const drain = yield* Effect.forkChild(engine.server.move({ notice: 0, over: 0 }), { startImmediately: true })
      yield* TestClock.adjust("2200 millis")
      assert.deepStrictEqual(yield* Fiber.join(drain), { moved: 1, cut: 0, inFlight: 0 })
      assert.deepStrictEqual(engine.closes, [{ reason: "server shutting down", description: undefined }])
    })
  )

  it.effect("lets a client that is not read wait, within its time", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine(patient)
      const channel = engine.webSocket()
      engine.sessions[0]!.pauseUnsafe()
      yield* Effect.forkChild(engine.server.move({ notice: 0, over: "10 seconds" }), { startImmediately: true })
      yield* TestClock.adjust("9950 millis")
      assert.strictEqual(channel.state, "closing")
      assert.isTrue(channel.paused)
      channel.receive("4it waits")
      yield* TestClock.adjust("1900 millis")
      assert.deepStrictEqual(engine.messages, [])
      engine.sessions[0]!.resumeUnsafe()
      assert.deepStrictEqual(engine.messages, ["4it waits"])
    })
  )

  it.effect("leaves sessions where they are when it is interrupted, and takes new ones again", () =>
    Effect.gen(function* () {
      const { channels, drain, server, webSocket } = yield* draining(10, { notice: 0, over: "10 seconds" })
      yield* answerFor(channels, 4_500, 500)
      yield* Fiber.interrupt(drain)
      assert.strictEqual(yield* server.readiness, "ready")
      assert.strictEqual(server.sessionCount, 6)
      webSocket()
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.sessionCount, 7)
    })
  )

  it.effect("that was interrupted in its notice has changed nothing", () =>
    Effect.gen(function* () {
      const { drain, server } = yield* draining(10, { notice: "10 seconds", over: 0 })
      yield* TestClock.adjust("9 seconds")
      yield* Fiber.interrupt(drain)
      assert.strictEqual(yield* server.readiness, "ready")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.sessionCount, 10)
    })
  )

  it.effect("is overtaken by a quicker one, whose pace counts", () =>
    Effect.gen(function* () {
      const { channels, drain, server } = yield* draining(100, { notice: 0, over: "100 seconds" })
      yield* answerFor(channels, 10_000, 500)
      assert.closeTo(server.sessionCount, 90, 1)
      const second = yield* Effect.forkChild(server.move({ notice: 0, over: 0 }), { startImmediately: true })
      yield* answerFor(channels, 500, 50)
      yield* TestClock.adjust("100 millis")
      const reports = [yield* Fiber.join(drain), yield* Fiber.join(second)]
      assert.strictEqual(reports[0]!.moved + reports[1]!.moved, 100)
    })
  )

  it.effect("moves sessions that were decided on within its notice, and refuses those that are decided on later", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({
        ...patient,
        handshake: { allowRequest: () => Effect.sleep("500 millis") }
      })
      const early = engine.http({})
      const drain = yield* Effect.forkChild(engine.server.move({ notice: "600 millis", over: "1 second" }), {
        startImmediately: true
      })
      yield* TestClock.adjust("200 millis")
      const late = engine.http({})
      yield* TestClock.adjust("600 millis")
      assert.deepStrictEqual(
        [early, late].map(({ responses }) => responses[0]!.status),
        [200, 503]
      )
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(yield* Fiber.join(drain), { moved: 0, cut: 1, inFlight: 0 })
    })
  )

  it.effect("ends sessions that fail meanwhile, for their own reasons", () =>
    Effect.gen(function* () {
      const { channels, closes, drain, sessions } = yield* draining(3, { notice: 0, over: 0 })
      channels[0]!.receiver.onText("9")
      sessions[1]!.closeUnsafe("inbound overflow")
      channels[2]!.end({ kind: "too large", message: "much too large" })
      assert.deepStrictEqual(
        closes.map(({ reason }) => reason),
        ["parse error", "inbound overflow", "server shutting down"]
      )
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(drain), { moved: 3, cut: 0, inFlight: 0 })
      assert.deepStrictEqual(
        channels.map(({ state }) => state),
        ["terminated", "terminated", "closing"]
      )
    })
  )

  for (const [option, options] of [
    ["drain.notice", { notice: "-1 seconds" as never }],
    ["drain.over", { over: "soon" as never }],
    ["drain.rate", { rate: 0 }],
    ["drain.rates", { rates: 5 } as never]
  ] as ReadonlyArray<[string, DrainOptions]>) {
    it.effect(`refuses ${JSON.stringify(options)}`, () =>
      Effect.gen(function* () {
        const engine = yield* makeEngine(patient)
        const error = yield* Effect.flip(engine.server.move(options))
        assert.instanceOf(error, InvalidOptionError)
        assert.strictEqual(error.option, option)
        assert.strictEqual(yield* engine.server.readiness, "ready")
      })
    )
  }
})

describe("a shutdown with onShutdown", () => {
  it.effect("gives notice, and moves sessions, before it closes what is left", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const engine = yield* Scope.provide(
        makeEngine({ ...patient, onShutdown: { notice: "5 seconds", over: "10 seconds" } }),
        scope
      )
      const channels = Array.from({ length: 100 }, () => engine.webSocket())
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("4900 millis")
      channels.push(engine.webSocket())
      assert.strictEqual(yield* engine.server.readiness, "draining")
      const closed = yield* answerFor(channels, 10_000, 1_000)
      for (const [i, count] of closed.entries()) assert.closeTo(count, (i + 1) * 10, 2)
      yield* answerFor(channels, 300, 50)
      yield* Fiber.join(closing)
      assert.lengthOf(engine.closes, 101)
    })
  )

  it.effect("takes no time if there was never a client", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* Scope.provide(makeEngine({ onShutdown: {} }), scope)
      yield* Scope.close(scope, Exit.void)
    })
  )
})
