/**
 * CPU per published message of 150 bytes, in microseconds: the client library alone, used as well as it can be, and the publisher over
 * it, in turns within one run. `node test/cluster/bench/publish.ts [--turn 10] [--rounds 7] [--total 50000]`
 *
 * Redis and a subscriber are processes of their own, so only what the publishing process uses is counted.
 */
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { Redis } from "ioredis"
import { createClient } from "redis"

import * as Publisher from "../../../src/redis/internal/publisher.ts"
import type * as RedisClient from "../../../src/redis/RedisClient.ts"
import { client } from "../../support/redisClients.ts"
import { redis } from "../../support/redisServer.ts"

const { values } = parseArgs({
  options: {
    turn: { type: "string", default: "10" },
    rounds: { type: "string", default: "7" },
    total: { type: "string", default: "50000" }
  }
})
const perTurn = Number(values.turn)
const rounds = Number(values.rounds)
const total = Number(values.total)

const body = Buffer.alloc(150, 1)
const channel = "socket.io#/#room#"
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

interface Way {
  /** Publishes what belongs to one turn. */
  readonly publish: (count: number) => void
  /** How much is not confirmed. */
  readonly pending: () => number
}

/** A library's own pipelines: one per turn, and few under way. */
const direct = (pipeline: (count: number) => Promise<unknown>): Way => {
  let pending = 0
  const finish = () => {
    pending--
  }
  return {
    publish(count) {
      pending++
      pipeline(count).then(finish, finish)
    },
    pending: () => pending
  }
}

const ours = (service: RedisClient.RedisClient["Service"]) =>
  Publisher.make(service, { dropped: (count, reason) => console.error(`${count} dropped: ${reason}`) }).pipe(
    Effect.map((publisher): Way => ({
      publish(count) {
        for (let n = 0; n < count; n++) publisher.publish(channel, body, false)
      },
      pending: () => publisher.waiting().commands
    }))
  )

const measure = async ({ pending, publish }: Way): Promise<number> => {
  const before = process.cpuUsage()
  for (let n = 0; n < total; n += perTurn) {
    publish(perTurn)
    await turn()
    while (pending() > 4 * perTurn) await turn()
  }
  while (pending() > 0) await turn()
  const used = process.cpuUsage(before)
  return (used.user + used.system) / total
}

const median = (numbers: ReadonlyArray<number>): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!

const program = Effect.gen(function* () {
  const running = yield* redis()
  const plain = yield* Effect.acquireRelease(
    Effect.promise(() => createClient({ url: running.url }).connect()),
    (connection) => Effect.sync(() => connection.destroy())
  )
  const ioredis = yield* Effect.acquireRelease(
    Effect.sync(() => new Redis(running.server.port, "127.0.0.1")),
    (connection) => Effect.sync(() => connection.disconnect())
  )
  const ways: Record<string, Way> = {
    "redis: publish each": direct((count) =>
      Promise.all(Array.from({ length: count }, () => plain.publish(channel, body)))
    ),
    "redis: a pipeline per turn": direct((count) => {
      const multi = plain.multi()
      for (let n = 0; n < count; n++) multi.publish(channel, body)
      return multi.execAsPipeline()
    }),
    "redis: the publisher": yield* ours(yield* client("redis", running)),
    "ioredis: publish each": direct((count) =>
      Promise.all(Array.from({ length: count }, () => ioredis.publish(channel, body)))
    ),
    "ioredis: a pipeline per turn": direct((count) => {
      const pipeline = ioredis.pipeline()
      for (let n = 0; n < count; n++) pipeline.publish(channel, body)
      return pipeline.exec()
    }),
    "ioredis: the publisher": yield* ours(yield* client("ioredis", running))
  }
  const results = new Map<string, Array<number>>()
  for (let round = 0; round <= rounds; round++) {
    for (const [name, way] of Object.entries(ways)) {
      const cost = yield* Effect.promise(() => measure(way))
      // The first round warms up.
      if (round > 0) results.set(name, [...(results.get(name) ?? []), cost])
    }
  }
  console.log(`µs of CPU per message, ${perTurn} a turn: median (lowest to highest) of ${rounds} rounds`)
  for (const [name, costs] of results) {
    const [low, high] = [Math.min(...costs), Math.max(...costs)]
    console.log(`${name.padEnd(30)} ${median(costs).toFixed(1).padStart(5)} (${low.toFixed(1)} to ${high.toFixed(1)})`)
  }
})

await Effect.runPromise(Effect.scoped(program))
