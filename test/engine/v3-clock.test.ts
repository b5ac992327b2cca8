/**
 * Sessions of Engine.IO 3 under a clock: there the client pings, and the server waits for it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"

import type { SessionClose } from "../../src/engine/EngineSession.ts"
import { makeEngine } from "../support/engine.ts"
import type { FakeExchange } from "../support/fakes.ts"
import { joinV3, splitV3 } from "../support/payloadsV3.ts"

const options = { allowEIO3: true, heartbeat: { pingInterval: "10 seconds", pingTimeout: "5 seconds" } } as const

const EIO = "3"

const timeout: SessionClose = { reason: "ping timeout", description: undefined }

/** The packets of a response. */
const packets = ({ responses }: FakeExchange) => splitV3(responses.map(({ body }) => body).join(""))

type Engine = Effect.Success<ReturnType<typeof makeEngine>>

const open = (engine: Engine): string => JSON.parse(packets(engine.http({ EIO }))[0]!.slice(1)).sid

/** Sends a packet over polling. */
const post = (engine: Engine, sid: string, packet: string) => engine.http({ EIO, sid }, "POST", joinV3([packet]))

describe("a session of Engine.IO 3 over WebSocket", () => {
  it.effect("ends when the answers to its pings are not read", () =>
    Effect.gen(function* () {
      const { closes, webSocket } = yield* makeEngine({ ...options, limits: { maxOutbox: 1_000 } })
      const channel = webSocket({ EIO })
      channel.take()
      channel.receiver.onText("2")
      assert.deepStrictEqual([closes, channel.take()], [[], ["3"]])
      channel.buffered = 1_001
      channel.receiver.onText("2")
      assert.deepStrictEqual(
        closes.map(({ reason }) => reason),
        ["outbox overflow"]
      )
      assert.strictEqual(channel.state, "terminated")
    })
  )

  it.effect("is never pinged, and ends when no ping has come for pingInterval and pingTimeout together", () =>
    Effect.gen(function* () {
      const { closes, server, webSocket } = yield* makeEngine(options)
      const channel = webSocket({ EIO })
      assert.match(String(channel.take()), /^0\{"sid":"[\w-]{20}","upgrades":\[\],"pingInterval":10000/)
      yield* TestClock.adjust("14999 millis")
      assert.deepStrictEqual([closes, channel.take()], [[], []])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(closes, [timeout])
      assert.deepStrictEqual(channel.take(), [])
      assert.strictEqual(channel.state, "terminated")
      assert.strictEqual(server.sessionCount, 0)
    })
  )

  it.effect("stays as long as pings come, counted from each, and answers every one", () =>
    Effect.gen(function* () {
      const { closes, webSocket } = yield* makeEngine(options)
      const channel = webSocket({ EIO })
      channel.take()
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust("14 seconds")
        channel.receiver.onText("2")
        assert.deepStrictEqual(channel.take(), ["3"])
      }
      yield* TestClock.adjust("14999 millis")
      assert.deepStrictEqual(closes, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(closes, [timeout])
    })
  )

  it.effect("ends without pings though messages come", () =>
    Effect.gen(function* () {
      const { closes, messages, webSocket } = yield* makeEngine(options)
      const channel = webSocket({ EIO })
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust("4999 millis")
        channel.receiver.onText("4busy")
      }
      yield* TestClock.adjust("3 millis")
      assert.deepStrictEqual(closes, [timeout])
      assert.lengthOf(messages, 3)
    })
  )

  it.effect("ends with a parse error at a pong: nobody has asked", () =>
    Effect.gen(function* () {
      const { closes, webSocket } = yield* makeEngine(options)
      const channel = webSocket({ EIO })
      channel.receiver.onText("3")
      assert.deepStrictEqual(closes, [{ reason: "parse error", description: "invalid heartbeat direction" }])
      assert.strictEqual(channel.state, "closing")
    })
  )
})

describe("a session of Engine.IO 3 over polling", () => {
  it.effect("ends when no ping has come for pingInterval and pingTimeout together, though it polls", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine(options)
      const sid = open(engine)
      const held = engine.http({ EIO, sid })
      yield* TestClock.adjust("14999 millis")
      assert.deepStrictEqual([engine.closes, packets(held)], [[], []])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(engine.closes, [timeout])
      assert.deepStrictEqual(packets(held), ["1"])
      assert.strictEqual(engine.http({ EIO, sid }).responses[0]!.body, '{"code":1,"message":"Session ID unknown"}')
    })
  )

  it.effect("stays as long as pings come, and answers every one", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine(options)
      const sid = open(engine)
      for (let i = 0; i < 5; i++) {
        yield* TestClock.adjust("14 seconds")
        assert.deepStrictEqual(post(engine, sid, "2").responses, [{ status: 200, body: "ok" }])
        assert.deepStrictEqual(packets(engine.http({ EIO, sid })), ["3"])
      }
      assert.deepStrictEqual(engine.closes, [])
      yield* TestClock.adjust("15300 millis")
      assert.deepStrictEqual(engine.closes, [timeout])
    })
  )

  it.effect("ends with a parse error at a pong", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine(options)
      const sid = open(engine)
      post(engine, sid, "3")
      assert.deepStrictEqual(engine.closes, [{ reason: "parse error", description: "invalid heartbeat direction" }])
    })
  )
})

describe("the upgrade of a session of Engine.IO 3", () => {
  /** A session that has changed over after 9 seconds, a second after its last ping. */
  const upgraded = Effect.gen(function* () {
    const engine = yield* makeEngine(options)
    const sid = open(engine)
    yield* TestClock.adjust("8 seconds")
    post(engine, sid, "2")
    assert.deepStrictEqual(packets(engine.http({ EIO, sid })), ["3"])
    yield* TestClock.adjust("1 second")
    const held = engine.http({ EIO, sid })
    const channel = engine.webSocket({ EIO, sid })
    channel.receiver.onText("2probe")
    assert.deepStrictEqual(channel.take(), ["3probe"])
    assert.deepStrictEqual(packets(held), ["6"])
    channel.receiver.onText("5")
    assert.strictEqual(engine.sessions[0]!.transport, "websocket")
    return { ...engine, channel }
  })

  it.effect("moves nothing: the time counts from the last ping", () =>
    Effect.gen(function* () {
      const { channel, closes } = yield* upgraded
      yield* TestClock.adjust("13999 millis")
      assert.deepStrictEqual(closes, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(closes, [timeout])
      assert.strictEqual(channel.state, "terminated")
    })
  )

  it.effect("takes the pings along", () =>
    Effect.gen(function* () {
      const { channel, closes } = yield* upgraded
      yield* TestClock.adjust("13 seconds")
      channel.receiver.onText("2")
      assert.deepStrictEqual(channel.take(), ["3"])
      yield* TestClock.adjust("14999 millis")
      assert.deepStrictEqual(closes, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(closes, [timeout])
    })
  )

  it.effect("that is under way keeps no session alive", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine({ ...options, upgrade: { timeout: "1 minute" } })
      const sid = open(engine)
      const channel = engine.webSocket({ EIO, sid })
      channel.receiver.onText("2probe")
      yield* TestClock.adjust("15300 millis")
      assert.deepStrictEqual(engine.closes, [timeout])
      assert.strictEqual(channel.state, "closing")
    })
  )
})

describe("revisions", () => {
  const refusal = [{ status: 400, body: '{"code":3,"message":"Bad request"}' }]

  for (const [theirs, other] of [
    ["3", "4"],
    ["4", "3"]
  ] as const) {
    it.effect(`a request of revision ${other} in a session of revision ${theirs} is refused with code 3`, () =>
      Effect.gen(function* () {
        const engine = yield* makeEngine(options)
        const { body } = engine.http({ EIO: theirs }).responses[0]!
        const { sid } = JSON.parse(body.slice(body.indexOf("{")))
        assert.deepStrictEqual(engine.http({ EIO: other, sid }).responses, refusal)
        assert.deepStrictEqual(engine.http({ EIO: other, sid }, "POST", "2:4x").responses, refusal)
        assert.throws(() => engine.webSocket({ EIO: other, sid }), "Bad request")
        // The session is as it was.
        assert.deepStrictEqual([engine.closes, engine.messages], [[], []])
        assert.deepStrictEqual(engine.http({ EIO: theirs, sid }).responses, [])
      })
    )
  }

  it.effect("clients of revision 3 need not say so", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine(options)
      const { body } = engine.http({ EIO: "" }).responses[0]!
      assert.match(body, /^\d+:0\{/)
      assert.strictEqual(engine.sessions[0]!.revision, 3)
    })
  )

  it.effect("clients of revision 3 are refused unless they are let in", () =>
    Effect.gen(function* () {
      const engine = yield* makeEngine()
      assert.deepStrictEqual(engine.http({ EIO }).responses, [
        { status: 400, body: '{"code":5,"message":"Unsupported protocol version"}' }
      ])
      assert.throws(() => engine.webSocket({ EIO }), "Unsupported protocol version")
    })
  )

  it.effect("clients of revision 4 may not ping", () =>
    Effect.gen(function* () {
      const { closes, webSocket } = yield* makeEngine(options)
      webSocket().receiver.onText("2")
      assert.deepStrictEqual(closes, [{ reason: "parse error", description: "invalid heartbeat direction" }])
    })
  )
})
