/**
 * A payload that cannot be encoded fails at its sender, and no other server takes it for lost.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"

import { requires } from "../support/peers.ts"
import { type RunningServers, startRedis } from "../support/redisServer.ts"
import { isAlive, redisVictim } from "./victim.ts"

describe("a value that cannot be encoded", requires("Redis"), () => {
  let redis: RunningServers
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis?.stop())

  for (const format of ["classic", "sharded", "streams"] as const) {
    for (const recovery of format === "streams" ? [false, true] : [false]) {
      it.live(`is not counted as lost (${format}${recovery ? " with recovery" : ""})`, () =>
        Effect.gen(function* () {
          const a = yield* redisVictim(format, redis, { recovery })
          const b = yield* redisVictim(format, redis, { recovery })
          // Each has heard the other: from now on, a number that is missing is counted.
          yield* isAlive(b, a)
          yield* isAlive(a, b)
          for (let i = 0; i < 3; i++) {
            const emitted = yield* Effect.exit(a.handle.to("nobody here").emit("event", 1n))
            assert.isTrue(Exit.isFailure(emitted))
            const asked = yield* Effect.exit(a.handle.serverSideEmit("event", 1n))
            assert.isTrue(Exit.isFailure(asked))
          }
          // The next messages have the next numbers.
          yield* isAlive(b, a)
          assert.strictEqual((yield* b.status.current).lost, 0)
        }).pipe(Effect.scoped)
      )
    }
  }
})
