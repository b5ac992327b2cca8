/**
 * The memory of small messages that wait: far more than their bytes, and bounded by `maxOutbox` as well.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { OutboundMessage } from "../../src/engine/OutboundMessage.ts"
import type { OutboxOverflow } from "../../src/engine/Outbox.ts"
import { makeEngine } from "../support/engine.ts"
import { alone, readOnly } from "../support/metrics.ts"

const maxOutbox = 100_000

/** What a short message takes at the least: its entry, its object, and its text. */
const SMALL = 150

/** A session whose client does not poll. */
const open = Effect.fnUntraced(function* (outboxOverflow: OutboxOverflow, query: Record<string, string> = {}) {
  const engine = yield* makeEngine({ allowEIO3: true, limits: { maxOutbox, outboxOverflow } })
  const { body } = engine.http(query).responses[0]!
  const { sid } = JSON.parse(body.slice(body.indexOf("{")))
  const poll = () => engine.http({ ...query, sid }).responses[0]!.body
  const post = (body: string) => engine.http({ ...query, sid }, "POST", body)
  return { ...engine, session: engine.sessions[0]!, poll, post }
})

const answer = (text: string) => {
  const message = new OutboundMessage(text, undefined, false)
  message.droppable = false
  return message
}

const utf8 = (text: string) => Buffer.byteLength(text)

describe("small messages for a client that does not poll", () => {
  it.effect("count with their objects: as many wait as fit into maxOutbox", () =>
    alone(
      Effect.gen(function* () {
        const { poll, session } = yield* open("dropNewest")
        for (let i = 0; i < 2_000; i++) session.sendUnsafe(new OutboundMessage("42[]", undefined, false))
        assert.isAtMost(session.buffered, maxOutbox)
        const count = poll().split("\x1e").length
        assert.isAtMost(count, maxOutbox / SMALL)
        assert.isAbove(count, 300)
        // What is counted is what the clients miss, and not the memory of it.
        assert.deepStrictEqual(yield* readOnly("packets_dropped", "bytes_dropped"), {
          "packets_dropped{dropNewest}": 2_000 - count,
          "bytes_dropped{dropNewest}": (2_000 - count) * 4
        })
        assert.strictEqual(session.buffered, 0)
      })
    )
  )

  it.effect("count with their entries alone if others hold them, too", () =>
    alone(
      Effect.gen(function* () {
        const { poll, session } = yield* open("dropNewest")
        const shared = new OutboundMessage("42[]", undefined, true)
        for (let i = 0; i < 4_000; i++) session.sendUnsafe(shared)
        const count = poll().split("\x1e").length
        assert.isAtMost(count, maxOutbox / 64)
        assert.isAbove(count, maxOutbox / 100)
      })
    )
  )

  it.effect("end its session: answers, too", () =>
    Effect.gen(function* () {
      const { closes, session } = yield* open("disconnect")
      for (let i = 0; i < 4 * (maxOutbox / SMALL) && session.isOpen; i++) session.sendUnsafe(answer("431[]"))
      assert.deepStrictEqual(
        closes.map(({ reason }) => reason),
        ["outbox overflow"]
      )
    })
  )

  it.effect("end its session: answers to its pings, which are a byte", () =>
    Effect.gen(function* () {
      const { closes, post } = yield* open("disconnect", { EIO: "3" })
      for (let i = 0; i < 20 && closes.length === 0; i++) {
        post("1:2".repeat(200))
        yield* Effect.andThen(Effect.yieldNow, Effect.yieldNow)
      }
      assert.deepStrictEqual(
        closes.map(({ reason }) => reason),
        ["outbox overflow"]
      )
    })
  )
})

describe("a text that takes two bytes for a character", () => {
  it.effect("counts with them, where it is shorter in UTF-8", () =>
    Effect.gen(function* () {
      const { session } = yield* open("dropNewest")
      const text = `4€${"x".repeat(10_000)}`
      session.sendUnsafe(new OutboundMessage(text, undefined, false))
      assert.isAtLeast(session.buffered, 2 * text.length)
      assert.isAtMost(session.buffered, 2 * text.length + 400)
    })
  )

  it.effect("counts with its size in UTF-8 otherwise", () =>
    Effect.gen(function* () {
      const { session } = yield* open("dropNewest")
      // The one has a byte for each of its characters in memory, and the other three on the wire.
      for (const text of [`4é${"x".repeat(10_000)}`, `4${"€".repeat(10_000)}`]) {
        const before = session.buffered
        session.sendUnsafe(new OutboundMessage(text, undefined, false))
        const size = session.buffered - before - utf8(text)
        assert.isAtLeast(size, SMALL)
        assert.isAtMost(size, 400)
      }
    })
  )
})

describe("a client that polls after a long time", () => {
  it.effect("gets some thousands of messages with each poll, all of them in their order", () =>
    Effect.gen(function* () {
      const { closes, http, sessions } = yield* makeEngine()
      const { sid } = JSON.parse(http({}).responses[0]!.body.slice(1))
      const count = 12_000
      for (let i = 0; i < count; i++) sessions[0]!.sendUnsafe(new OutboundMessage(`4${i}`, undefined, false))
      const polls: Array<Array<string>> = []
      for (let got = 0; got < count;) {
        const packets = http({ sid }).responses[0]!.body.split("\x1e")
        polls.push(packets)
        got += packets.length
      }
      assert.deepStrictEqual(
        polls.map(({ length }) => length),
        [5_000, 5_000, 2_000]
      )
      assert.deepStrictEqual(
        polls.flat(),
        Array.from({ length: count }, (_, i) => `4${i}`)
      )
      assert.deepStrictEqual(closes, [])
    })
  )

  it.effect("gets all of them before it hears that the session has ended", () =>
    Effect.gen(function* () {
      const { http, sessions } = yield* makeEngine({ drainTimeout: "10 seconds" })
      const { sid } = JSON.parse(http({}).responses[0]!.body.slice(1))
      const count = 6_000
      for (let i = 0; i < count; i++) sessions[0]!.sendUnsafe(new OutboundMessage(`4${i}`, undefined, false))
      sessions[0]!.closeUnsafe()
      const polls = [0, 1, 2].map(() => http({ sid }).responses[0]!.body.split("\x1e"))
      assert.deepStrictEqual(
        polls.map(({ length }) => length),
        [5_000, 1_000, 1]
      )
      assert.deepStrictEqual(polls[2], ["1"])
    })
  )
})
