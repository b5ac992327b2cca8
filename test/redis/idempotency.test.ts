/**
 * Answers in Redis: servers that share one handle a message once, and a dead server's claim ends.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Logger, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Socket } from "socket.io-client"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as RetryingEmitter from "../../src/client/RetryingEmitter.ts"
import * as Event from "../../src/Event.ts"
import { Idempotency, type IdempotencyShape } from "../../src/idempotency/Idempotency.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisIdempotency from "../../src/redis/RedisIdempotency.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { isExhaustive, rows } from "../support/extent.ts"
import { answerOf, claim, handle, messagesOf } from "../support/idempotency.ts"
import { requires } from "../support/peers.ts"
import { client, type ClientKind, isClusterKind, wait } from "../support/redisClients.ts"
import { startRedis, until } from "../support/redisServer.ts"
import { call, connect, serve } from "../support/serve.ts"
import { useRedis } from "./servers.ts"

const message = messagesOf(60_000)

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

describe("answers in Redis", requires("Redis"), () => {
  const servers = useRedis()

  /** The service of a server of its own. */
  const server = (
    kind: ClientKind = "redis",
    options: RedisIdempotency.RedisIdempotencyOptions = {}
  ): Effect.Effect<IdempotencyShape, never, Scope.Scope> =>
    Effect.flatMap(servers.clientOf(kind), (service) =>
      Effect.orDie(Effect.provideService(RedisIdempotency.make(options), RedisClient.RedisClient, service))
    )

  for (const kind of rows<ClientKind>(["redis", "ioredis", "ioredis Cluster"], (kind) => kind === "redis")) {
    if (isClusterKind(kind) && !isExhaustive) continue
    it.live(`are those of all servers (${kind})`, () =>
      Effect.gen(function* () {
        const [a, b] = [yield* server(kind), yield* server(kind)]
        for (const id of ["one", "{braces}", "ä ö ü"]) {
          const first = yield* claim(a, message(`${kind} ${id}`))
          const here = yield* fork(answerOf(a, message(`${kind} ${id}`)))
          const there = yield* fork(answerOf(b, message(`${kind} ${id}`)))
          assert.strictEqual(first._tag, "Claimed")
          if (first._tag === "Claimed") yield* first.complete(`ä\u2028\ud800 "${id}"`.toWellFormed())
          yield* first.release
          const expected = `ä\u2028\ud800 "${id}"`.toWellFormed()
          assert.strictEqual(yield* Fiber.join(here), expected)
          assert.strictEqual(yield* Fiber.join(there), expected)
          assert.strictEqual(yield* answerOf(b, message(`${kind} ${id}`)), expected)
        }
      })
    )
  }

  it.live("are claimed by another server after a release, and not before", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* server(), yield* server()]
      const first = yield* claim(a, message("released"))
      const second = yield* fork(claim(b, message("released")))
      // It looks while the first one has the claim.
      yield* Effect.promise(() =>
        until("a look", async () => {
          const info = await servers.single.server.command("info", "commandstats")
          return /cmdstat_eval:calls=(\d+)/.test(info) ? true : undefined
        })
      )
      assert.isUndefined(second.pollUnsafe())
      yield* first.release
      assert.strictEqual((yield* Fiber.join(second))._tag, "Claimed")
    })
  )

  it.live("of a server that is gone are claimed by another one when the lease ends, which a living one renews", () =>
    Effect.gen(function* () {
      const b = yield* server("redis", { lease: "1 second" })
      const redis = yield* Scope.make()
      const a = yield* Scope.provide(server("redis", { lease: "1 second" }), redis)
      const first = yield* claim(a, message("lease"))
      assert.strictEqual(first._tag, "Claimed")
      const second = yield* fork(claim(b, message("lease")))
      // The claim is renewed: there is more time left than there was.
      yield* Effect.promise(async () => {
        const keys = (await servers.single.server.command("keys", "socket.io-once:*")).split("\n")
        const lefts = () =>
          Promise.all(keys.map(async (key) => Number(await servers.single.server.command("pttl", key))))
        let before = await lefts()
        await until("a renewal", async () => {
          const now = await lefts()
          const isRenewed = now.some((left, i) => left <= 1_000 && left > before[i]!)
          before = now
          return isRenewed ? true : undefined
        })
      })
      assert.isUndefined(second.pollUnsafe())
      // Its connection to Redis ends: it renews no more.
      yield* Scope.close(redis, Exit.void)
      const taken = yield* Fiber.join(second)
      assert.strictEqual(taken._tag, "Claimed")
      yield* taken.release
    })
  )

  it.live("stay with the server that has taken them over, and the one that comes back is told", () =>
    Effect.gen(function* () {
      const logs: Array<string> = []
      const logger = Layer.succeedContext(
        yield* Layer.build(Logger.layer([Logger.make(({ message }) => void logs.push(String(message)))]))
      )
      const a = yield* Effect.provide(server("redis", { lease: "1 second" }), logger)
      const b = yield* server()
      const first = yield* claim(a, message("stalled"))
      // A failover has lost the claim, and another server has made one of its own.
      const keys = (yield* Effect.promise(() => servers.single.server.command("keys", "socket.io-once:*"))).split("\n")
      for (const key of keys) {
        const value = yield* Effect.promise(() => servers.single.server.command("get", key))
        if (value.startsWith("c"))
          yield* Effect.promise(() => servers.single.server.command("set", key, "cother", "px", "60000"))
      }
      if (first._tag === "Claimed") yield* Effect.provide(first.complete("late"), logger)
      yield* first.release
      assert.isTrue(logs.some((line) => line.includes("may be handled twice")))
      // The late answer has not taken the place of the other's claim.
      const waiting = yield* fork(answerOf(b, message("stalled")))
      yield* Effect.sleep("100 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* Fiber.interrupt(waiting)
    })
  )

  it.live("are gone after their window, and where a server has added too many", () =>
    Effect.gen(function* () {
      const service = yield* server("redis", { key: "few", maxEntries: 3 })
      for (let i = 0; i < 10; i++) yield* handle(service, message(`${i}`), `${i}`)
      const keys = () => Effect.promise(() => servers.single.server.command("keys", "few-once:*"))
      assert.lengthOf((yield* keys()).split("\n"), 3)
      assert.strictEqual(yield* answerOf(service, message("9")), "9")
      yield* handle(service, message("short", { window: 50 }), "short")
      yield* Effect.promise(() =>
        until("the end of a window", async () =>
          (await servers.single.server.command("keys", "few-once:*")).split("\n").length === 2 ? true : undefined
        )
      )
    })
  )

  it.live("that another server has given since their window was over stay, and so do claims", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* server("redis", { key: "again" }), yield* server("redis", { key: "again" })]
      const keys = Effect.promise(() => servers.single.server.command("keys", "again-once:*"))
      for (const id of ["answered", "claimed"]) yield* handle(a, message(id, { window: 50 }), "before")
      yield* Effect.promise(() =>
        until("the end of the windows", async () => (await Effect.runPromise(keys)) === "" || undefined)
      )
      yield* handle(b, message("answered"), "after")
      const claimed = yield* claim(b, message("claimed"))
      yield* Effect.sleep("50 millis")
      // The first server drops what is over for it.
      yield* handle(a, message("another"), "another")
      assert.lengthOf((yield* keys).split("\n"), 3)
      assert.strictEqual(yield* answerOf(a, message("answered")), "after")
      yield* claimed.release
    })
  )

  it.live("refuse messages while Redis is away, and do not handle them", () =>
    Effect.gen(function* () {
      const own = yield* Effect.acquireRelease(
        Effect.promise(() => startRedis()),
        (running) => Effect.promise(() => running.stop())
      )
      const redis = yield* client("redis", own)
      const service = yield* Effect.provideService(
        RedisIdempotency.make({ timeout: "100 millis" }),
        RedisClient.RedisClient,
        redis
      )
      yield* Effect.promise(() => own.server.kill())
      const error = yield* Effect.flip(answerOf(service, message("a")))
      assert.strictEqual(error.reason._tag, "Unavailable")
      yield* Effect.promise(() => own.server.start())
      yield* wait("a connection", () => redis.isConnected())
      yield* handle(service, message("a"), "answer")
    })
  )

  it.live("serve two servers of one namespace, for the official client and for ours", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const started = yield* Deferred.make<void>()
      let runs = 0
      class Shop extends Namespace.make("/shop", {
        clientToServer: [
          Event.make("order", { payload: Schema.String, ack: Schema.Int, once: {} }),
          Event.make("slow", { ack: Schema.Int, once: {} })
        ]
      }) {}
      const ShopLive = SocketIoServer.layerNamespace(Shop, () =>
        Effect.succeed(
          Shop.of({
            order: () => Effect.sync(() => ++runs),
            slow: () =>
              Effect.suspend(() => {
                runs++
                return Deferred.succeed(started, undefined)
              }).pipe(Effect.andThen(Deferred.await(gate)), Effect.as(7))
          })
        )
      )
      const start = Effect.flatMap(server(), (service) =>
        serve(ShopLive.pipe(Layer.provide(Layer.succeed(Idempotency, service))))
      )
      const [one, two] = [yield* start, yield* start]
      const official = [yield* connect(`${one.url}/shop`), yield* connect(`${two.url}/shop`)]
      const id = "0f4c7d62-4e0f-4a43-9a0e-1c8f1c1f5b1a"
      for (const socket of [...official, ...official]) {
        assert.strictEqual(yield* call(socket, "order", "book", { id }), 1)
      }
      // While one server handles it, the other one waits.
      const slow = (socket: Socket) => fork(call(socket, "slow", { id }))
      const first = yield* slow(official[0]!)
      yield* Deferred.await(started)
      const second = yield* slow(official[1]!)
      assert.strictEqual(yield* call(official[1]!, "order", "book", { id }), 1)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(first), 7)
      assert.strictEqual(yield* Fiber.join(second), 7)
      assert.strictEqual(runs, 2)
      const ours = yield* Layer.build(SocketIoClient.layer({ url: two.url }))
      yield* Effect.provideContext(
        Effect.gen(function* () {
          const socket = yield* SocketIoClient.connect(Shop)
          const emitter = yield* RetryingEmitter.make(socket, { retries: 3, ackTimeout: "5 seconds" })
          assert.strictEqual(yield* emitter.emitWithAck("order", "book"), 3)
        }),
        ours
      )
    })
  )
})

describe("the lease of a claim", () => {
  it.effect("has a least length", () =>
    Effect.gen(function* () {
      const redis = {
        isConnected: () => true,
        onChange: () => () => {}
      } as unknown as RedisClient.RedisClient["Service"]
      const error = yield* Effect.flip(
        Effect.provideService(RedisIdempotency.make({ lease: "999 millis" }), RedisClient.RedisClient, redis)
      )
      assert.strictEqual(error.option, "lease")
      yield* TestClock.adjust(0)
    })
  )
})
