/**
 * A stream to which an emitter writes, and what clients of its servers may have missed.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { createClient } from "redis"

import { makeTrimmer } from "../../src/redis/internal/retention.ts"
import type { Outgoing } from "../../src/redis/internal/sender.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import { RedisError } from "../../src/redis/RedisError.ts"
import * as RedisEmitter from "../../src/redis/RedisEmitter.ts"
import { requires } from "../support/peers.ts"
import { startRedis, until } from "../support/redisServer.ts"
import { backTo, StreamServers, withoutMarks } from "./streamServers.ts"

describe("an emitter beside servers with recovery", requires("Redis"), () => {
  let world: StreamServers
  const scope = Scope.makeUnsafe()
  beforeAll(async () => {
    world = new StreamServers(await startRedis())
  })
  afterAll(async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await world?.stop()
  })

  const emitterOf = (streamName: string) => {
    const client = RedisClient.fromNodeRedis(createClient({ url: world.redis.url }))
    return Effect.runPromise(
      RedisEmitter.layerStreams({ streamName, maxLen: 5 }).pipe(
        Layer.provide(Layer.effect(RedisClient.RedisClient, client)),
        Layer.buildWithScope(scope),
        Effect.flatMap((context) => Effect.provideContext(RedisEmitter.namespace("/"), context))
      )
    )
  }
  const numbers = Array.from({ length: 500 }, (_, i) => i)

  it("trims nothing that their clients may have missed", async () => {
    const [one, two] = await world.start("emitted", 2)
    const emitter = await emitterOf("emitted")
    const client = await world.connect(one)
    const witness = await world.connect(two)
    await world.settle(one, client)
    await until("the word of a server", async () =>
      (await world.command("exists", "{emitted}:retention")) === "1" ? true : undefined
    )
    // What is kept of a ping, two minutes of outage, and so on.
    assert.strictEqual(await world.command("get", "{emitted}:retention"), String(25_000 + 20_000 + 60_000 + 60_000))
    await client.cut("reset")
    await Effect.runPromise(Effect.forEach(numbers, (n) => emitter.emit("e", n), { concurrency: 100, discard: true }))
    await world.settle(one, witness)
    assert.isTrue(await backTo(client, two))
    await world.settle(two, client)
    assert.deepStrictEqual(withoutMarks(client), numbers)
  })

  it("keeps as many entries as it is told, where no server needs more", async () => {
    const emitter = await emitterOf("few")
    await Effect.runPromise(Effect.forEach(numbers, (n) => emitter.emit("e", n), { concurrency: 100, discard: true }))
    assert.isBelow(Number(await world.command("xlen", "few")), 200)
  })

  it.effect("asks for the time that they need, together, and again after a while", () =>
    Effect.gen(function* () {
      const asked: Array<Outgoing> = []
      let reply: Effect.Effect<ReadonlyArray<string>, RedisError> = Effect.fail(
        new RedisError({ reason: { _tag: "Timeout" }, message: "away" })
      )
      const trim = yield* makeTrimmer((outgoing) => {
        asked.push(outgoing)
        return Effect.andThen(
          Effect.yieldNow,
          Effect.suspend(() => reply)
        )
      }, 7)
      const trims = (count: number) => Effect.replicateEffect(trim("a"), count, { concurrency: "unbounded" })
      assert.strictEqual((yield* Effect.flip(trims(3))).reason._tag, "Timeout")
      assert.lengthOf(asked, 1)
      reply = Effect.succeed(["5000", "100"])
      assert.deepStrictEqual(yield* trims(2), [
        ["MINID", "~", "95000"],
        ["MINID", "~", "95000"]
      ])
      yield* TestClock.adjust("10 seconds")
      reply = Effect.succeed(["", "110"])
      assert.deepStrictEqual(yield* trim("a"), ["MINID", "~", "105000"])
      assert.deepStrictEqual(yield* trim("b{c}"), ["MAXLEN", "~", "7"])
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* trim("a"), ["MAXLEN", "~", "7"])
      reply = Effect.fail(new RedisError({ reason: { _tag: "Refused" }, message: "no scripts" }))
      assert.deepStrictEqual(yield* trim("c"), ["MAXLEN", "~", "7"])
      assert.deepStrictEqual(
        asked.map(({ key }) => key),
        ["{a}:retention", "{a}:retention", "b{c}:retention", "{a}:retention", "{c}:retention"]
      )
    })
  )
})
