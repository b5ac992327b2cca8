/**
 * The servers that the tests of this folder start.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { requires } from "../support/peers.ts"
import { redis, until } from "../support/redisServer.ts"

describe("a Redis of a test", requires("Redis"), () => {
  it.live("answers, is killed, and comes back empty on its port", () =>
    Effect.gen(function* () {
      const { server } = yield* redis()
      yield* Effect.promise(async () => {
        assert.strictEqual(await server.command("set", "a", "1"), "OK")
        await server.kill()
        await server.start()
        assert.strictEqual(await server.command("get", "a"), "")
      })
    })
  )

  it.live("is a Redis Cluster with replicas that take over", () =>
    Effect.gen(function* () {
      const { servers, server } = yield* redis({ masters: 3, replicas: 1 })
      yield* Effect.promise(async () => {
        assert.lengthOf(servers, 6)
        await server.kill()
        await until("a replica that has taken over", async () => {
          const nodes = (await servers[1]!.command("cluster", "nodes")).split("\n")
          const masters = nodes.filter((line) => line.includes("master") && !line.includes("fail"))
          return masters.length === 3 ? true : undefined
        })
      })
    })
  )
})
