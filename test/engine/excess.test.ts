/**
 * More than `maxOutbox` for a client, where that is not the client's fault: one large message, or much that is sent in one turn.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"

import type { EngineOptions } from "../../src/engine/EngineOptions.ts"
import { OutboundMessage } from "../../src/engine/OutboundMessage.ts"
import { makeEngine } from "../support/engine.ts"
import { together } from "../support/options.ts"

const message = (size: number) => new OutboundMessage("4".padEnd(size, "."), undefined, false)

/** The bytes that a message counts beside its own while it waits for a poll. */
const objects = new OutboundMessage("", undefined, false).waitingBytes

/** A session over a WebSocket. */
const open = Effect.fnUntraced(function* (options: EngineOptions = {}) {
  const engine = yield* makeEngine(
    together({ limits: { maxOutbox: 1_000 }, heartbeat: { pingTimeout: "1 hour", pingInterval: "1 hour" } }, options)
  )
  const channel = engine.webSocket()
  const session = engine.sessions[0]!
  /** Sends a message of so many bytes, after which so many wait. Gives whether the session is still open. */
  const send = (size: number, buffered: number) => {
    channel.buffered = buffered
    session.sendUnsafe(message(size))
    return session.isOpen
  }
  return { ...engine, channel, session, send }
})

/** A session over polling, whose client does not poll. */
const poll = Effect.fnUntraced(function* (options: EngineOptions = {}) {
  const engine = yield* makeEngine(together({ limits: { maxOutbox: 10_000 } }, options))
  const sid: string = JSON.parse(engine.http({}).responses[0]!.body.slice(1)).sid
  const session = engine.sessions[0]!
  const send = (size: number) => {
    session.sendUnsafe(message(size))
    return session.isOpen
  }
  return { ...engine, sid, session, send }
})

/** The messages of this turn are on their way. */
const turn = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

describe("a message that is larger than maxOutbox", () => {
  it.effect("gets through to a WebSocket for which nothing else waits, and so do later messages", () =>
    Effect.gen(function* () {
      const { send } = yield* open()
      assert.isTrue(send(10_000, 10_010))
      assert.isTrue(send(50, 10_060))
      yield* turn
      assert.isTrue(send(50, 10_110))
      assert.isFalse(send(100, 10_210))
    })
  )

  it.effect("gets through to a client that polls", () =>
    Effect.gen(function* () {
      const { closes, http, send, sid } = yield* poll()
      assert.isTrue(send(100_000))
      assert.isTrue(send(400))
      yield* turn
      assert.isTrue(send(400))
      const { body } = http({ sid }).responses[0]!
      assert.strictEqual(body.length, 100_000 + 1 + 400 + 1 + 400)
      assert.deepStrictEqual(closes, [])
    })
  )

  it.effect("does not get through after another one", () =>
    Effect.gen(function* () {
      const { closes, send } = yield* poll()
      assert.isTrue(send(100_000))
      assert.isFalse(send(100_000))
      assert.deepStrictEqual(
        closes.map(({ reason }) => reason),
        ["outbox overflow"]
      )
    })
  )

  for (const outboxOverflow of ["dropNewest", "dropOldest", "suspend"] as const) {
    it.effect(`gets through to a client that polls with the policy ${outboxOverflow}, too`, () =>
      Effect.gen(function* () {
        const { http, send, sid } = yield* poll({ limits: { outboxOverflow } })
        assert.isTrue(send(100_000))
        assert.strictEqual(http({ sid }).responses[0]!.body.length, 100_000)
      })
    )
  }

  it.effect("is no reason to end the session for the answers after it", () =>
    Effect.gen(function* () {
      const { closes, http, session, send, sid } = yield* poll({ limits: { outboxOverflow: "dropNewest" } })
      assert.isTrue(send(100_000))
      const answer = message(50)
      answer.droppable = false
      session.sendUnsafe(answer)
      session.sendUnsafe(answer)
      assert.strictEqual(http({ sid }).responses[0]!.body.length, 100_000 + 1 + 50 + 1 + 50)
      assert.deepStrictEqual(closes, [])
    })
  )
})

describe("what is sent in one turn", () => {
  it.effect("may be four times maxOutbox, and no more", () =>
    Effect.gen(function* () {
      const { closes, send } = yield* poll()
      for (let i = 0; i < 10; i++) assert.isTrue(send(4_000 - objects))
      assert.isFalse(send(4_000 - objects))
      assert.strictEqual(closes[0]!.reason, "outbox overflow")
    })
  )

  it.effect("has to be taken in later turns as fast as more comes, but for an eighth of maxOutbox", () =>
    Effect.gen(function* () {
      const { send } = yield* open()
      assert.isTrue(send(400, 3_000))
      yield* turn
      assert.isTrue(send(125, 3_125))
      assert.isTrue(send(400, 2_900))
      assert.isTrue(send(225, 3_125))
      assert.isFalse(send(1, 3_126))
    })
  )

  it.effect("has to be taken once and for all: it does not come back a second later", () =>
    Effect.gen(function* () {
      const { channel, send } = yield* open()
      assert.isTrue(send(400, 3_000))
      yield* turn
      channel.buffered = 2_000
      yield* TestClock.adjust("1 second")
      assert.isTrue(send(125, 2_125))
      assert.isFalse(send(1, 2_126))
    })
  )

  it.effect("is no reason to end the session for the answers to its pings, until it is taken", () =>
    Effect.gen(function* () {
      const { channel, send, session } = yield* open()
      assert.isTrue(send(400, 3_000))
      yield* turn
      channel.receiver.onPing!()
      assert.isTrue(session.isOpen)
      channel.buffered = 900
      yield* TestClock.adjust("1 second")
      channel.buffered = 1_001
      channel.receiver.onPing!()
      assert.isFalse(session.isOpen)
    })
  )
})
