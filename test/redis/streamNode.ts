/**
 * A server with streams in Redis, in a process of its own, which is killed: it prints its port, and ends with its standard input.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { createClient } from "redis"

import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisStreamLog from "../../src/redis/RedisStreamLog.ts"
import { TalkLive } from "./talk.ts"

const { REDIS } = process.env

const http = createServer()

const Main = TalkLive.pipe(
  Layer.provide(NodeSocketIoServer.layerAttached(http)),
  Layer.provide(RedisStreamLog.layer({ lease: "1 second" })),
  Layer.provide(RedisClient.layer(Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url: REDIS! })))))
)

process.stdin.on("end", () => process.exit()).resume()

NodeRuntime.runMain(
  Effect.gen(function* () {
    yield* Layer.build(Main)
    http.listen(0, "127.0.0.1", () => console.log(`port ${(http.address() as AddressInfo).port}`))
    return yield* Effect.never
  }).pipe(Effect.scoped)
)
