/**
 * Streams in Redis: they are read and stopped at any server, and their prefix survives the server that ran them.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schedule, Scope } from "effect"

import { APPEND, RENEW } from "../../src/redis/internal/streamScripts.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisStreamLog from "../../src/redis/RedisStreamLog.ts"
import * as StreamLog from "../../src/streams/StreamLog.ts"
import { isExhaustive, rows } from "../support/extent.ts"
import { requires } from "../support/peers.ts"
import { within } from "../support/RawClient.ts"
import { type ClientKind, isClusterKind } from "../support/redisClients.ts"
import { call, connect, serve } from "../support/serve.ts"
import { read } from "../streams/officialReader.ts"
import { useRedis } from "./servers.ts"
import { TalkLive, word } from "./talk.ts"

const about = (key: string) => ({ namespace: "/talk", event: "tell", owner: undefined, key })

const begin = (log: StreamLog.StreamLogShape, key: string) =>
  Effect.flatMap(log.begin({ about: about(key), client: "client", idle: 60_000 }), (begun) =>
    begun._tag === "Began" ? Effect.succeed(begun.log) : Effect.die(new Error(`it runs: ${begun.id}`))
  )

/** Reads a log until it has so many values, or its end. */
const reads = (log: StreamLog.StreamLogShape, id: string, count = Infinity) =>
  Effect.flatMap(log.open(id), (found) =>
    found === undefined
      ? Effect.undefined
      : Effect.callback<{ readonly values: ReadonlyArray<unknown>; readonly end: string | undefined }>((resume) => {
          const onChange = () => {
            if (found.length < count && found.end === undefined) return
            unwatch()
            const values = found.slice(0, 10_000, 1e9)
            resume(Effect.succeed({ values, end: found.end?._tag }))
          }
          const unwatch = found.watch({ onChange })
          onChange()
          return Effect.sync(unwatch)
        })
  )

describe("streams in Redis", requires("Redis"), () => {
  const servers = useRedis()

  /** The service of a server of its own. */
  const server = (
    kind: ClientKind = "redis",
    options: RedisStreamLog.RedisStreamLogOptions = {}
  ): Effect.Effect<StreamLog.StreamLogShape, never, Scope.Scope> =>
    Effect.flatMap(servers.clientOf(kind), (service) =>
      Effect.orDie(Effect.provideService(RedisStreamLog.make(options), RedisClient.RedisClient, service))
    )

  for (const kind of rows<ClientKind>(["redis", "ioredis", "ioredis Cluster"], (kind) => kind === "redis")) {
    if (isClusterKind(kind) && !isExhaustive) continue
    it.live(`are read, found and stopped at every server (${kind})`, () =>
      Effect.gen(function* () {
        const [a, b] = [yield* server(kind), yield* server(kind)]
        const key = `a key of ${kind}`
        const running = yield* begin(a, key)
        const stopped = yield* Deferred.make<void>()
        running.onInterrupt(() => Deferred.doneUnsafe(stopped, Effect.void))
        assert.strictEqual(yield* b.find(about(key)), running.id)
        assert.deepStrictEqual(yield* b.begin({ about: about(key), client: "other", idle: 1_000 }), {
          _tag: "Found",
          id: running.id
        })
        yield* running.append(["one", { bytes: new Uint8Array([1, 2]) }])
        assert.deepStrictEqual(yield* reads(b, running.id, 2), {
          values: ["one", { bytes: new Uint8Array([1, 2]) }],
          end: undefined
        })
        yield* running.append(["three"])
        assert.strictEqual((yield* reads(b, running.id, 3))!.values.length, 3)
        yield* b.stop(running.id)
        yield* Deferred.await(stopped)
        assert.deepStrictEqual((yield* reads(b, running.id))!.end, "Stopped")
        const late = yield* server(kind)
        assert.deepStrictEqual((yield* reads(late, running.id))!.values.length, 3)
        assert.isUndefined(yield* late.find(about(key)))
        assert.notStrictEqual((yield* begin(b, key)).id, running.id)
      })
    )
  }

  it.live("are not there for ids that nobody has", () =>
    Effect.gen(function* () {
      const log = yield* server()
      for (const id of ["none", "a}b", "", "x y", "{", "x".repeat(65)]) assert.isUndefined(yield* log.open(id), id)
    })
  )

  it.live("keep no more in Redis than their limits", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* server("redis", { maxItems: 100 }), yield* server()]
      const running = yield* begin(a, "a key of a long stream")
      const readable = (yield* a.open(running.id))!
      readable.watch({ onChange: () => readable.reached(readable.length, readable.length) })
      for (let i = 0; i < 5_000; i++) yield* running.append([i])
      running.finish({ _tag: "Success" })
      const found = (yield* reads(b, running.id))!
      assert.strictEqual(found.end, "Success")
      assert.strictEqual(found.values.at(-1), 4_999)
      // Redis drops whole nodes of its stream, and a piece has up to 500 values.
      assert.isBelow(found.values.length, 2_500)
    })
  )

  it.live("end with Lost when their server closes", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const a = yield* Scope.provide(server("redis", { lease: "1 second" }), scope)
      const b = yield* server()
      const running = yield* begin(a, "a key that is lost")
      yield* running.append(["one"])
      assert.strictEqual((yield* reads(b, running.id, 1))!.values.length, 1)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* reads(b, running.id), { values: ["one"], end: "Lost" })
    })
  )

  it.live("are not idle while they have readers at other servers, whatever Redis says of others", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* server("redis", { lease: "1 second" }), yield* server("redis", { lease: "1 second" })]
      const redis = yield* servers.clientOf("redis")
      const { id } = yield* begin(a, "a key of a stream whose keys are damaged")
      const life = `socket.io-stream:{${id}}:run`
      yield* redis.command(["DEL", life], { key: life })
      yield* redis.command(["LPUSH", life, "x"], { key: life })
      const idle = (key: string) =>
        Effect.flatMap(a.begin({ about: about(key), client: "client", idle: 1 }), (begun) =>
          begun._tag === "Began" ? Effect.succeed(begun.log.id) : Effect.die(new Error("it runs"))
        )
      const running = yield* idle("a key that is read elsewhere")
      const far = (yield* b.open(running))!
      far.watch({ onChange: () => {} })
      // It outlives others that nobody reads, one after the other.
      for (const key of ["a key that nobody reads", "another key that nobody reads"]) {
        const id = yield* idle(key)
        yield* Effect.repeat(a.open(id), {
          until: (log) => log?.end?._tag === "Idle",
          schedule: Schedule.spaced("50 millis")
        })
      }
      assert.isUndefined((yield* a.open(running))!.end)
    })
  )

  it.live("leave their key free, also if they end while their server renews it", () =>
    Effect.gen(function* () {
      const service = yield* servers.clientOf("redis")
      const [isHeld, goOn, isBack] = yield* Effect.replicateEffect(Deferred.make<void>(), 3)
      const slow: typeof service = {
        ...service,
        command: (command, options) => {
          const reply = service.command(command, options)
          if (command[1] !== RENEW) return reply
          const held = Effect.andThen(Deferred.succeed(isHeld!, undefined), Deferred.await(goOn!))
          return Effect.tap(reply, () => Effect.andThen(held, Deferred.succeed(isBack!, undefined)))
        }
      }
      const a = yield* Effect.orDie(
        Effect.provideService(RedisStreamLog.make({ lease: "1 second" }), RedisClient.RedisClient, slow)
      )
      const key = "a key that is renewed at the end"
      const running = yield* begin(a, key)
      yield* Deferred.await(isHeld!)
      running.finish({ _tag: "Success" })
      const isFree = { until: (id: string | undefined) => id === undefined, schedule: Schedule.spaced("10 millis") }
      yield* Effect.repeat(a.find(about(key)), isFree)
      yield* Deferred.succeed(goOn!, undefined)
      yield* Deferred.await(isBack!)
      // Commands of one client are executed in their order.
      for (let i = 0; i < 10; i++) yield* Effect.yieldNow
      assert.isUndefined(yield* a.find(about(key)))
      assert.notStrictEqual((yield* begin(a, key)).id, running.id)
    })
  )

  it.live("come to Redis as a whole, also if their server has dropped them before that", () =>
    Effect.gen(function* () {
      const service = yield* servers.clientOf("redis")
      const [isHeld, goOn] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const slow: typeof service = {
        ...service,
        command: (command, options) =>
          command[1] === APPEND
            ? Deferred.succeed(isHeld, undefined).pipe(
                Effect.andThen(Deferred.await(goOn)),
                Effect.andThen(service.command(command, options))
              )
            : service.command(command, options)
      }
      const a = yield* Effect.orDie(
        Effect.provideService(RedisStreamLog.make({ maxStreamsPerClient: 1 }), RedisClient.RedisClient, slow)
      )
      const running = yield* begin(a, "a key of a stream that is dropped")
      yield* running.append([1])
      yield* Deferred.await(isHeld)
      yield* running.append([2, 3])
      running.finish({ _tag: "Success" })
      const readable = (yield* a.open(running.id))!
      yield* begin(a, "a key of the next stream")
      yield* Deferred.succeed(goOn, undefined)
      assert.deepStrictEqual(yield* reads(yield* server(), running.id), { values: [1, 2, 3], end: "Success" })
      // And then it is not held any more.
      yield* Effect.repeat(
        Effect.sync(() => readable.start),
        { until: (start) => start === 3, schedule: Schedule.spaced("10 millis") }
      )
    })
  )

  it.live("end with Lost for readers where their values in Redis cannot be read", () =>
    Effect.gen(function* () {
      const [a, b] = [yield* server(), yield* server()]
      const redis = yield* servers.clientOf("redis")
      const { id } = yield* begin(a, "a key of a stream with a damaged value")
      const name = `socket.io-stream:{${id}}`
      const depth = 100_000
      const piece = `[[0,0,[${"[".repeat(depth)}${"]".repeat(depth)}],null]]`
      const reading = yield* Effect.forkChild(reads(b, id))
      yield* Effect.repeat(redis.numSub(name, false), { until: (count) => count > 0 })
      yield* redis.command(["XADD", name, "1-0", "p", piece], { key: name })
      // A server looks by itself after a second.
      assert.strictEqual((yield* Fiber.join(reading))!.end, "Lost")
      // A server that opens it later says the same.
      assert.strictEqual((yield* reads(yield* server(), id))!.end, "Lost")
    })
  )

  it.live("are refused while Redis does not answer", () =>
    Effect.gen(function* () {
      const down = yield* RedisClient.fromNodeRedis(
        (yield* Effect.promise(() => import("redis"))).createClient({ url: "redis://127.0.0.1:1" })
      )
      const log = yield* Effect.provideService(
        RedisStreamLog.make({ timeout: "100 millis" }),
        RedisClient.RedisClient,
        down
      )
      const error = yield* Effect.flip(begin(log, "a key that is refused"))
      assert.strictEqual(error.reason._tag, "Unavailable")
      const { url } = yield* serve(TalkLive.pipe(Layer.provide(Layer.succeed(StreamLog.StreamLog, log))))
      const answer = yield* call(yield* connect(`${url}/talk`), "tell", { key: "a key that is refused", words: 1 })
      assert.deepStrictEqual(answer.error.data, { retryAfter: 1_000 })
    })
  )

  it.live("can be read at another server when theirs was killed, and end honestly", () =>
    Effect.gen(function* () {
      const program = fileURLToPath(new URL("streamNode.ts", import.meta.url))
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => spawn(process.execPath, [program], { env: { ...process.env, REDIS: servers.single.url } })),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      const port = yield* Effect.promise(() =>
        within(
          "port of the node",
          new Promise<string>((resolve, reject) => {
            child.stdout.on("data", (chunk: Buffer) => {
              const found = /port (\d+)/.exec(String(chunk))
              if (found !== null) resolve(found[1]!)
            })
            child.stderr.on("data", (chunk: Buffer) => reject(new Error(String(chunk))))
          })
        )
      )
      const service = yield* servers.clientOf("redis")
      const { url } = yield* serve(
        TalkLive.pipe(
          Layer.provide(RedisStreamLog.layer({ lease: "1 second" })),
          Layer.provide(Layer.succeed(RedisClient.RedisClient, service))
        )
      )
      const key = "a key of a killed server"
      const first = yield* connect(`http://127.0.0.1:${port}/talk`)
      const { stream } = yield* call(first, "tell", { key, words: 100_000 })
      const before = yield* read(first, "tell", stream)
      yield* before.has(30)
      // Both servers have it while it runs.
      const second = yield* connect(`${url}/talk`)
      assert.strictEqual(yield* call(second, "tell:find", key), stream)
      const beside = yield* read(second, "tell", stream)
      yield* beside.has(30)
      child.kill("SIGKILL")
      assert.deepStrictEqual(yield* beside.end, { _tag: "Lost" })
      const expected = Array.from({ length: beside.values.length }, (_, i) => word(i))
      assert.deepStrictEqual(beside.values, expected)
      // The values that readers of the dead server have seen are there, except those on their way.
      assert.isAtLeast(beside.values.length, 30)
      // Its readers go on at the other server, and its key is free.
      const after = yield* read(yield* connect(`${url}/talk`), "tell", stream, 10)
      assert.deepStrictEqual(yield* after.end, { _tag: "Lost" })
      assert.deepStrictEqual(after.values, expected.slice(10))
      const again = yield* call(second, "tell", { key, words: 1 }).pipe(
        Effect.repeat({ until: (answer) => answer.stream !== stream, schedule: Schedule.spaced("50 millis") })
      )
      const anew = yield* read(second, "tell", again.stream)
      assert.deepStrictEqual(yield* anew.end, { _tag: "Success" })
    })
  )
})
