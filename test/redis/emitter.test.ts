/**
 * Emitters that are no servers: what they write, whom they reach, and what they say when Redis is not there.
 */
import { afterAll, assert, beforeAll, beforeEach, describe, it } from "@effect/vitest"
import { Emitter } from "@socket.io/redis-emitter"
import { Cause, Config, ConfigProvider, Effect, Exit, Fiber, Layer, Result, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { createClient } from "redis"

import * as Binary from "../../src/Binary.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import type * as EmitterOperator from "../../src/redis/EmitterOperator.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import type { Command } from "../../src/redis/RedisCommand.ts"
import * as RedisEmitter from "../../src/redis/RedisEmitter.ts"
import { RedisError } from "../../src/redis/RedisError.ts"
import { ownEmitter } from "../cluster/emitters.ts"
import { type Cluster, startCluster } from "../cluster/nodes.ts"
import { emitterOperations, type ExternalEmitter, World } from "../cluster/operations.ts"
import { isExhaustive, isFull } from "../support/extent.ts"
import { requires } from "../support/peers.ts"
import { redis, type RunningServers, until } from "../support/redisServer.ts"

type EmitterLayer = Layer.Layer<RedisEmitter.RedisEmitter, never, RedisClient.RedisClient>

class Shop extends Namespace.make("/shop", {
  serverToClient: [
    Event.make("price", { payload: { symbol: Schema.String, at: Schema.DateFromString } }),
    Event.make("picture", { args: [Schema.String, Binary.Bytes] }),
    Event.make("closed")
  ],
  serverToServer: [Event.make("reload", { payload: Schema.Int })]
}) {}

class Desk extends Namespace.dynamic("/desk/:id", {
  params: { id: Schema.FiniteFromString },
  serverToClient: [Event.make("note", { payload: Schema.String })]
}) {}

/** A Redis that only records. */
const recorder = () => {
  const commands: Array<Command> = []
  const service = {
    isConnected: () => true,
    command: (command: Command) => Effect.sync(() => (commands.push(command), 1))
  } as unknown as RedisClient.RedisClient["Service"]
  return { commands, layer: Layer.succeed(RedisClient.RedisClient, service) }
}

/** The commands that an emitter writes for an effect. */
const written = (
  emitter: EmitterLayer,
  effect: Effect.Effect<unknown, RedisError, RedisEmitter.RedisEmitter>
): Effect.Effect<ReadonlyArray<Command>, RedisError> => {
  const { commands, layer } = recorder()
  return Effect.as(Effect.provide(effect, Layer.provide(emitter, layer)), commands)
}

const legible = ([name, channel, body]: Command) => [name, channel, Buffer.from(body!).toString("latin1")]

type Untyped = EmitterOperator.EmitterNamespace<Namespace.Untyped>

const bytes = Uint8Array.from([1, 2, 255])

const same: Record<
  string,
  readonly [official: (emitter: Emitter) => void, ours: (chat: Untyped) => Effect.Effect<void, RedisError>]
> = {
  "an event to all": [(emitter) => emitter.emit("hi", 1, "two", null), (chat) => chat.emit("hi", 1, "two", null)],
  "an event without arguments": [(emitter) => emitter.emit("hi"), (chat) => chat.all.emit("hi")],
  "bytes to a room": [
    (emitter) => emitter.to("a").emit("hi", { deep: [Buffer.from(bytes)] }),
    (chat) => chat.to("a").emit("hi", { deep: [bytes] })
  ],
  "an event to two rooms except another": [
    (emitter) => emitter.to(["a", "b"]).except("c").emit("hi", 1.5),
    (chat) => chat.to("a").in("b").except(["c"]).emit("hi", 1.5)
  ],
  "an event to a room that is named twice": [
    (emitter) => emitter.to("a").to("a").emit("hi"),
    (chat) => chat.to("a").to("a").emit("hi")
  ],
  "a volatile event without compression": [
    (emitter) => emitter.volatile.compress(false).emit("hi"),
    (chat) => chat.volatile.compress(false).emit("hi")
  ],
  "a join": [(emitter) => emitter.in("a").socketsJoin("b"), (chat) => chat.in("a").socketsJoin("b")],
  "a leave": [
    (emitter) => emitter.except("a").socketsLeave(["b", "c"]),
    (chat) => chat.except("a").socketsLeave(["b", "c"])
  ],
  "a disconnection": [(emitter) => emitter.disconnectSockets(true), (chat) => chat.disconnectSockets({ close: true })],
  "an event between servers": [
    (emitter) => emitter.serverSideEmit("reload", { all: true }),
    (chat) => chat.serverSideEmit("reload", { all: true })
  ]
}

describe("an emitter in the classic format", () => {
  for (const [name, [official, ours]] of Object.entries(same)) {
    it.effect(`writes ${name} with the bytes of the official emitter`, () =>
      Effect.gen(function* () {
        const expected: Array<Command> = []
        const publish = (channel: string, body: string | Buffer) =>
          void expected.push(["PUBLISH", channel, Buffer.from(body)])
        official(new Emitter({ publish }, { key: "k" }).of("/chat"))
        const commands = yield* written(
          RedisEmitter.layer({ key: "k" }),
          Effect.flatMap(RedisEmitter.namespace("/chat"), ours)
        )
        assert.deepStrictEqual(commands.map(legible), expected.map(legible))
      })
    )
  }

  it.effect("writes nothing for nobody", () =>
    Effect.gen(function* () {
      const commands = yield* written(
        RedisEmitter.layer(),
        Effect.gen(function* () {
          const chat = yield* RedisEmitter.namespace("/chat")
          yield* chat.to([]).emit("hi")
          yield* chat.to([]).socketsJoin("a")
          yield* chat.to([]).disconnectSockets()
        })
      )
      assert.deepStrictEqual(commands, [])
    })
  )
})

describe("an emitter of a contract", () => {
  it.effect("encodes payloads by their schemas", () =>
    Effect.gen(function* () {
      const commands = yield* written(
        RedisEmitter.layerStreams({ streamName: "log", maxLen: 5 }),
        Effect.gen(function* () {
          const shop = yield* RedisEmitter.namespace(Shop)
          yield* shop.to("board").emit("price", { symbol: "ACME", at: new Date(0) })
          yield* shop.emit("picture", ["a", bytes])
          yield* shop.emit("closed")
          yield* shop.serverSideEmit("reload", 7)
        })
      )
      // Once, it asks for how long servers need the entries.
      const [question, price, picture, closed, reload] = commands
      assert.deepStrictEqual([question![0], question![3]], ["EVAL", "{log}:retention"])
      assert.lengthOf(commands, 5)
      const entry = ["XADD", "log", "MAXLEN", "~", "5", "*", "uid", "emitter", "nsp", "/shop", "type"]
      const board = { rooms: ["board"], except: [], flags: {} }
      assert.deepStrictEqual(price, [
        ...entry,
        "3",
        "data",
        JSON.stringify({
          packet: { type: 2, data: ["price", { symbol: "ACME", at: "1970-01-01T00:00:00.000Z" }] },
          opts: board
        })
      ])
      assert.include(Buffer.from(String(picture!.at(-1)), "base64").toString("latin1"), "\xc4\x03\x01\x02\xff")
      assert.include(String(closed!.at(-1)), '{"type":2,"data":["closed"]}')
      assert.deepStrictEqual(reload, [...entry, "9", "data", '{"packet":["reload",7]}'])
    })
  )

  it.effect("takes the sharded channels of the servers' mode", () =>
    Effect.gen(function* () {
      const emits = Effect.gen(function* () {
        const shop = yield* RedisEmitter.namespace(Shop)
        yield* shop.to("board").emit("closed")
        yield* shop.to("board").to("other").emit("closed")
        yield* shop.to("board").socketsJoin("x")
        yield* shop.to("x".repeat(20)).emit("closed")
      })
      const channels = (commands: ReadonlyArray<Command>) => commands.map(([name, channel]) => `${name} ${channel}`)
      const all = "SPUBLISH socket.io#/shop#"
      assert.deepStrictEqual(channels(yield* written(RedisEmitter.layerSharded(), emits)), [
        `${all}board#`,
        all,
        all,
        all
      ])
      assert.deepStrictEqual(
        channels(yield* written(RedisEmitter.layerSharded({ subscriptionMode: "static" }), emits)),
        [all, all, all, all]
      )
    })
  )

  it.effect("emits in a namespace of a dynamic contract", () =>
    Effect.gen(function* () {
      const desk = (id: number) =>
        Effect.flatMap(RedisEmitter.dynamicNamespace(Desk, { id }), (it) => it.emit("note", "x"))
      const [command] = yield* written(RedisEmitter.layer(), desk(7))
      assert.strictEqual(command![1], "socket.io#/desk/7#")
    })
  )

  it.effect("feeds a sink with a stream's payloads, in their order", () =>
    Effect.gen(function* () {
      const commands = yield* written(
        RedisEmitter.layerStreams(),
        Effect.gen(function* () {
          const shop = yield* RedisEmitter.namespace(Shop)
          const at = new Date(0)
          yield* Stream.run(Stream.make({ symbol: "A", at }, { symbol: "B", at }), shop.sink("price"))
          const untyped = yield* RedisEmitter.namespace("/shop")
          yield* Stream.run(Stream.make(["C"], ["D"]), untyped.sink("price"))
        })
      )
      assert.deepStrictEqual(
        commands.slice(1).map((command) => /"([A-D])"/.exec(String(command.at(-1)))?.[1]),
        ["A", "B", "C", "D"]
      )
    })
  )

  const die = <E>(effect: Effect.Effect<unknown, E, RedisEmitter.RedisEmitter>, message: RegExp) =>
    Effect.gen(function* () {
      const { commands, layer } = recorder()
      const exit = yield* Effect.exit(Effect.provide(effect, Layer.provide(RedisEmitter.layer(), layer)))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      if (Exit.isFailure(exit)) assert.match(Cause.pretty(exit.cause), message)
      assert.deepStrictEqual(commands, [])
    })
  const shop = RedisEmitter.namespace(Shop)
  const untyped = RedisEmitter.namespace("/shop")
  for (const [what, effect, message] of [
    [
      "a payload that its schema refuses",
      Effect.flatMap(shop, (shop) => shop.to([]).emit("price", { symbol: 1 } as any)),
      /payload of "price"/
    ],
    [
      "an event that it does not declare",
      Effect.flatMap(shop, (shop: any) => shop.emit("other") as Effect.Effect<void>),
      /"other" is not among/
    ],
    [
      "an event between servers that it does not declare",
      Effect.flatMap(shop, (shop: any) => shop.serverSideEmit("other") as Effect.Effect<void>),
      /"other" is not among the events between servers of "\/shop"/
    ],
    ["a reserved event", Effect.flatMap(untyped, (shop) => shop.emit("disconnect")), /reserved/],
    ["a function", Effect.flatMap(untyped, (shop) => shop.emit("x", () => {})), /function/],
    [
      "a number for a room",
      Effect.flatMap(untyped, (shop) => Effect.suspend(() => shop.to(7 as any).emit("x"))),
      /room/
    ],
    ["a BigInt", Effect.flatMap(untyped, (shop) => shop.serverSideEmit("x", 1n)), /BigInt/],
    ["a name that is none", RedisEmitter.namespace("shop"), /starts with "\/"/]
  ] as const) {
    it.effect(`dies of ${what}, and writes nothing`, () => die(effect as Effect.Effect<void, never, any>, message))
  }
})

const layers: Record<"redis" | "sharded" | "streams", EmitterLayer> = {
  redis: RedisEmitter.layer(),
  sharded: RedisEmitter.layerSharded(),
  streams: RedisEmitter.layerStreams()
}

const clientOf = (url: string, options?: RedisClient.RedisClientOptions) =>
  RedisClient.layer(Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url }), options)))

describe("an emitter of which Redis refuses an event for the moment", () => {
  /** A Redis that refuses so many commands. */
  const refusing = (times: number, message: string) => {
    let asked = 0
    const service = {
      isConnected: () => true,
      command: () =>
        Effect.suspend(() =>
          ++asked > times ? Effect.succeed(1) : Effect.fail(new RedisError({ reason: { _tag: "Refused" }, message }))
        )
    } as unknown as RedisClient.RedisClient["Service"]
    return { layer: Layer.succeed(RedisClient.RedisClient, service), asked: () => asked }
  }
  const emit = Effect.flatMap(RedisEmitter.namespace("/"), (all) => all.emit("x"))
  const emitter = RedisEmitter.layer({ timeout: "2 seconds" })
  const start = (redis: ReturnType<typeof refusing>) =>
    Effect.forkChild(Effect.provide(emit, Layer.provide(emitter, redis.layer)), { startImmediately: true })

  it.effect("sends it again until it is taken", () =>
    Effect.gen(function* () {
      const redis = refusing(3, "LOADING Redis is loading the dataset in memory")
      const fiber = yield* start(redis)
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
      assert.strictEqual(redis.asked(), 4)
    })
  )

  it.effect("gives up after its time", () =>
    Effect.gen(function* () {
      const redis = refusing(Infinity, "CLUSTERDOWN The cluster is down")
      const fiber = yield* start(redis)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Effect.flip(Fiber.join(fiber))).reason._tag, "Refused")
      assert.approximately(redis.asked(), 21, 2)
    })
  )

  it.effect("does not send again what is refused for good", () =>
    Effect.gen(function* () {
      const redis = refusing(1, "NOPERM this user has no permissions")
      assert.strictEqual((yield* Effect.flip(Fiber.join(yield* start(redis)))).reason._tag, "Refused")
      assert.strictEqual(redis.asked(), 1)
    })
  )
})

const suites = [
  { adapter: "redis", masters: 0 },
  { adapter: "sharded", masters: 0 },
  { adapter: "streams", masters: 0 },
  { adapter: "redis", masters: 3 },
  { adapter: "sharded", masters: 3 },
  { adapter: "streams", masters: 3 }
] as const

for (const { adapter, masters } of suites.slice(0, isExhaustive ? suites.length : isFull ? 3 : 1)) {
  const on = masters === 0 ? "" : ` on a Redis Cluster of ${masters} masters`
  describe(
    `a cluster of an official node and one of this library with the adapter ${adapter}${on}`,
    requires("Redis"),
    () => {
      let cluster: Cluster
      let world: World
      let emitter: ExternalEmitter & { readonly close: () => Promise<void> }
      beforeAll(async () => {
        cluster = await startCluster({ adapter, masters, kinds: ["official", "ours"] })
        world = new World(cluster)
        await world.enterAll()
        emitter = ownEmitter(cluster.redis!.url, layers[adapter])
      })
      beforeEach(() => world.forget())
      afterAll(async () => {
        await emitter?.close()
        world?.leaveAll()
        await cluster?.stop()
      })
      for (const [name, check] of Object.entries(emitterOperations)) {
        it(`hears an emitter that ${name}`, () => check(world, emitter))
      }
    }
  )
}

describe("an emitter with Redis", requires("Redis"), () => {
  /** The messages of a channel. */
  const heard = (running: RunningServers, pattern: string) =>
    Effect.gen(function* () {
      const messages: Array<string> = []
      const service = yield* RedisClient.fromNodeRedis(createClient({ url: running.url }))
      const subscription = service.subscribe("pattern", pattern, {
        onMessage: (_channel, message) => void messages.push(Buffer.from(message).toString("latin1"))
      })
      yield* Effect.promise(() => until("a subscription", () => subscription.isConfirmed() || undefined))
      return messages
    })

  const emit = (room: string, ...args: ReadonlyArray<unknown>) =>
    Effect.flatMap(RedisEmitter.namespace("/"), (all) => all.to(room).emit("x", ...args))

  const emitterOf = (url: string, options: RedisEmitter.RedisEmitterOptions = {}) =>
    Layer.provide(RedisEmitter.layer(options), clientOf(url))

  it.live("sends what is emitted at once in few pipelines, in order", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      const messages = yield* heard(running, "socket.io#/#*")
      const reads = Effect.promise(async () => {
        const info = await running.server.command("info", "stats")
        return Number(/total_reads_processed:(\d+)/.exec(info)![1])
      })
      yield* Effect.gen(function* () {
        yield* emit("r", -1)
        const before = yield* reads
        const emits = Array.from({ length: 1_000 }, (_, n) => emit("r", `<${n}>`))
        yield* Effect.all(emits, { concurrency: "unbounded", discard: true })
        assert.isBelow((yield* reads) - before, 100)
      }).pipe(Effect.provide(emitterOf(running.url)))
      yield* Effect.promise(() => until("all events", () => messages.length === 1_001 || undefined))
      assert.deepStrictEqual(
        messages.slice(1).map((message) => Number(/<(\d+)>/.exec(message)![1])),
        Array.from({ length: 1_000 }, (_, n) => n)
      )
    })
  )

  it.live("fails of an event that Redis refuses, and not of another one of the same pipeline", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      yield* Effect.promise(() => running.server.command("acl", "setuser", "default", "resetchannels", "&*#a#"))
      const results = yield* Effect.all(
        [Effect.result(emit("a")), Effect.result(emit("b")), Effect.result(emit("a"))],
        {
          concurrency: "unbounded"
        }
      ).pipe(Effect.provide(emitterOf(running.url)))
      const outcomes = results.map((result) => (Result.isFailure(result) ? result.failure.reason._tag : "sent"))
      assert.deepStrictEqual(outcomes, ["sent", "Refused", "sent"])
    })
  )

  it.live("fails if there is no Redis, after its time, and goes on when there is one", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      yield* Effect.gen(function* () {
        yield* emit("a")
        yield* Effect.promise(() => running.server.kill())
        const error = yield* Effect.flip(emit("a"))
        assert.deepInclude(error, { _tag: "RedisError", reason: { _tag: "Disconnected" } })
        yield* Effect.promise(() => running.server.start())
        yield* Effect.retry(emit("a"), { times: 20 })
      }).pipe(Effect.provide(emitterOf(running.url, { timeout: "500 millis" })))
    })
  )

  it.live("waits for the first connection, and for the one after an outage", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      yield* Effect.promise(() => running.server.kill())
      yield* Effect.gen(function* () {
        const first = yield* Effect.forkChild(emit("a"), { startImmediately: true })
        yield* Effect.promise(() => running.server.start())
        const exit = yield* Fiber.await(first)
        assert.isTrue(Exit.isSuccess(exit))
      }).pipe(Effect.provide(emitterOf(running.url, { timeout: "20 seconds" })))
    })
  )

  it.live("fails if Redis does not reply in time", () =>
    Effect.gen(function* () {
      const running = yield* redis()
      yield* Effect.gen(function* () {
        yield* emit("a")
        running.server.pause()
        const error = yield* Effect.flip(emit("a")).pipe(Effect.ensuring(Effect.sync(() => running.server.resume())))
        assert.deepInclude(error, { _tag: "RedisError", reason: { _tag: "Timeout" } })
      }).pipe(Effect.provide(emitterOf(running.url, { timeout: "300 millis" })))
    })
  )

  it.live("has options from the configuration", () =>
    Effect.gen(function* () {
      const { commands, layer } = recorder()
      yield* emit("a").pipe(
        Effect.provide(Layer.provide(RedisEmitter.layerConfig({ key: Config.String("KEY") }), layer)),
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown({ KEY: "other" }))
      )
      assert.strictEqual(commands[0]![1], "other#/#a#")
    })
  )
})
