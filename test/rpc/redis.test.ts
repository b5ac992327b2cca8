/**
 * Calls and streams of clients of a cluster over Redis: through outages, to other servers and back. Each request is handled once, or its
 * client is told that it has failed.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, type Scope, Stream } from "effect"

import { makeRandom } from "../recovery/random.ts"
import { killConnections } from "../recovery/stormRedis.ts"
import { count } from "../support/extent.ts"
import { faultyProxy } from "../support/FaultyProxy.ts"
import { requires } from "../support/peers.ts"
import { type RunningServers, startRedis } from "../support/redisServer.ts"
import { type AdapterKind, connect, eventually, MAX_MESSAGE_BYTES, RpcCluster, type RpcPeer } from "./redisServers.ts"

describe("calls over Redis", requires("Redis"), () => {
  let redis: RunningServers
  let clusters = 0
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(() => redis?.stop())

  const it_ = (what: string, test: () => Effect.Effect<unknown, unknown, Scope.Scope>) =>
    it.live(what, () => Effect.scoped(test()) as Effect.Effect<void>, 60_000)

  const cluster = (kind: AdapterKind, url = redis.url) => new RpcCluster(kind, url, `rpc-${++clusters}`)
  const fork = (effect: Effect.Effect<unknown, any>) =>
    Effect.forkChild(Effect.exit(effect), { startImmediately: true })
  const hasFailed = (exit: Exit.Exit<unknown, any>): boolean => {
    const error = Exit.findErrorOption(exit)
    return error._tag === "Some" && error.value._tag === "RpcClientError"
  }

  for (const kind of ["classic", "streams"] as const) {
    describe(kind, () => {
      it_("an answer of the time of an outage comes with the client's return, and the request is handled once", () =>
        Effect.gen(function* () {
          const world = cluster(kind)
          const one = yield* world.start("one")
          const client = yield* connect(one)
          const first = yield* fork(client.calls.Ask({ n: 1 }))
          const second = yield* fork(client.calls.Ask({ n: 2 }))
          yield* eventually("the requests", () => world.seen.begun.length === 2)
          yield* client.cut()
          yield* world.answer(1)
          assert.isTrue(yield* client.back(one))
          assert.deepStrictEqual(yield* Fiber.join(first), Exit.succeed(1))
          yield* world.answer(2)
          assert.deepStrictEqual(yield* Fiber.join(second), Exit.succeed(2))
          assert.deepStrictEqual(world.seen.begun, ["1@one", "2@one"])
        })
      )

      it_("a stream goes on after an outage, without a gap", () =>
        Effect.gen(function* () {
          const world = cluster(kind)
          const one = yield* world.start("one")
          const client = yield* connect(one)
          const heard: Array<number> = []
          const reading = yield* fork(
            Stream.runForEach(client.calls.Numbers({ n: 1, count: 20 }), (i) => Effect.sync(() => void heard.push(i)))
          )
          yield* eventually("half of it", () => heard.length === 10)
          yield* client.cut()
          yield* world.answer(1)
          assert.isTrue(yield* client.back(one))
          assert.deepStrictEqual(yield* Fiber.join(reading), Exit.void)
          assert.deepStrictEqual(
            heard,
            Array.from({ length: 20 }, (_, i) => i + 1)
          )
          assert.deepStrictEqual(world.seen.begun, ["1@one"])
        })
      )

      it_("requests that were lost on their way are sent again, and each is handled once", () =>
        Effect.gen(function* () {
          const world = cluster(kind)
          const one = yield* world.start("one")
          const client = yield* connect(one)
          yield* client.cut("stall")
          const waiting = yield* fork(client.calls.Ask({ n: 1 }))
          // The server learns of the cut when the client is back.
          assert.isTrue(yield* client.back(one))
          yield* world.answer(1)
          assert.deepStrictEqual(yield* Fiber.join(waiting), Exit.succeed(1))
          assert.deepStrictEqual(world.seen.begun, ["1@one"])
        })
      )

      it_("a client that goes on at another server is told that its calls have failed; others are handled there", () =>
        Effect.gen(function* () {
          const world = cluster(kind)
          const one = yield* world.start("one", { maxDisconnection: "1 second" })
          const two = yield* world.start("two", { maxDisconnection: "1 second" })
          const client = yield* connect(one)
          const call = yield* fork(client.calls.Ask({ n: 1 }))
          const reading = yield* fork(Stream.runDrain(client.calls.Numbers({ n: 2, count: 4 })))
          yield* eventually("the requests", () => world.seen.begun.length === 2)
          yield* client.cut()
          const later = yield* fork(client.calls.Where())
          assert.strictEqual(yield* client.back(two), kind === "streams")
          for (const fiber of [call, reading]) assert.isTrue(hasFailed(yield* Fiber.join(fiber)))
          assert.deepStrictEqual(yield* Fiber.join(later), Exit.succeed("two"))
          assert.deepStrictEqual(world.seen.begun, ["1@one", "2@one"])
          // With Redis Streams the other server tells that it has the session. Without, the session expires.
          yield* eventually("the end of the handlers", () => world.seen.interrupted.length === 2)
          assert.deepStrictEqual(world.seen.interrupted.toSorted(), ["1@one", "2@one"])
        })
      )

      it_("a client that comes back to its former server is not taken for one that was there all the time", () =>
        Effect.gen(function* () {
          const world = cluster(kind)
          const one = yield* world.start("one")
          const two = yield* world.start("two")
          const client = yield* connect(one)
          const first = yield* fork(client.calls.Ask({ n: 1 }))
          yield* eventually("the first request", () => world.seen.begun.length === 1)
          yield* client.cut()
          yield* client.back(two)
          assert.isTrue(hasFailed(yield* Fiber.join(first)))
          const second = yield* fork(client.calls.Ask({ n: 2 }))
          yield* eventually("the second request", () => world.seen.begun.length === 2)
          yield* client.cut()
          yield* client.back(one)
          assert.isTrue(hasFailed(yield* Fiber.join(second)))
          assert.strictEqual(yield* client.calls.Where(), "one")
          assert.deepStrictEqual(world.seen.begun, ["1@one", "2@two"])
        })
      )

      it_("each request is handled once, or fails, while clients are cut off and connections of Redis are killed", () =>
        Effect.gen(function* () {
          const world = cluster(kind)
          const servers = [yield* world.start("one"), yield* world.start("two")] as const
          const { next } = makeRandom(7)
          let asked = 0
          const tally = { answered: 0, failed: 0 }
          const talk = Effect.fnUntraced(function* (client: RpcPeer, rounds: number) {
            let server = 0
            for (let round = 0; round < rounds; round++) {
              const numbers = Array.from({ length: 5 }, () => ++asked)
              const calls: Array<Fiber.Fiber<Exit.Exit<unknown, any>>> = []
              for (const n of numbers) calls.push(yield* fork(client.calls.Ask({ n })))
              if (next() < 0.3) yield* Effect.promise(() => killConnections(redis, next))
              if (next() < 0.7) yield* client.cut(next() < 0.5 ? "reset" : "stall")
              for (const n of numbers) yield* world.answer(n)
              if (next() < 0.3) server = 1 - server
              yield* client.back(servers[server]!)
              for (const [i, call] of calls.entries()) {
                const exit = yield* Fiber.join(call)
                if (Exit.isSuccess(exit)) assert.strictEqual(exit.value, numbers[i])
                else assert.isTrue(hasFailed(exit), String(exit))
                tally[Exit.isSuccess(exit) ? "answered" : "failed"]++
              }
            }
          })
          const clients = yield* Effect.forEach([0, 1, 0, 1], (at) => connect(servers[at]!))
          yield* Effect.forEach(clients, (client) => talk(client, count(20, 6)), { concurrency: "unbounded" })
          const begun = world.seen.begun.map((entry) => Number(entry.split("@")[0]))
          assert.lengthOf(begun, new Set(begun).size, "handled twice")
          assert.isAbove(tally.answered, asked / 4)
        })
      )
    })
  }

  it_("an answer that is too large for the stream is a defect of its call, and of no other", () =>
    Effect.gen(function* () {
      const world = cluster("streams")
      const one = yield* world.start("one")
      const client = yield* connect(one)
      const length = MAX_MESSAGE_BYTES
      const [other, there, away] = [
        yield* fork(client.calls.Ask({ n: 1 })),
        yield* fork(client.calls.Text({ n: 2, length })),
        yield* fork(client.calls.Text({ n: 3, length }))
      ]
      yield* eventually("the requests", () => world.seen.begun.length === 3)
      const isRefused = (exit: Exit.Exit<unknown, any>) => {
        assert.isTrue(Exit.hasDies(exit), String(exit))
        assert.match(String(exit), /no server would read this message/)
      }
      isRefused(yield* Effect.exit(Stream.runDrain(client.calls.Texts({ lengths: [1, length, 2] }))))
      yield* world.answer(2)
      isRefused(yield* Fiber.join(there))
      yield* client.cut()
      yield* world.answer(3)
      assert.isTrue(yield* client.back(one))
      isRefused(yield* Fiber.join(away))
      yield* world.answer(1)
      assert.deepStrictEqual(yield* Fiber.join(other), Exit.succeed(1))
    })
  )

  /** Sends of a server are on their way. */
  const turns = Effect.promise(async () => {
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve))
  })

  for (const isAway of [false, true]) {
    it_(
      `a call whose answer is lost on its way to the stream fails, and its client is ${isAway ? "away" : "there"}`,
      () =>
        Effect.gen(function* () {
          const proxy = yield* faultyProxy(redis.url)
          const world = cluster("streams", proxy.url.replace("http", "redis"))
          const one = yield* world.start("one")
          const client = yield* connect(one)
          const call = yield* fork(client.calls.Ask({ n: 1 }))
          const other = yield* fork(client.calls.Ask({ n: 2 }))
          yield* eventually("the requests", () => world.seen.begun.length === 2)
          if (isAway) yield* client.cut()
          proxy.strand()
          yield* world.answer(1)
          yield* turns
          proxy.reset()
          if (isAway) assert.isTrue(yield* client.back(one))
          for (const fiber of [call, other]) assert.isTrue(hasFailed(yield* Fiber.join(fiber)))
          yield* eventually("the end of the other handler", () => world.seen.interrupted.length === 1)
          assert.strictEqual(yield* client.calls.Where(), "one")
          assert.deepStrictEqual([world.seen.begun, world.seen.interrupted], [["1@one", "2@one"], ["2@one"]])
        })
    )
  }
})
