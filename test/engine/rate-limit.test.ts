/**
 * How many packets a connection may bring, under a clock that the test moves.
 */
import { assert, describe, it } from "@effect/vitest"
import { TestClock } from "effect/testing"
import { Effect } from "effect"

import { makeEngine } from "../support/engine.ts"

const packets = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `4${from + i}`)

/** Pings are far away. */
const quiet = { heartbeat: { pingInterval: "1 hour", pingTimeout: "1 hour" } } as const

describe("a connection with a rate limit", () => {
  it.effect("is read as long as there are tokens, and then as they come", () =>
    Effect.gen(function* () {
      const { closes, messages, webSocket } = yield* makeEngine({
        ...quiet,
        limits: { rateLimit: { limit: 10, burst: 20 } }
      })
      const channel = webSocket()
      for (const packet of packets(100)) channel.receive(packet)
      // The one that is too much is handled: reading stops after it.
      assert.lengthOf(messages, 21)
      for (let second = 1; second <= 7; second++) {
        yield* TestClock.adjust("1 second")
        assert.isAtMost(messages.length, 21 + 10 * second)
        assert.isAtLeast(messages.length, 21 + 10 * second - 3)
      }
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(messages, packets(100))
      assert.deepStrictEqual(closes, [])
    })
  )

  it.effect("has its burst again after a time of rest, and no more than that", () =>
    Effect.gen(function* () {
      const { messages, webSocket } = yield* makeEngine({ ...quiet, limits: { rateLimit: { limit: 10, burst: 5 } } })
      const channel = webSocket()
      for (const packet of packets(5)) channel.receive(packet)
      yield* TestClock.adjust("1 hour")
      for (const packet of packets(100, 5)) channel.receive(packet)
      assert.lengthOf(messages, 5 + 6)
    })
  )

  it.effect("counts attachments and heartbeats, too", () =>
    Effect.gen(function* () {
      const { messages, webSocket } = yield* makeEngine({
        ...quiet,
        limits: { rateLimit: { limit: 4, interval: "1 hour" } }
      })
      const channel = webSocket()
      channel.receive("3")
      channel.receive("3")
      channel.receive(new Uint8Array([1]))
      channel.receive("4a")
      channel.receive(new Uint8Array([2]))
      channel.receive("4b")
      assert.deepStrictEqual(messages, [new Uint8Array([1]), "4a", new Uint8Array([2])])
    })
  )

  it.effect("answers the request that brought too much when all of it has been read", () =>
    Effect.gen(function* () {
      const { http, messages, sessions } = yield* makeEngine({ ...quiet, limits: { rateLimit: { limit: 10 } } })
      http({})
      const post = http({ sid: sessions[0]!.id }, "POST", packets(30).join("\u001e"))
      assert.lengthOf(messages, 11)
      assert.deepStrictEqual(post.responses, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(post.responses, [])
      yield* TestClock.adjust("1200 millis")
      assert.deepStrictEqual(messages, packets(30))
      assert.deepStrictEqual(post.responses, [{ status: 200, body: "ok" }])
    })
  )

  it.effect("goes on being paused for its backlog when there are tokens again, and the other way round", () =>
    Effect.gen(function* () {
      const { messages, sessions, webSocket } = yield* makeEngine({ ...quiet, limits: { rateLimit: { limit: 1 } } })
      const channel = webSocket()
      const [session] = sessions
      for (const packet of packets(4)) channel.receive(packet)
      session!.pauseUnsafe("backlog")
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(messages, 2)
      session!.resumeUnsafe("backlog")
      assert.lengthOf(messages, 4)
      session!.pauseUnsafe("backlog")
      session!.resumeUnsafe("backlog")
      channel.receive("4next")
      assert.lengthOf(messages, 4)
    })
  )

  it.effect("is closed with a reason where the limit says so", () =>
    Effect.gen(function* () {
      const { closes, messages, webSocket } = yield* makeEngine({
        ...quiet,
        limits: { rateLimit: { limit: 10, onExceeded: "disconnect" } }
      })
      const [channel, other] = [webSocket(), webSocket()]
      for (const packet of packets(10)) channel.receive(packet)
      other.receive("4other")
      assert.deepStrictEqual(closes, [])
      channel.receive("4too much")
      channel.receive("4more")
      assert.deepStrictEqual(messages, [...packets(10), "4other"])
      assert.deepStrictEqual(closes, [
        { reason: "rate limit exceeded", description: "more packets than rateLimit allows" }
      ])
      assert.strictEqual(channel.state, "closing")
      assert.strictEqual(other.state, "open")
    })
  )

  it.effect("leaves no deadline behind when it ends while it is paused", () =>
    Effect.gen(function* () {
      const { closes, messages, webSocket } = yield* makeEngine({ ...quiet, limits: { rateLimit: { limit: 1 } } })
      const channel = webSocket()
      for (const packet of packets(3)) channel.receive(packet)
      channel.end()
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(messages, 2)
      assert.lengthOf(closes, 1)
      // A resumed channel would have delivered what it holds.
      assert.isTrue(channel.paused)
    })
  )
})
