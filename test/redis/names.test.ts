/**
 * Names of channels that clients choose, as those of rooms and of dynamic namespaces are: they are given back.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import * as Membership from "../../src/redis/internal/membership.ts"
import { memoryInUse } from "../support/memory.ts"
import { requires } from "../support/peers.ts"
import { client, lost, wait } from "../support/redisClients.ts"
import { redis } from "../support/redisServer.ts"

/** Ten names, of 100 kB each. */
const names = (round: number) =>
  Array.from({ length: 10 }, (_, i) => Buffer.alloc(100_000, `${round} ${i} `).toString("latin1"))

describe("Names of channels", requires("Redis"), () => {
  it.live("are forgotten when they are left while Redis is away, and all that are wanted then come back", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      const service = yield* client("redis", running)
      yield* Effect.promise(() => running.server.kill())
      yield* lost(service)
      const before = memoryInUse()
      for (let i = 0; i < 10; i++) {
        for (const name of names(i)) {
          service.subscribe("channel", name, { onMessage: () => {} }).unsubscribe()
        }
        yield* Effect.sleep(0)
      }
      assert.isBelow(memoryInUse() - before, 4_000_000)
      const wanted = service.subscribe("channel", "wanted", { onMessage: () => {} })
      yield* Effect.promise(() => running.server.start())
      yield* wait("the subscription", () => wanted.isConfirmed())
    })
  )

  it.live("are forgotten with the counts of their servers, when their namespaces close", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      const service = yield* client("redis", running)
      const membership = yield* Membership.make(service)
      membership.track("tracked", false)
      let before = 0
      for (let i = 0; i < 10; i++) {
        for (const channel of names(i)) {
          const subscription = service.subscribe("channel", channel, { onMessage: () => {} })
          const { last, servers } = membership.counter(channel, false)
          yield* wait("the subscription", () => subscription.isConfirmed())
          assert.strictEqual(yield* servers, 1)
          assert.strictEqual(last(), 1)
          subscription.unsubscribe()
        }
        if (i === 0) before = memoryInUse()
      }
      assert.isBelow(memoryInUse() - before, 4_000_000)
    })
  )
})
