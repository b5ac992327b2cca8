/**
 * The directory of servers in Redis.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Option, Scope } from "effect"
import { TestClock } from "effect/testing"

import type { NodeAddress, NodeDirectoryShape } from "../../src/engine/NodeDirectory.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import type { Command, Reply } from "../../src/redis/RedisCommand.ts"
import * as RedisNodeDirectory from "../../src/redis/RedisNodeDirectory.ts"
import { requires } from "../support/peers.ts"
import { client } from "../support/redisClients.ts"
import { type RunningServers, startRedis, until } from "../support/redisServer.ts"

const address: NodeAddress = { host: "10.0.0.7", port: 4_000, secret: "s1" }
const other: NodeAddress = { host: "10.0.0.8", port: 4_000, secret: "s2" }

/** A Redis that answers as it is told, and counts. */
const fake = (answer: (command: Command) => Reply) => {
  const commands: Array<Command> = []
  const service = {
    isConnected: () => true,
    onChange: () => () => {},
    command: (command: Command) =>
      Effect.sync(() => {
        commands.push(command)
        return answer(command)
      })
  } as unknown as RedisClient.RedisClient["Service"]
  return { commands, layer: Layer.succeed(RedisClient.RedisClient, service) }
}

describe("lookups in the directory", () => {
  const json = JSON.stringify(address)
  const directory = (answer: (command: Command) => Reply, options?: RedisNodeDirectory.RedisNodeDirectoryOptions) =>
    Effect.gen(function* () {
      const { commands, layer } = fake(answer)
      return { commands, ...(yield* Effect.provide(RedisNodeDirectory.make(options), layer)) }
    })

  it.effect("are answered from memory for a while, whether there is a server or not", () =>
    Effect.gen(function* () {
      const { commands, lookup } = yield* directory((command) => (String(command[1]).endsWith("here") ? json : ""))
      for (let round = 1; round <= 3; round++) {
        for (let i = 0; i < 10; i++) {
          assert.deepStrictEqual(yield* lookup("here"), Option.some(address))
          assert.deepStrictEqual(yield* lookup("none"), Option.none())
        }
        assert.strictEqual(commands.length, 2 * round)
        yield* TestClock.adjust("1001 millis")
      }
    })
  )

  it.effect("of the same tag at once are one", () =>
    Effect.gen(function* () {
      const { commands, lookup } = yield* directory(() => json)
      yield* Effect.all([lookup("here"), lookup("here"), lookup("here")], { concurrency: "unbounded" })
      assert.strictEqual(commands.length, 1)
    })
  )

  it.effect("of what is no tag ask nobody", () =>
    Effect.gen(function* () {
      const { commands, lookup } = yield* directory(() => json)
      for (const tag of ["", "abc", "abcde", "a:b*", "äbcd"]) assert.isTrue(Option.isNone(yield* lookup(tag)))
      assert.strictEqual(commands.length, 0)
    })
  )

  it.effect("are limited in a second, and fail beyond that", () =>
    Effect.gen(function* () {
      const { commands, lookup } = yield* directory(() => "", { maxLookups: 50 })
      const flood = (from: number) =>
        Effect.forEach(Array.from({ length: 500 }), (_, n) => Effect.exit(lookup(String(from + n).padStart(4, "0"))))
      const exits = yield* flood(0)
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 50)
      assert.strictEqual(commands.length, 50)
      yield* TestClock.adjust("1 second")
      yield* flood(1_000)
      assert.strictEqual(commands.length, 100)
    })
  )

  it.effect("keep a bounded number of answers", () =>
    Effect.gen(function* () {
      const { commands, lookup } = yield* directory(() => "", { maxCached: 10, maxLookups: 10_000 })
      for (let n = 0; n < 100; n++) yield* lookup(String(n).padStart(4, "0"))
      const before = commands.length
      for (let n = 90; n < 100; n++) yield* lookup(String(n).padStart(4, "0"))
      assert.strictEqual(commands.length, before)
      yield* lookup("0000")
      assert.strictEqual(commands.length, before + 1)
    })
  )

  it.effect("find nothing in what is no address", () =>
    Effect.gen(function* () {
      const hostile: ReadonlyArray<Reply> = [
        "",
        "{",
        "null",
        "[]",
        '"x"',
        "{}",
        JSON.stringify({ ...address, port: 0 }),
        JSON.stringify({ ...address, port: 65_536 }),
        JSON.stringify({ ...address, port: "4000" }),
        JSON.stringify({ ...address, host: "" }),
        JSON.stringify({ ...address, host: ["a"] }),
        JSON.stringify({ host: "a", port: 1 }),
        JSON.stringify({ path: "/run/other.sock", secret: "s" }),
        JSON.stringify({ ...address, secret: "x".repeat(2_048) }).slice(0, 2_049),
        "[".repeat(2_049),
        null,
        7,
        ["a"]
      ]
      let reply: Reply = ""
      const { lookup } = yield* directory(() => reply)
      for (const [n, value] of hostile.entries()) {
        reply = value
        assert.isTrue(Option.isNone(yield* lookup(String(n).padStart(4, "0"))), JSON.stringify(value))
      }
    })
  )
})

describe("the directory in Redis", requires("Redis"), () => {
  let running: RunningServers
  beforeAll(async () => {
    running = await startRedis()
  })
  afterAll(() => running?.stop())

  const directory = (options: RedisNodeDirectory.RedisNodeDirectoryOptions = {}) =>
    Effect.gen(function* () {
      yield* Effect.promise(() => running.server.command("flushall"))
      return yield* another(options)
    })
  const another = (options: RedisNodeDirectory.RedisNodeDirectoryOptions = {}) =>
    Effect.gen(function* () {
      const redis = yield* client("redis", running)
      return yield* Effect.provideService(
        RedisNodeDirectory.make({ cacheTime: "0 millis", ...options }),
        RedisClient.RedisClient,
        redis
      )
    })
  const raw = (...args: ReadonlyArray<string>) => Effect.promise(() => running.server.command(...args))
  const becomes = (what: string, holds: () => Promise<boolean>) =>
    Effect.promise(() => until(what, async () => (await holds()) || undefined))
  const finds = ({ lookup }: NodeDirectoryShape, expected: NodeAddress | undefined) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* lookup("tag1"), Option.fromNullishOr(expected))
    })

  it.live("has a server as long as its scope, for all other servers", () =>
    Effect.gen(function* () {
      const one = yield* directory()
      const two = yield* another()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* one.register("tag1", address)
          yield* finds(one, address)
          yield* finds(two, address)
          assert.isAtMost(Number(yield* raw("pttl", "socket.io-node:tag1")), 10_000)
        })
      )
      yield* finds(two, undefined)
      assert.strictEqual(yield* raw("dbsize"), "0")
    })
  )

  it.live("gives a tag to one of several servers that want it at the same time", () =>
    Effect.gen(function* () {
      const one = yield* directory()
      const attempts = yield* Effect.all(
        Array.from({ length: 5 }, (_, n) => Effect.exit(one.register("tag1", { ...address, secret: `s${n}` }))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(attempts.filter(Exit.isSuccess).length, 1)
      for (const exit of attempts) {
        if (Exit.isFailure(exit)) assert.strictEqual((exit.cause.reasons[0] as any).error._tag, "TagTakenError")
      }
    })
  )

  it.live("refreshes the entry, and writes it again after Redis has lost it", () =>
    Effect.gen(function* () {
      const one = yield* directory({ timeToLive: "3 seconds" })
      yield* one.register("tag1", address)
      yield* raw("flushall")
      yield* becomes("the entry", async () => (await running.server.command("dbsize")) === "1")
      yield* finds(one, address)
      const timeToLive = async () => Number(await running.server.command("pttl", "socket.io-node:tag1"))
      let last = yield* Effect.promise(timeToLive)
      yield* becomes("a refresh", async () => {
        const before = last
        last = await timeToLive()
        return last > before
      })
    })
  )

  it.live("writes the entry again as soon as Redis is back", () =>
    Effect.gen(function* () {
      const one = yield* directory({ timeToLive: "10 minutes" })
      yield* one.register("tag1", address)
      yield* Effect.promise(() => running.server.kill())
      yield* Effect.promise(() => running.server.start())
      yield* becomes("the entry", async () => (await running.server.command("dbsize")) === "1")
      yield* finds(one, address)
    })
  )

  it.live("forgets a server that has died", () =>
    Effect.gen(function* () {
      const one = yield* directory()
      // A server that no longer refreshes its entry.
      yield* raw("set", "socket.io-node:tag1", JSON.stringify(address), "px", "1500")
      yield* finds(one, address)
      yield* becomes("the end", async () => (await running.server.command("dbsize")) === "0")
      yield* finds(one, undefined)
    })
  )

  it.live("leaves the entry of another server that has the tag by now", () =>
    Effect.gen(function* () {
      const one = yield* directory({ timeToLive: "1 second" })
      const scope = yield* Scope.make()
      yield* Scope.provide(one.register("tag1", address), scope)
      yield* raw("set", "socket.io-node:tag1", JSON.stringify(other))
      yield* raw("config", "resetstat")
      const stats = () => running.server.command("info", "commandstats")
      yield* becomes("two refreshes", async () => Number(/cmdstat_eval:calls=(\d+)/.exec(await stats())?.[1]) >= 2)
      yield* finds(one, other)
      yield* Scope.close(scope, Exit.void)
      yield* finds(one, other)
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.live("fails without Redis, and closes its scope soon", () =>
    Effect.gen(function* () {
      const one = yield* directory({ timeout: "200 millis" })
      const scope = yield* Scope.make()
      yield* Scope.provide(one.register("tag1", address), scope)
      yield* Effect.promise(() => running.server.kill())
      assert.strictEqual((yield* Effect.flip(one.lookup("tag1")))._tag, "NodeDirectoryError")
      const error = yield* Effect.flip(Effect.scoped(one.register("tag2", address)))
      assert.strictEqual(error._tag, "NodeDirectoryError")
      yield* Effect.timeout(Scope.close(scope, Exit.void), "5 seconds")
      yield* Effect.promise(() => running.server.start())
    })
  )

  it.live("reads the beginning of a value that is no address, whatever its size, and survives another type", () =>
    Effect.gen(function* () {
      const one = yield* directory()
      yield* raw("setrange", "socket.io-node:tag1", "50000000", "x")
      yield* finds(one, undefined)
      yield* raw("del", "socket.io-node:tag1")
      yield* raw("lpush", "socket.io-node:tag1", "x")
      assert.strictEqual((yield* Effect.flip(one.lookup("tag1")))._tag, "NodeDirectoryError")
    })
  )
})
