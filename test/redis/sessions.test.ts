/**
 * Sessions in a Redis that does not answer.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"

import * as Sessions from "../../src/redis/internal/sessions.ts"
import type { RedisClient } from "../../src/redis/RedisClient.ts"
import { RedisError } from "../../src/redis/RedisError.ts"

const away = new RedisError({ reason: { _tag: "Timeout" }, message: "away" })

/** The store of sessions, over a Redis that answers while `isUp`, and the sessions that it was told to forget, in this order. */
const store = Effect.gen(function* () {
  const self = { isUp: true, refuses: "", removed: [] as Array<string>, asked: 0 }
  const redis = {
    isConnected: () => true,
    onChange: () => () => {},
    command: ([, script, , key]: ReadonlyArray<string>) =>
      Effect.suspend(() => {
        self.asked++
        if (!self.isUp || key === self.refuses) return Effect.fail(away)
        if (script!.includes("'del'")) self.removed.push(key!)
        return Effect.succeed(1)
      })
  } as unknown as RedisClient["Service"]
  const sessions = yield* Sessions.make(redis, { keyPrefix: "" })
  return Object.assign(self, { sessions })
})

describe("a session that must be forgotten", () => {
  it.effect("is so once Redis answers again", () =>
    Effect.gen(function* () {
      const redis = yield* store
      redis.isUp = false
      const names = Array.from({ length: 50 }, (_, i) => `session ${i}`)
      for (const name of names) redis.sessions.remove(name, "generation")
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(redis.removed, [])
      // One of them asks for all while Redis is away.
      redis.asked = 0
      yield* TestClock.adjust("1 minute")
      assert.isAtMost(redis.asked, 121)
      redis.isUp = true
      yield* TestClock.adjust("1 second")
      assert.sameMembers(redis.removed, names)
      redis.asked = 0
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(redis.asked, 0)
      redis.sessions.remove("another", "generation")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(redis.removed.at(-1), "another")
    })
  )

  it.effect("waits for no other that Redis goes on to refuse", () =>
    Effect.gen(function* () {
      const redis = yield* store
      redis.isUp = false
      for (const name of ["one", "two", "three"]) redis.sessions.remove(name, "generation")
      yield* TestClock.adjust("1 second")
      redis.isUp = true
      redis.refuses = "one"
      yield* TestClock.adjust("2 seconds")
      assert.sameMembers(redis.removed, ["two", "three"])
      redis.refuses = ""
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(redis.removed.at(-1), "one")
    })
  )

  it.effect("is one of 10,000 at most: the one that has waited longest ends by itself", () =>
    Effect.gen(function* () {
      const redis = yield* store
      redis.isUp = false
      for (let i = 0; i < 10_001; i++) redis.sessions.remove(`${i}`, "generation")
      yield* TestClock.adjust("100 millis")
      redis.isUp = true
      yield* TestClock.adjust("2 seconds")
      assert.lengthOf(redis.removed, 10_000)
      assert.notInclude(redis.removed, "0")
    })
  )
})
