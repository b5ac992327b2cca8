/**
 * The directory of the servers of a cluster in Redis: with it, requests reach the owners of their
 * sessions on other machines.
 *
 * @since 0.1.0
 */
import * as Cache from "effect/Cache"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"

import {
  decodeAddress,
  encodeAddress,
  type NodeAddress,
  NodeDirectory,
  NodeDirectoryError,
  type NodeDirectoryShape,
  TagTakenError
} from "../engine/NodeDirectory.ts"
import { isTag } from "../engine/SessionId.ts"
import { TokenBucket } from "../internal/tokenBucket.ts"
import { makeSender } from "./internal/sender.ts"
import { RedisClient } from "./RedisClient.ts"
import type { Command, Reply } from "./RedisCommand.ts"
import type { RedisError } from "./RedisError.ts"

/**
 * Options of a directory in Redis.
 *
 * @since 0.1.0
 * @category options
 */
export interface RedisNodeDirectoryOptions {
  /** The first part of all keys: a server's is `<key>-node:<tag>`. Default: `socket.io`. */
  readonly key?: string
  /**
   * For how long a server that has died stays in the directory. A living one says three times in it
   * that it is there. Default: 10 seconds. At least 1 second.
   */
  readonly timeToLive?: Duration.Input
  /**
   * For how long the answer to a lookup is kept, also that there is no such server. Default: 1
   * second.
   */
  readonly cacheTime?: Duration.Input
  /** The number of answers that are kept. Default: 1,024. */
  readonly maxCached?: number
  /**
   * The number of lookups that Redis is asked in a second. Strangers can cause them with ids that
   * they make up; lookups beyond it fail. Default: 1,000.
   */
  readonly maxLookups?: number
  /** For how long a command waits for a connection, and then for its reply. Default: 3 seconds. */
  readonly timeout?: Duration.Input
}

/** Longer values are no addresses: no more is read of one. */
const MAX_LENGTH = 2_048

/** Says that the server is there, unless its tag belongs to another one. */
const REFRESH =
  "local v = redis.call('get', KEYS[1]) if v and v ~= ARGV[1] then return 0 end redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) return 1"

/** Removes the server, unless its tag belongs to another one by now. */
const REMOVE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"

/** A server that goes does not wait longer for Redis: its entry ends by itself. */
const REMOVE_TIMEOUT = Duration.seconds(1)

/** Between two refreshes, at least: connections may come and go often. */
const MIN_REFRESH = Duration.millis(250)

const failed = (what: string) => (cause: RedisError) =>
  new NodeDirectoryError({ message: `${what}: ${cause.message}`, cause })

/**
 * Makes a directory of the servers of a cluster, in Redis.
 *
 * **Details**
 *
 * A server's entry has its address and its secret. It is written only if no living server has the
 * same tag, is refreshed while the server lives, also after Redis has lost it, and is removed when
 * its scope closes. While Redis is away, servers go on to pass requests on to those that they know.
 *
 * A lookup that Redis does not answer fails, and is not kept.
 *
 * **Gotchas**
 *
 * A reader of the entries can speak to the servers as one of them, and a writer has
 * servers connect to other addresses: Redis must not be open to others.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: RedisNodeDirectoryOptions = {}): Effect.Effect<NodeDirectoryShape, never, RedisClient> =>
  Effect.gen(function* () {
    const { key = "socket.io", maxCached = 1_024, maxLookups = 1_000 } = options
    const timeToLive = Duration.max(Duration.fromInputUnsafe(options.timeToLive ?? "10 seconds"), Duration.seconds(1))
    const cacheTime = Duration.fromInputUnsafe(options.cacheTime ?? "1 second")
    const redis = yield* RedisClient
    const clock = yield* Clock.Clock
    const send = makeSender(redis, options.timeout ?? "3 seconds", yield* Effect.context<never>())
    const keyOf = (tag: string) => `${key}-node:${tag}`
    const run = (tag: string, command: Command): Effect.Effect<Reply, RedisError> => send({ command, key: keyOf(tag) })
    const millis = String(Math.ceil(Duration.toMillis(timeToLive)))

    /** Refreshes an entry, regularly and when Redis is there again. It may have lost the entry. */
    const keep = (tag: string, value: string): Effect.Effect<void, never, Scope.Scope> =>
      Effect.gen(function* () {
        const reconnected = yield* Latch.make(false)
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            let wasConnected = redis.isConnected()
            return redis.onChange(() => {
              const isConnected = redis.isConnected()
              if (isConnected && !wasConnected) reconnected.openUnsafe()
              wasConnected = isConnected
            })
          }),
          (stop) => Effect.sync(stop)
        )
        let isOwn = true
        const refresh = run(tag, ["EVAL", REFRESH, "1", keyOf(tag), value, millis]).pipe(
          Effect.flatMap((reply) => {
            const wasOwn = isOwn
            isOwn = reply === 1
            return wasOwn && !isOwn
              ? Effect.logError(
                  `another server has taken the tag ${tag} while this one was away from Redis: ` +
                    "requests for sessions of this server that reach others fail"
                )
              : Effect.void
          }),
          Effect.catch((error) => Effect.logDebug("the entry of this server was not refreshed", error))
        )
        const pause = Duration.divideUnsafe(timeToLive, 3)
        yield* Effect.gen(function* () {
          yield* Effect.sleep(MIN_REFRESH)
          yield* Effect.raceFirst(Effect.sleep(pause), reconnected.await)
          reconnected.closeUnsafe()
          yield* refresh
        }).pipe(Effect.forever, Effect.forkScoped({ startImmediately: true }))
      })

    const register: NodeDirectoryShape["register"] = (tag, address) =>
      Effect.gen(function* () {
        const value = encodeAddress(address)
        yield* Effect.acquireRelease(
          run(tag, ["SET", keyOf(tag), value, "PX", millis, "NX"]).pipe(
            Effect.mapError(failed("cannot enter this server")),
            Effect.flatMap((reply) => (reply === null ? Effect.fail(new TagTakenError({ tag })) : Effect.void))
          ),
          () =>
            run(tag, ["EVAL", REMOVE, "1", keyOf(tag), value]).pipe(Effect.timeoutOption(REMOVE_TIMEOUT), Effect.ignore)
        )
        yield* keep(tag, value)
      })

    const bucket = new TokenBucket({ cost: 1_000 / maxLookups, capacity: 1_000 })
    const ask = (tag: string): Effect.Effect<Option.Option<NodeAddress>, NodeDirectoryError> =>
      Effect.suspend(() => {
        if (bucket.take(clock.currentTimeMillisUnsafe()) > 0) {
          return Effect.fail(new NodeDirectoryError({ message: "too many lookups in this second" }))
        }
        return run(tag, ["GETRANGE", keyOf(tag), "0", String(MAX_LENGTH)]).pipe(
          Effect.mapBoth({
            onSuccess: (reply) => (typeof reply === "string" ? decodeAddress(reply) : Option.none()),
            onFailure: failed("cannot look up a server")
          }),
          // A socket of one machine means nothing to others.
          Effect.map(Option.filter((address) => "host" in address))
        )
      })
    const cache = yield* Cache.makeWith(ask, {
      capacity: maxCached,
      timeToLive: (exit) => (Exit.isSuccess(exit) ? cacheTime : Duration.zero)
    })
    return {
      register,
      lookup: (tag) => (isTag(tag) ? Cache.get(cache, tag) : Effect.succeedNone)
    }
  })

/**
 * A directory of the servers of a cluster, in Redis (see {@link make}).
 *
 * **Example** (Servers on several machines, behind a balancer without sticky sessions)
 *
 * ```ts
 * const Routing = NodeSessionRouting.layer({ host: "10.0.0.7" }).pipe(
 *   Layer.provide(RedisNodeDirectory.layer())
 * )
 * const Main = ChatLive.pipe(
 *   Layer.provide(NodeSocketIoServer.layer({ port: 3000 })),
 *   Layer.provide([RedisAdapter.layer(), Routing]),
 *   Layer.provide(RedisLive)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: RedisNodeDirectoryOptions = {}): Layer.Layer<NodeDirectory, never, RedisClient> =>
  Layer.effect(NodeDirectory, make(options))

/**
 * The same as {@link layer}, with configured options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<RedisNodeDirectoryOptions>
): Layer.Layer<NodeDirectory, Config.ConfigError, RedisClient> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
