import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

import type { Ping } from "../../src/engine/Heartbeat.ts"
import { OutboundMessage } from "../../src/engine/OutboundMessage.ts"
import { StreamOverflow } from "../../src/StreamOptions.ts"
import { makeEngine } from "../support/engine.ts"
import type { FakeChannel, FakeExchange } from "../support/fakes.ts"

/** The packets that were sent when the clock had moved: one entry per step. */
const timeline = Effect.fnUntraced(function* (channel: FakeChannel, step: Duration.Input, steps: number) {
  const log: Array<string> = []
  for (let i = 0; i < steps; i++) {
    yield* TestClock.adjust(step)
    log.push(channel.take().join())
  }
  return log
})

describe("heartbeat under a clock", () => {
  it.effect("sends the first ping no earlier than the interval, and no later than a tenth of a second after it", () =>
    Effect.gen(function* () {
      const { webSocket } = yield* makeEngine({ heartbeat: { pingInterval: "25 seconds", pingTimeout: "20 seconds" } })
      const channel = webSocket()
      channel.take()
      yield* TestClock.adjust("24999 millis")
      assert.deepStrictEqual(channel.take(), [])
      yield* TestClock.adjust("200 millis")
      assert.deepStrictEqual(channel.take(), ["2"])
    })
  )

  it.effect("counts the interval from the last pong", () =>
    Effect.gen(function* () {
      const { webSocket } = yield* makeEngine({ heartbeat: { pingInterval: "10 seconds", pingTimeout: "5 seconds" } })
      const channel = webSocket()
      channel.take()
      yield* TestClock.adjust("10200 millis")
      assert.deepStrictEqual(channel.take(), ["2"])
      yield* TestClock.adjust("4 seconds")
      channel.receiver.onText("3")
      assert.deepStrictEqual(yield* timeline(channel, "4999 millis", 2), ["", ""])
      yield* TestClock.adjust("2 millis")
      assert.deepStrictEqual(channel.take(), ["2"])
    })
  )

  it.effect("ends a session whose pong does not come within the timeout", () =>
    Effect.gen(function* () {
      const { closes, server, webSocket } = yield* makeEngine({
        heartbeat: { pingInterval: "10 seconds", pingTimeout: "5 seconds" }
      })
      const channel = webSocket()
      yield* TestClock.adjust("14999 millis")
      assert.deepStrictEqual(closes, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(closes, [{ reason: "ping timeout", description: undefined }])
      assert.strictEqual(channel.state, "terminated")
      assert.strictEqual(server.sessionCount, 0)
    })
  )

  it.effect("lets another packet than a pong prolong the wait once, and no more", () =>
    Effect.gen(function* () {
      const { closes, webSocket } = yield* makeEngine({
        heartbeat: { pingInterval: "10 seconds", pingTimeout: "5 seconds" }
      })
      const channel = webSocket()
      yield* TestClock.adjust("14 seconds")
      channel.receiver.onText("4busy")
      yield* TestClock.adjust("4 seconds")
      channel.receiver.onBinary(new Uint8Array(1))
      assert.deepStrictEqual(closes, [])
      yield* TestClock.adjust("1300 millis")
      assert.lengthOf(closes, 1)
    })
  )

  it.effect("takes a pong that nobody asked for without moving anything", () =>
    Effect.gen(function* () {
      const { webSocket } = yield* makeEngine({ heartbeat: { pingInterval: "10 seconds" } })
      const channel = webSocket()
      channel.take()
      yield* TestClock.adjust("9 seconds")
      channel.receiver.onText("3")
      yield* TestClock.adjust("1200 millis")
      assert.deepStrictEqual(channel.take(), ["2"])
    })
  )

  it.effect("follows a schedule of the user's, with the round-trip time as its input, up to the interval", () =>
    Effect.gen(function* () {
      const inputs: Array<number> = []
      const heartbeat = Schedule.exponential("1 second", 2).pipe(
        Schedule.while(({ input }: { readonly input: Ping }) => {
          inputs.push(Duration.toMillis(input.roundTrip))
          return inputs.length <= 4
        })
      )
      const { closes, webSocket } = yield* makeEngine({
        heartbeat: { schedule: heartbeat, pingInterval: "3 seconds", pingTimeout: "5 seconds" }
      })
      const channel = webSocket()
      channel.take()
      const pauses: Array<number> = []
      for (let waited = 0; pauses.length < 4 && waited < 30_000; waited += 100) {
        yield* TestClock.adjust("100 millis")
        if (!channel.take().includes("2")) continue
        pauses.push(waited + 100)
        waited = -100
        yield* TestClock.adjust("500 millis")
        channel.receiver.onText("3")
      }
      // Rounded up to the engine's step of a tenth of a second, and one step.
      for (const [i, pause] of [1_000, 2_000, 3_000, 3_000].entries()) {
        assert.isAtLeast(pauses[i]!, pause)
        assert.isAtMost(pauses[i]!, pause + 300)
      }
      assert.deepStrictEqual(
        inputs.slice(0, 4).map((input) => Math.round(input / 100) * 100),
        [0, 500, 500, 500]
      )
      // The schedule is done: pings go on at the interval, and a client that is silent is noticed.
      yield* TestClock.adjust("2900 millis")
      assert.deepStrictEqual(channel.take(), [])
      yield* TestClock.adjust("200 millis")
      assert.deepStrictEqual(channel.take(), ["2"])
      assert.deepStrictEqual(closes, [])
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(
        closes.map(({ reason }) => reason),
        ["ping timeout"]
      )
    })
  )

  it.effect("serves thousands of sessions with one timer", () =>
    Effect.gen(function* () {
      const { closes, webSocket } = yield* makeEngine({
        heartbeat: { pingInterval: "10 seconds", pingTimeout: "5 seconds" }
      })
      const channels = Array.from({ length: 5_000 }, () => webSocket())
      for (const channel of channels) channel.take()
      yield* TestClock.adjust("10200 millis")
      assert.isTrue(channels.every((channel) => channel.take().join() === "2"))
      for (const [i, channel] of channels.entries()) if (i % 2 === 0) channel.receiver.onText("3")
      yield* TestClock.adjust("5300 millis")
      assert.lengthOf(closes, 2_500)
    })
  )
})

describe("other timeouts under a clock", () => {
  const poll = (engine: { readonly http: (query: Record<string, string>) => FakeExchange }) =>
    JSON.parse(engine.http({}).responses[0]!.body.slice(1)).sid as string

  it.effect("an upgrade that is not finished in time closes the candidate, and leaves the session alone", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({ upgrade: { timeout: "10 seconds" } })
      const sid = poll(engine)
      const held = engine.http({ sid })
      const channel = engine.webSocket({ sid })
      channel.receiver.onText("2probe")
      assert.deepStrictEqual(channel.take(), ["3probe"])
      assert.deepStrictEqual(held.responses, [{ status: 200, body: "6" }])
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(channel.state, "open")
      yield* TestClock.adjust("1200 millis")
      assert.strictEqual(channel.state, "closing")
      assert.deepStrictEqual(engine.closes, [])
      assert.strictEqual(engine.sessions[0]!.transport, "polling")
      // Polls are held again.
      const next = engine.http({ sid })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(next.responses, [])
    })
  )

  it.effect("an upgrade that probes twice fails, and its second probe is not answered", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine()
      const sid = poll(engine)
      const channel = engine.webSocket({ sid })
      for (let i = 0; i < 3; i++) channel.receiver.onText("2probe")
      assert.deepStrictEqual(channel.take(), ["3probe"])
      assert.strictEqual(channel.state, "closing")
      assert.deepStrictEqual(engine.closes, [])
      // It may try once more.
      channel.end()
      const next = engine.webSocket({ sid })
      next.receiver.onText("2probe")
      next.receiver.onText("5")
      assert.strictEqual(engine.sessions[0]!.transport, "websocket")
    })
  )

  it.effect(
    "polls that come while the client changes over are released at once, then held for a tenth of a second",
    () =>
      Effect.gen(function* () {
        const engine = yield* makeEngine()
        const sid = poll(engine)
        const channel = engine.webSocket({ sid })
        channel.receiver.onText("2probe")
        for (let i = 0; i < 4; i++) {
          assert.deepStrictEqual(engine.http({ sid }).responses, [{ status: 200, body: "6" }])
        }
        const held = engine.http({ sid })
        assert.deepStrictEqual(held.responses, [])
        yield* TestClock.adjust("300 millis")
        assert.deepStrictEqual(held.responses, [{ status: 200, body: "6" }])
      })
  )

  it.effect("a session that was closed waits half a minute for the poll that takes its last packets", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({ heartbeat: { pingInterval: "10 minutes" } })
      const [stays, goes] = [poll(engine), poll(engine)]
      for (const session of engine.sessions) {
        yield* session.send("last")
        yield* session.close()
      }
      assert.lengthOf(engine.closes, 2)
      yield* TestClock.adjust("29 seconds")
      assert.deepStrictEqual(engine.http({ sid: stays }).responses, [{ status: 200, body: "4last" }])
      assert.deepStrictEqual(engine.http({ sid: stays }).responses, [{ status: 200, body: "1" }])
      yield* TestClock.adjust("2 seconds")
      const late = engine.http({ sid: goes })
      assert.deepStrictEqual(late.responses, [{ status: 400, body: '{"code":1,"message":"Session ID unknown"}' }])
    })
  )

  it.effect("a session that was closed takes its client's word that it goes", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({ heartbeat: { pingInterval: "10 minutes" } })
      const sid = poll(engine)
      yield* engine.sessions[0]!.send("last")
      yield* engine.sessions[0]!.close()
      assert.deepStrictEqual(engine.http({ sid }).responses, [{ status: 200, body: "4last" }])
      // Its other packets come too late, and do no harm.
      assert.deepStrictEqual(engine.http({ sid }, "POST", "4too late").responses, [{ status: 200, body: "ok" }])
      assert.deepStrictEqual(engine.http({ sid }, "POST", "1").responses, [{ status: 200, body: "ok" }])
      assert.deepStrictEqual(engine.messages, [])
      assert.strictEqual(engine.http({ sid }).responses[0]!.status, 400)
    })
  )

  it.effect("an outbox beyond its budget ends the session", () =>
    Effect.gen(function* () {
      const message = new OutboundMessage("4" + "x".repeat(999), undefined, false)
      const engine = yield* makeEngine({ limits: { maxOutbox: message.waitingBytes } })
      poll(engine)
      const channel = engine.webSocket()
      const [polling, webSocket] = engine.sessions
      // Within a turn it is four times as large; see excess.test.ts.
      for (let i = 0; i < 4; i++) polling!.sendUnsafe(message)
      assert.deepStrictEqual(engine.closes, [])
      polling!.sendUnsafe(new OutboundMessage("4", undefined, false))
      channel.buffered = 4 * message.waitingBytes + 1
      webSocket!.sendUnsafe(new OutboundMessage("4", undefined, false))
      assert.deepStrictEqual(
        engine.closes.map(({ reason }) => reason),
        ["outbox overflow", "outbox overflow"]
      )
      assert.strictEqual(channel.state, "terminated")
    })
  )

  it.effect("closing the scope takes no longer than the drain time, and cuts what is left", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const engine = yield* Scope.provide(makeEngine({ drainTimeout: "3 seconds" }), scope)
      const channel = engine.webSocket()
      const sid = poll(engine)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      assert.deepStrictEqual(
        engine.closes.map(({ reason }) => reason),
        ["server shutting down", "server shutting down"]
      )
      assert.strictEqual(channel.state, "closing")
      // New clients are refused, those that poll learn that it is over.
      assert.strictEqual(engine.http({}).responses[0]!.status, 503)
      assert.deepStrictEqual(engine.http({ sid }).responses, [{ status: 200, body: "1" }])
      yield* TestClock.adjust("2900 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("200 millis")
      yield* Fiber.join(closing)
      assert.strictEqual(channel.state, "terminated")
    })
  )

  it.effect("closing the scope waits for nobody when all sessions have closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const engine = yield* Scope.provide(makeEngine(), scope)
      const channel = engine.webSocket()
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      channel.end()
      yield* Fiber.join(closing)
      assert.strictEqual(engine.server.sessionCount, 0)
    })
  )
})

describe("the session as a service", () => {
  it.effect("offers its messages as a stream that ends with it", () =>
    Effect.gen(function* () {
      const { messages, sessions, webSocket } = yield* makeEngine()
      const channel = webSocket()
      const reading = yield* Effect.forkChild(Stream.runCollect(sessions[0]!.messages()), { startImmediately: true })
      channel.receiver.onText("4one")
      channel.receiver.onBinary(Uint8Array.from([2]))
      channel.end()
      assert.deepStrictEqual(yield* Fiber.join(reading), ["one", Uint8Array.from([2])])
      assert.deepStrictEqual(messages, ["4one", Uint8Array.from([2])])
      assert.deepStrictEqual(yield* Stream.runCollect(sessions[0]!.messages()), [])
    })
  )

  it.effect("fails a stream whose reader falls behind, rather than to drop any message", () =>
    Effect.gen(function* () {
      const { closes, sessions, webSocket } = yield* makeEngine()
      const channel = webSocket()
      const reading = yield* Effect.forkChild(
        Effect.flip(Stream.runForEach(sessions[0]!.messages({ capacity: 10 }), () => Effect.yieldNow)),
        { startImmediately: true }
      )
      for (let i = 0; i < 20; i++) channel.receiver.onText("4x")
      assert.deepStrictEqual(yield* Fiber.join(reading), new StreamOverflow({ stream: "messages", capacity: 10 }))
      assert.deepStrictEqual(closes, [])
      assert.isTrue(sessions[0]!.isOpen)
    })
  )

  it.effect("sends text and bytes, and says how it ended", () =>
    Effect.gen(function* () {
      const { messages, sessions, webSocket } = yield* makeEngine()
      const channel = webSocket()
      const session = sessions[0]!
      channel.take()
      yield* session.send("hello")
      yield* session.send(Uint8Array.from([1]))
      assert.deepStrictEqual(channel.take(), ["4hello", Uint8Array.from([1])])
      channel.receiver.onText("4back")
      channel.receiver.onText("bAg==")
      assert.deepStrictEqual(
        messages.map((message) => Buffer.from(message).toString()),
        ["4back", "\x02"]
      )
      const ended = yield* Effect.forkChild(session.closed, { startImmediately: true })
      channel.end({ kind: "too large", message: "Max payload size exceeded" })
      assert.deepStrictEqual(yield* Fiber.join(ended), {
        reason: "payload too large",
        description: "Max payload size exceeded"
      })
      assert.deepStrictEqual(yield* session.closed, yield* Fiber.join(ended))
      yield* session.send("into the void")
      assert.deepStrictEqual(channel.take(), [])
    })
  )
})
