/**
 * The outbox of a server: order, pipelines, bounds, the fence, and what becomes of messages while Redis is away.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Scope } from "effect"

import { count } from "../support/extent.ts"
import { requires } from "../support/peers.ts"
import { client, clientKinds, isClusterKind, lost, wait } from "../support/redisClients.ts"
import { counted, isRising, numbers } from "../support/redisPublisher.ts"
import { redis } from "../support/redisServer.ts"

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

describe("The publisher", requires("Redis"), () => {
  for (const kind of clientKinds) {
    for (const isSharded of [false, true]) {
      it.live(`keeps the order of ${isSharded ? "a sharded channel" : "all channels"} through ${kind}`, () =>
        Effect.gen(function* () {
          const running = yield* redis(isClusterKind(kind) ? { masters: 3 } : {})
          const service = yield* client(kind, running)
          const heard = yield* numbers(yield* client(kind, running), "a", isSharded)
          const { dropped, publisher } = yield* counted(service)
          const total = count(20_000, 3_000)
          for (let n = 0; n < total; n++) {
            publisher.publish("a", String(n), isSharded)
            publisher.publish(`other ${n % 7}`, "-1", isSharded)
            if (n % 50 === 0) yield* turn
          }
          yield* wait("all messages", () => heard.length === total)
          assert.isTrue(isRising(heard))
          assert.deepStrictEqual(dropped, { overflow: 0, expired: 0, failed: 0 })
        })
      )
    }
  }

  it.live("sends what is published in one turn in one pipeline", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      const service = yield* client("redis", running)
      const { publisher } = yield* counted(service)
      const reads = () =>
        running.server.command("info", "stats").then((info) => Number(/total_reads_processed:(\d+)/.exec(info)![1]))
      publisher.publish("warm", "up", false)
      yield* wait("an empty outbox", () => publisher.waiting().commands === 0)
      const before = yield* Effect.promise(reads)
      for (let n = 0; n < 200; n++) publisher.publish("a", "b", false)
      yield* wait("an empty outbox", () => publisher.waiting().commands === 0)
      const after = yield* Effect.promise(reads)
      assert.isBelow(after - before, 20)
    })
  )

  it.live("gives the reply of a command, or none if it has failed", () =>
    Effect.gen(function* () {
      const service = yield* client("redis", yield* redis())
      const { dropped, publisher } = yield* counted(service)
      const replies: Array<unknown> = []
      publisher.add(["XADD", "log", "7-1", "a", Uint8Array.from([255])], "log", (reply) => void replies.push(reply))
      publisher.add(["XADD", "log", "7-1", "a", "b"], "log", (reply) => void replies.push(reply))
      yield* wait("both", () => replies.length === 2)
      assert.deepStrictEqual(replies, ["7-1", undefined])
      assert.strictEqual(dropped.failed, 1)
    })
  )

  it.live("keeps messages while Redis is away, and sends them in order when it is back", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      const { server } = running
      const service = yield* client("redis", running)
      const heard = yield* numbers(service, "a")
      const { dropped, publisher } = yield* counted(service)
      publisher.publish("a", "0", false)
      yield* wait("the first message", () => heard.length === 1)
      yield* Effect.promise(() => server.kill())
      yield* lost(service)
      for (let n = 1; n <= 500; n++) publisher.publish("a", String(n), false)
      assert.strictEqual(publisher.waiting().commands, 500)
      yield* Effect.promise(() => server.start())
      yield* wait("all messages", () => heard.length === 501)
      assert.isTrue(isRising(heard))
      assert.deepStrictEqual(dropped, { overflow: 0, expired: 0, failed: 0 })
      assert.deepStrictEqual(publisher.waiting(), { commands: 0, bytes: 0 })
    })
  )

  it.live("drops the oldest messages beyond its bytes, and counts them", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      const service = yield* client("redis", running)
      const heard = yield* numbers(service, "a")
      const { dropped, publisher } = yield* counted(service, { maxBytes: 10_000 })
      yield* Effect.promise(() => running.server.kill())
      yield* lost(service)
      for (let n = 0; n < 1_000; n++) publisher.publish("a", String(n), false)
      const { bytes, commands } = publisher.waiting()
      assert.isAtMost(bytes, 10_000)
      assert.strictEqual(dropped.overflow, 1_000 - commands)
      yield* Effect.promise(() => running.server.start())
      yield* wait("the rest", () => heard.length === commands)
      assert.strictEqual(heard.at(-1), 999)
      assert.isTrue(isRising(heard))
      publisher.publish("a", new Uint8Array(20_000), false)
      assert.strictEqual(dropped.overflow, 1_001 - commands)
    })
  )

  it.live("drops messages that have waited for too long, and counts them", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      const service = yield* client("redis", running)
      const { dropped, publisher } = yield* counted(service, { maxAge: "300 millis" })
      yield* Effect.promise(() => running.server.kill())
      yield* lost(service)
      const replies: Array<unknown> = []
      for (let n = 0; n < 10; n++) publisher.add(["PING"], "a", (reply) => void replies.push(reply))
      yield* wait("their end", () => dropped.expired === 10)
      assert.deepStrictEqual(
        replies,
        Array.from({ length: 10 }, () => undefined)
      )
      assert.deepStrictEqual(publisher.waiting(), { commands: 0, bytes: 0 })
    })
  )

  it.live("sends nothing after an outage until the fence has opened", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      const service = yield* client("redis", running)
      const heard = yield* numbers(service, "a")
      let fence = yield* Deferred.make<void>()
      const { publisher } = yield* counted(service, {
        fence: Effect.suspend(() => Deferred.await(fence)),
        fenceTimeout: "1 minute"
      })
      publisher.publish("a", "1", false)
      yield* service.command(["PUBLISH", "a", "0"])
      yield* wait("the command", () => heard.length === 1)
      yield* Deferred.succeed(fence, undefined)
      yield* wait("the first message", () => heard.length === 2)
      fence = yield* Deferred.make<void>()
      yield* Effect.promise(() => running.server.kill())
      yield* lost(service)
      publisher.publish("a", "3", false)
      yield* Effect.promise(() => running.server.start())
      yield* wait("the connection", () => service.isConnected())
      yield* service.command(["PUBLISH", "a", "2"])
      yield* Deferred.succeed(fence, undefined)
      yield* wait("all messages", () => heard.length === 4)
      assert.deepStrictEqual(heard, [0, 1, 2, 3])
    })
  )

  it.live("goes on without the fence after a time", () =>
    Effect.gen(function* () {
      const service = yield* client("redis", yield* redis())
      const heard = yield* numbers(service, "a")
      const { publisher } = yield* counted(service, { fence: Effect.never, fenceTimeout: "100 millis" })
      publisher.publish("a", "1", false)
      yield* wait("the message", () => heard.length === 1)
    })
  )

  it.live("has few pipelines under way while Redis does not answer, and counts those as failed when it gives up", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      const options = { pingInterval: "300 millis", pingTimeout: "600 millis", connectTimeout: "500 millis" } as const
      const service = yield* client("redis", running, options)
      const heard = yield* numbers(service, "a")
      const { dropped, publisher } = yield* counted(service, { maxPipelines: 2 })
      publisher.publish("a", "0", false)
      yield* wait("the first message", () => heard.length === 1)
      running.server.pause()
      for (let n = 1; n <= 100; n++) {
        publisher.publish("a", String(n), false)
        yield* turn
      }
      assert.strictEqual(publisher.waiting().commands, 98)
      yield* wait("the end of the connection", () => !service.isConnected(), 5_000)
      assert.strictEqual(dropped.failed, 2)
      running.server.resume()
      yield* wait("the other messages", () => heard.at(-1) === 100)
      assert.isTrue(isRising(heard))
      assert.isAtLeast(heard.length, 99)
      assert.deepStrictEqual(dropped, { overflow: 0, expired: 0, failed: 2 })
    })
  )

  it.live("sends what waits when its scope closes, and counts what it cannot send", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      const service = yield* client("redis", running)
      const heard = yield* numbers(service, "a")
      for (const isThere of [true, false]) {
        const scope = yield* Scope.make()
        const { dropped, publisher } = yield* counted(service).pipe(Scope.provide(scope))
        if (isThere) {
          publisher.publish("a", "1", false)
          yield* wait("the first message", () => heard.length === 1)
        } else {
          yield* Effect.promise(() => running.server.kill())
          yield* lost(service)
        }
        publisher.publish("a", "2", false)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(dropped.failed, isThere ? 0 : 1)
        if (isThere) yield* wait("the last message", () => heard.length === 2)
      }
    })
  )

  it.live("sends its first message when its scope closes, and need not wait for the fence then", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      const service = yield* client("redis", running)
      const heard = yield* numbers(service, "a")
      const fence = yield* Deferred.make<void>()
      let isOpen = false
      const scope = yield* Scope.make()
      const { dropped, publisher } = yield* counted(service, {
        fence: Effect.andThen(
          Effect.suspend(() => (isOpen ? Effect.never : Deferred.await(fence))),
          Effect.sync(() => (isOpen = true))
        ),
        fenceTimeout: "1 minute"
      }).pipe(Scope.provide(scope))
      yield* Deferred.succeed(fence, undefined)
      yield* wait("the fence", () => isOpen)
      publisher.publish("a", "1", false)
      yield* Scope.close(scope, Exit.void)
      yield* wait("the message", () => heard.length === 1)
      assert.strictEqual(dropped.failed, 0)
    })
  )

  it.live("sends what waits for the fence when its scope closes, after a second at most", () =>
    Effect.gen(function* () {
      const service = yield* client("redis", yield* redis())
      const heard = yield* numbers(service, "a")
      const scope = yield* Scope.make()
      const { dropped, publisher } = yield* counted(service, { fence: Effect.never, fenceTimeout: "1 minute" }).pipe(
        Scope.provide(scope)
      )
      publisher.publish("a", "1", false)
      const began = performance.now()
      yield* Scope.close(scope, Exit.void)
      assert.isBelow(performance.now() - began, 10_000)
      yield* wait("the message", () => heard.length === 1)
      assert.strictEqual(dropped.failed, 0)
    })
  )
})
