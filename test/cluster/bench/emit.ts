/**
 * Processor time of one broadcast of 100 bytes at a server that publishes without a pause, in microseconds: the official server with
 * the classic adapter and this library's, in turns within one run. `node test/cluster/bench/emit.ts [--turn 10] [--total 100000]`
 *
 * Nobody is in the room, and Redis is a process of its own: what is counted is the way from `emit` to Redis. The two have channels of
 * their own, so that neither hears the other.
 */
import { createServer } from "node:http"
import { parseArgs } from "node:util"
import { createAdapter } from "@socket.io/redis-adapter"
import { Effect, Layer } from "effect"
import { createClient } from "redis"
import { Server } from "socket.io"

import * as RedisAdapter from "../../../src/redis/RedisAdapter.ts"
import * as RedisClient from "../../../src/redis/RedisClient.ts"
import * as SocketIoServer from "../../../src/server/SocketIoServer.ts"
import { redis } from "../../support/redisServer.ts"

const { values } = parseArgs({
  options: {
    turn: { type: "string", default: "10" },
    rounds: { type: "string", default: "5" },
    total: { type: "string", default: "100000" }
  }
})
const [perTurn, rounds, total] = [Number(values.turn), Number(values.rounds), Number(values.total)]
const pad = "x".repeat(100)

const measure = async (emit: (n: number) => void): Promise<number> => {
  const before = process.cpuUsage()
  for (let n = 0; n < total; n += perTurn) {
    for (let i = 0; i < perTurn; i++) emit(n + i)
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  // Messages that are under way belong to the round.
  await new Promise((resolve) => setTimeout(resolve, 300))
  const { system, user } = process.cpuUsage(before)
  return (system + user) / total
}

const official = Effect.fnUntraced(function* (url: string) {
  const connect = Effect.acquireRelease(
    Effect.promise(() => createClient({ url }).connect()),
    (client) => Effect.sync(() => client.destroy())
  )
  const io = new Server(createServer(), { adapter: createAdapter(yield* connect, yield* connect, { key: "official" }) })
  return (n: number) => void io.to("room").emit("flood", { n, pad })
})

const ours = Effect.gen(function* () {
  const room = (yield* SocketIoServer.namespace("/")).to("room")
  const run = Effect.runSyncWith(yield* Effect.context<never>())
  return (n: number) => run(room.emit("flood", { n, pad }))
})

const program = Effect.gen(function* () {
  const { url } = yield* redis()
  const server = SocketIoServer.layerNamespace("/", () => Effect.void).pipe(
    Layer.provideMerge(SocketIoServer.layer()),
    Layer.provide(RedisAdapter.layer()),
    Layer.provide(RedisClient.layer(Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url })))))
  )
  const ways = { official: yield* official(url), ours: yield* Effect.provideContext(ours, yield* Layer.build(server)) }
  yield* Effect.sleep("1 second")
  for (let round = 0; round <= rounds; round++) {
    for (const [name, emit] of Object.entries(ways)) {
      const micros = yield* Effect.promise(() => measure(emit))
      if (round > 0) yield* Effect.sync(() => console.log(`${name}: ${micros.toFixed(1)} µs`))
    }
  }
})

await Effect.runPromise(Effect.scoped(program))
process.exit(0)
