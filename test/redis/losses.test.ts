/**
 * A server counts and tells the messages that it misses, also if the sender says nothing more: while its connections are away, when Redis has
 * cut it for reading slowly, and when a stream has been trimmed before it was read.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Layer, Metric } from "effect"
import { createClient } from "redis"

import * as ClusterMetrics from "../../src/adapter/ClusterMetrics.ts"
import * as RedisAdapter from "../../src/redis/RedisAdapter.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisStreamsAdapter from "../../src/redis/RedisStreamsAdapter.ts"
import * as Routes from "../../src/redis/internal/routes.ts"
import { faultyProxy, type FaultyProxy } from "../support/FaultyProxy.ts"
import { requires } from "../support/peers.ts"
import { client, wait } from "../support/redisClients.ts"
import { redis, type RunningServers } from "../support/redisServer.ts"
import { connect } from "../support/serve.ts"
import { victim, type Victim, whenConnected } from "./victim.ts"
import { NAMESPACE } from "./wire/officialNode.ts"

const MAX_LENGTH = 20

const adapters = {
  classic: RedisAdapter.layer(),
  sharded: RedisAdapter.layerSharded(),
  streams: RedisStreamsAdapter.layer({ maxLen: MAX_LENGTH, readCount: 10 })
} as const

type Name = keyof typeof adapters

const names = Object.keys(adapters) as Array<Name>

/** A server over Redis, with the numbers that its client hears of each sender. */
const server = Effect.fnUntraced(function* (name: Name, service: RedisClient.RedisClient["Service"]) {
  const self = yield* victim(Layer.provide(adapters[name], Layer.succeed(RedisClient.RedisClient, service)))
  yield* whenConnected(self)
  const socket = yield* connect(self.url + NAMESPACE)
  const heard: Record<string, Array<number>> = { a: [], b: [] }
  socket.on("n", (from: string, n: number) => void heard[from]!.push(n))
  return { ...self, heard }
})

const direct = ({ url }: { readonly url: string }) => RedisClient.fromNodeRedis(createClient({ url }))

const through = ({ url }: FaultyProxy) => direct({ url: url.replace("http", "redis") })

const send = ({ handle }: Victim, from: string, numbers: Iterable<number>, pad = "") =>
  Effect.forEach(numbers, (n) => handle.emit("n", from, n, pad), { discard: true })

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** How many messages servers have given to Redis. */
const published = (running: RunningServers) =>
  Effect.promise(async () => {
    const stats = await running.server.command("info", "commandstats")
    const calls = Array.from(stats.matchAll(/^cmdstat_(?:publish|spublish|xadd):calls=(\d+)/gm), ([, count]) => count)
    return calls.reduce((sum, count) => sum + Number(count), 0)
  })

/** Waits until a sender has told its last number, and with that all that it has to say. */
const silence = (running: RunningServers, sent: number) =>
  published(running).pipe(Effect.repeat({ until: (count) => count > sent }))

const isCutByRedis = (running: RunningServers) =>
  Effect.promise(async () => {
    const stats = await running.server.command("info", "stats")
    return !stats.includes("client_output_buffer_limit_disconnections:0")
  })

const lostOf = ({ status }: Victim) => Effect.runSync(status.current).lost

/**
 * One sender sends five messages, and another one so many that those are trimmed, with the number
 * that tells of them.
 */
const trimmed = Effect.fnUntraced(function* (running: RunningServers, a: Victim, b: Victim) {
  const before = yield* published(running)
  yield* send(a, "a", range(4, 8))
  yield* silence(running, before + 5)
  const rest = yield* published(running)
  yield* send(b, "b", range(4, 203))
  yield* silence(running, rest + 200)
})

/** All is counted, nothing twice, and the log and the metric say so. */
const isCounted = Effect.fnUntraced(function* (receiver: Victim, missed: () => number) {
  yield* wait("the count", () => lostOf(receiver) >= missed(), 20_000)
  assert.strictEqual(lostOf(receiver), missed())
  assert.include(receiver.logs.join("\n"), "messages of another server did not come")
})

const lostMetric = Effect.map(Metric.value(ClusterMetrics.messagesLost), ({ count }) => count)

// At once, as they mostly wait.
describe.concurrent(
  "What a server misses is counted, though its sender is silent afterwards",
  requires("Redis"),
  () => {
    for (const name of names.filter((name) => name !== "streams")) {
      it.live(`when its connections are away, through ${name}`, () =>
        Effect.gen(function* () {
          const running = yield* redis()
          const proxy = yield* faultyProxy(running.url)
          const a = yield* server(name, yield* direct(running))
          const c = yield* server(name, yield* through(proxy))
          yield* send(a, "a", range(1, 3))
          yield* wait("the first numbers", () => c.heard["a"]!.length === 3)
          proxy.resetAfter(0)
          proxy.reset()
          yield* c.status.current.pipe(Effect.repeat({ until: ({ connected }) => !connected }))
          const before = yield* published(running)
          yield* send(a, "a", range(4, 8))
          yield* silence(running, before + 5)
          assert.strictEqual(lostOf(c), 0)
          proxy.resetAfter(Infinity)
          yield* isCounted(c, () => 5)
          assert.deepStrictEqual(c.heard["a"], [1, 2, 3])
          assert.strictEqual(lostOf(a), 0)
        })
      )

      it.live(`when Redis has cut it because it reads slowly, through ${name}`, () =>
        Effect.gen(function* () {
          const running = yield* redis()
          yield* Effect.promise(() =>
            running.server.command("config", "set", "client-output-buffer-limit", "pubsub 256kb 0 0")
          )
          const proxy = yield* faultyProxy(running.url, { rate: 1_000_000 })
          const a = yield* server(name, yield* direct(running))
          const c = yield* server(name, yield* through(proxy))
          yield* send(a, "a", range(1, 3))
          yield* wait("the first numbers", () => c.heard["a"]!.length === 3)
          const before = yield* published(running)
          let last = 3
          // Until the buffers of the system are full, too.
          yield* Effect.gen(function* () {
            yield* send(a, "a", range(last + 1, last + 50), "x".repeat(100_000))
            last += 50
            yield* published(running).pipe(Effect.repeat({ until: (count) => count >= before + last - 3 }))
            return yield* isCutByRedis(running)
          }).pipe(Effect.repeat({ until: (isCut) => isCut }))
          yield* silence(running, before + last - 3)
          // The messages that the system has taken would come slowly.
          proxy.reset()
          yield* isCounted(c, () => last - c.heard["a"]!.length)
          assert.isAbove(lostOf(c), 0)
          assert.strictEqual(Effect.runSync(a.status.current).dropped, 0)
        })
      )
    }

    it.live("when its connections are away until a stream has been trimmed", () =>
      Effect.gen(function* () {
        const running = yield* redis()
        yield* Effect.promise(() => running.server.command("config", "set", "stream-node-max-entries", "10"))
        const proxy = yield* faultyProxy(running.url)
        const a = yield* server("streams", yield* direct(running))
        const b = yield* server("streams", yield* direct(running))
        const c = yield* server("streams", yield* through(proxy))
        for (const [from, sender] of Object.entries({ a, b })) yield* send(sender, from, range(1, 3))
        yield* wait("the first numbers", () => c.heard["a"]!.length + c.heard["b"]!.length === 6)
        proxy.resetAfter(0)
        proxy.reset()
        yield* c.status.current.pipe(Effect.repeat({ until: ({ connected }) => !connected }))
        yield* trimmed(running, a, b)
        proxy.resetAfter(Infinity)
        yield* isCounted(c, () => 8 + 203 - c.heard["a"]!.length - c.heard["b"]!.length)
        assert.deepStrictEqual(c.heard["a"], [1, 2, 3])
      })
    )

    it.live("when it reads a stream so late that it has been trimmed", () =>
      Effect.gen(function* () {
        const running = yield* redis()
        yield* Effect.promise(() => running.server.command("config", "set", "stream-node-max-entries", "10"))
        const a = yield* server("streams", yield* direct(running))
        const b = yield* server("streams", yield* direct(running))
        const service = yield* client("redis", running)
        const awake = yield* Latch.make(true)
        const slow: typeof service = {
          ...service,
          reader: (key) =>
            Effect.map(service.reader(key), (reader) => ({
              ...reader,
              command: (...args) => Effect.tap(reader.command(...args), () => awake.await)
            }))
        }
        Routes.register(slow, Routes.routesOf(service))
        const c = yield* server("streams", slow)
        for (const [from, sender] of Object.entries({ a, b })) yield* send(sender, from, range(1, 3))
        yield* wait("the first numbers", () => c.heard["a"]!.length + c.heard["b"]!.length === 6)
        awake.closeUnsafe()
        yield* trimmed(running, a, b)
        awake.openUnsafe()
        const metric = yield* lostMetric
        yield* isCounted(c, () => 8 + 203 - c.heard["a"]!.length - c.heard["b"]!.length)
        assert.isAbove((yield* lostMetric) - metric, 0)
        // One reply was on its way to it.
        assert.isAbove(8 - c.heard["a"]!.length, 0)
      })
    )
  }
)
