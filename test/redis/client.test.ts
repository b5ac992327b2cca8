/**
 * The client of Redis, over each client library, against real servers.
 */
import type { EventEmitter } from "node:events"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Fiber, Result, type Scope } from "effect"
import { Cluster, Redis } from "ioredis"
import { createClient, createCluster } from "redis"

import * as RedisClient from "../../src/redis/RedisClient.ts"
import type { SubscriptionKind } from "../../src/redis/RedisCommand.ts"
import { count } from "../support/extent.ts"
import { requires } from "../support/peers.ts"
import {
  client,
  clientKinds,
  isClusterKind,
  type OlderKind,
  olderKinds,
  wait,
  type ClientKind
} from "../support/redisClients.ts"
import { startRedis, type RunningServers } from "../support/redisServer.ts"

type Service = RedisClient.RedisClient["Service"]

let single: RunningServers
let cluster: RunningServers

/** The servers are the same for all tests: each begins with empty ones. */
const serversFor = (kind: ClientKind | OlderKind): Effect.Effect<RunningServers> =>
  Effect.promise(async () => {
    const running = isClusterKind(kind) ? cluster : single
    await Promise.all(running.servers.map((server) => server.command("flushall")))
    return running
  })

/** Every connection of all clients of the servers is cut. */
const killClients = ({ servers }: RunningServers) =>
  Effect.promise(() =>
    Promise.all(
      servers.map(async (one) => {
        // One after the other: each command is a normal client of its own.
        for (const type of ["pubsub", "normal"]) await one.command("client", "kill", "type", type)
      })
    )
  )

interface Heard {
  readonly messages: Array<[string, Uint8Array]>
  readonly states: Array<"confirmed" | "interrupted">
  readonly subscription: RedisClient.Subscription
}

const hear = (service: Service, kind: SubscriptionKind, name: string): Effect.Effect<Heard> =>
  Effect.gen(function* () {
    const messages: Heard["messages"] = []
    const states: Heard["states"] = []
    const subscription = service.subscribe(kind, name, {
      onMessage: (channel, message) => void messages.push([channel, message]),
      onConfirmed: () => void states.push("confirmed"),
      onInterrupted: () => void states.push("interrupted")
    })
    yield* wait("a subscription", () => subscription.isConfirmed())
    return { messages, states, subscription }
  })

describe("Redis", requires("Redis"), () => {
  beforeAll(async () => {
    single = await startRedis()
    cluster = await startRedis({ masters: 3 })
  })
  afterAll(async () => {
    await single?.stop()
    await cluster?.stop()
  })

  describe.each([...clientKinds, ...olderKinds])("through %s", (kind) => {
    it.live("executes commands in order and gives raw replies, as text or bytes", () =>
      Effect.gen(function* () {
        const service = yield* client(kind, yield* serversFor(kind))
        const bytes = Uint8Array.from([0, 255, 128, 13, 10, 36])
        const key = { key: "{k}" }
        const replies = yield* service.execute(
          [
            ["SET", "{k}a", "ä", "PX", "60000"],
            ["GET", "{k}a"],
            ["GET", "{k}none"],
            ["XADD", "{k}s", "1-1", "f", bytes],
            ["DEL", "{k}a"]
          ],
          key
        )
        assert.deepStrictEqual(replies, ["OK", "ä", null, "1-1", 1])
        const range = yield* service.command(["XRANGE", "{k}s", "-", "+"], { ...key, bytes: true })
        assert.deepStrictEqual(range, [[Buffer.from("1-1"), [Buffer.from("f"), Buffer.from(bytes)]]])
      })
    )

    it.live("fails with the error that Redis answers, and goes on", () =>
      Effect.gen(function* () {
        const service = yield* client(kind, yield* serversFor(kind))
        yield* service.command(["SET", "text", "a"], { key: "text" })
        const result = yield* Effect.result(service.command(["INCR", "text"], { key: "text" }))
        assert.isTrue(Result.isFailure(result) && result.failure.reason._tag === "Refused")
        assert.strictEqual(yield* service.command(["GET", "text"], { key: "text" }), "a")
      })
    )

    for (const target of ["channel", "pattern", "sharded"] as const) {
      it.live(`hears what is published to a ${target}, byte for byte and in order`, () =>
        Effect.gen(function* () {
          const running = yield* serversFor(kind)
          const service = yield* client(kind, running)
          const other = yield* client(kind, running)
          const { messages } = yield* hear(service, target, target === "pattern" ? "a#*" : "a#b#")
          const publish = target === "sharded" ? "SPUBLISH" : "PUBLISH"
          const total = count(2_000, 300)
          const bodyOf = (n: number) => Uint8Array.from([n & 255, n >> 8, 0, 255, 13, 10, 0xc3, 0x28])
          for (let n = 0; n < total; n += 100) {
            const batch = Array.from({ length: 100 }, (_, i) => [publish, "a#b#", bodyOf(n + i)])
            yield* other.execute(batch, target === "sharded" ? { key: "a#b#" } : {})
          }
          yield* wait("all messages", () => messages.length === total)
          messages.forEach(([channel, message], n) => {
            assert.strictEqual(channel, "a#b#")
            assert.deepStrictEqual([...message], [...bodyOf(n)])
          })
        })
      )
    }

    it.live("counts subscribers, and no longer those that have left", () =>
      Effect.gen(function* () {
        const running = yield* serversFor(kind)
        const one = yield* client(kind, running)
        const two = yield* client(kind, running)
        const heard = yield* hear(one, "channel", "c")
        yield* hear(two, "channel", "c")
        yield* hear(two, "sharded", "s")
        assert.strictEqual(yield* one.numSub("c", false), 2)
        assert.strictEqual(yield* one.numSub("s", true), 1)
        assert.strictEqual(yield* one.numSub("s", false), 0)
        heard.subscription.unsubscribe()
        yield* one
          .numSub("c", false)
          .pipe(Effect.repeat({ until: (servers) => servers === 1 }), Effect.timeout("5 seconds"))
      })
    )

    it.live("subscribes and unsubscribes the same name many times, also within one turn", () =>
      Effect.gen(function* () {
        const service = yield* client(kind, yield* serversFor(kind))
        const handlers = { onMessage: () => {} }
        for (let round = 0; round < 20; round++) {
          service.subscribe("sharded", "room", handlers).unsubscribe()
          const first = service.subscribe("sharded", "room", handlers)
          if (round % 2 === 0) yield* wait("a subscription", () => first.isConfirmed())
          first.unsubscribe()
          if (round % 3 === 0) yield* Effect.yieldNow
        }
        const { messages } = yield* hear(service, "sharded", "room")
        yield* service.command(["SPUBLISH", "room", "x"], { key: "room" })
        yield* wait("the message", () => messages.length === 1)
        assert.strictEqual(yield* service.numSub("room", true), 1)
      })
    )

    it.live("subscribes again after its connections were killed, and says so", () =>
      Effect.gen(function* () {
        const running = yield* serversFor(kind)
        const service = yield* client(kind, running)
        const classic = yield* hear(service, "pattern", "a*")
        const sharded = yield* hear(service, "sharded", "s")
        yield* killClients(running)
        for (const { states } of [classic, sharded]) {
          yield* wait("the next confirmation", () => states.length === 3)
          assert.deepStrictEqual(states, ["confirmed", "interrupted", "confirmed"])
        }
        yield* wait("the connection", () => service.isConnected())
        yield* service.command(["PUBLISH", "ab", "1"])
        yield* service.command(["SPUBLISH", "s", "2"], { key: "s" })
        yield* wait("both messages", () => classic.messages.length === 1 && sharded.messages.length === 1)
      })
    )

    it.live("reads a stream with a blocking command on a connection of its own", () =>
      Effect.gen(function* () {
        const service = yield* client(kind, yield* serversFor(kind))
        const reader = yield* service.reader("log")
        yield* reader.whenUp
        const read = (block: string) =>
          reader.command(["XREAD", "BLOCK", block, "STREAMS", "log", "0-0"], { bytes: true, timeout: "10 seconds" })
        assert.isNull(yield* read("50"))
        const fiber = yield* Effect.forkChild(read("10000"), { startImmediately: true })
        yield* service.command(["XADD", "log", "5-1", "k", Uint8Array.from([255])], { key: "log" })
        const reply = yield* Fiber.join(fiber)
        assert.deepStrictEqual(reply, [
          [Buffer.from("log"), [[Buffer.from("5-1"), [Buffer.from("k"), Buffer.from([255])]]]]
        ])
      })
    )
  })
})

describe("An application's client of Redis", () => {
  const target = { host: "127.0.0.1", port: 1 }
  const clients: Record<
    ClientKind,
    () => readonly [EventEmitter, Effect.Effect<Service, never, Scope.Scope>, close?: () => void]
  > = {
    redis: () => {
      const made = createClient({ socket: target })
      return [made, RedisClient.fromNodeRedis(made)]
    },
    "redis cluster": () => {
      const made = createCluster({ rootNodes: [{ socket: target }] })
      return [made, RedisClient.fromNodeRedisCluster(made), () => made.destroy()]
    },
    ioredis: () => {
      const made = new Redis({ ...target, lazyConnect: true })
      return [made, RedisClient.fromIoredis(made)]
    },
    "ioredis Cluster": () => {
      const made = new Cluster([target], { lazyConnect: true })
      return [made, RedisClient.fromIoredisCluster(made), () => made.disconnect()]
    }
  }

  it.live.each(clientKinds)("may have errors without a listener, also after the end of ours, as %s", (kind) =>
    Effect.gen(function* () {
      const [made, service, close = () => {}] = clients[kind]()
      yield* Effect.addFinalizer(() => Effect.sync(close))
      for (let i = 0; i < 3; i++) {
        yield* Effect.scoped(
          Effect.andThen(
            service,
            Effect.sync(() => made.emit("error", new Error("now")))
          )
        )
        // Without a listener, this would throw.
        made.emit("error", new Error("later"))
        assert.strictEqual(made.listenerCount("error"), 1)
      }
    })
  )
})
