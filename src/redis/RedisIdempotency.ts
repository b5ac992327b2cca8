/**
 * Answers that several servers share, in Redis: a message is handled once, whichever server gets
 * it.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

import { millis as readMillis } from "../engine/OptionReaders.ts"
import * as Idempotency from "../idempotency/Idempotency.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { longId } from "./internal/ids.ts"
import { makeSender } from "./internal/sender.ts"
import { RedisClient } from "./RedisClient.ts"
import type { RedisError } from "./RedisError.ts"

/**
 * Options of answers in Redis. The limits bound what this server adds.
 *
 * @since 0.1.0
 * @category options
 */
export interface RedisIdempotencyOptions extends Idempotency.Limits {
  /**
   * The first part of all keys: that of a message is `<key>-once:<SHA-256>`. Default: `socket.io`.
   */
  readonly key?: string
  /**
   * For how long the claim of a server that has died stays. A living one renews it three times in
   * it, while its handler runs. Default: 10 seconds. At least 1 second.
   */
  readonly lease?: Duration.Input
  /** For how long a command waits for a connection, and then for its reply. Default: 3 seconds. */
  readonly timeout?: Duration.Input
}

// The value of a key is a claim, "c" and the token of its owner, or an answer, "a" and its text.

/** Claims a message, unless somebody else has: then it gives the value. */
const CLAIM =
  "local v = redis.call('get', KEYS[1]) if v and v ~= ARGV[1] then return v end redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) return ''"

/** Renews a claim, unless somebody else has one by now. Redis may have lost it. */
const RENEW =
  "local v = redis.call('get', KEYS[1]) if v and v ~= ARGV[1] then return 0 end redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) return 1"

/** Keeps an answer, unless somebody else has a claim, or has answered. */
const COMPLETE =
  "local v = redis.call('get', KEYS[1]) if v and v ~= ARGV[1] then return 0 end redis.call('set', KEYS[1], ARGV[3], 'px', ARGV[2]) return 1"

/** Drops an answer, but no claim: its window may just have ended, and another server be at work. */
const REMOVE = "if redis.call('getrange', KEYS[1], 0, 0) == 'a' then return redis.call('del', KEYS[1]) end return 0"

const RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"

/** The pauses in which another server's claim is looked at: the first, and the longest. */
const FIRST_PAUSE = 20
const LONGEST_PAUSE = 500

/** A handler that ends does not wait longer for Redis: its claim ends by itself. */
const RELEASE_TIMEOUT = Duration.seconds(1)

const unavailable = (cause: RedisError) =>
  new Idempotency.IdempotencyError({ reason: { _tag: "Unavailable" }, message: `Redis: ${cause.message}`, cause })

const LOST = "another server has taken over a message while this one was handling it: it may be handled twice"

/**
 * Makes the service in Redis.
 *
 * **Details**
 *
 * The first server that gets a message claims it (`SET … NX PX`), and renews the claim while its
 * handler runs. Other servers look every 20 to 500 milliseconds whether it is done. The claim of a
 * server that has died ends with its lease. Answers are kept for the window of their event.
 *
 * While Redis does not answer, messages are refused with `retryAfter`, and not handled: a
 * `RetryingEmitter` tries again.
 *
 * Fails with `InvalidOptionError` on an option that makes no sense. The service ends with its
 * scope.
 *
 * **Gotchas**
 *
 * A message is handled a second time if its server hangs, or is cut from Redis, for longer than the
 * lease. The same holds if Redis loses keys: in a failover, or because its memory is full and its
 * `maxmemory-policy` is not `noeviction`. `Idempotency.CurrentMessageId` in a unique column makes
 * up for that.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: RedisIdempotencyOptions = {}
): Effect.Effect<Idempotency.IdempotencyShape, InvalidOptionError, RedisClient | Scope.Scope> =>
  Effect.gen(function* () {
    const { key: prefix = "socket.io", lease: given, timeout = "3 seconds", ...limits } = options
    const lease = Math.ceil(yield* readMillis("lease", given, 10_000, 1_000))
    const redis = yield* RedisClient
    const send = makeSender(redis, timeout, yield* Effect.context<never>())
    /** The claims of this server, by message. */
    const tokens = new Map<string, string>()

    const run = (script: string, key: string, ...args: ReadonlyArray<string>) => {
      const name = `${prefix}-once:${key}`
      return send({ command: ["EVAL", script, "1", name, ...args], key: name })
    }

    const release = (key: string, token: string) =>
      run(RELEASE, key, token).pipe(Effect.timeoutOption(RELEASE_TIMEOUT), Effect.ignore)

    const renew = (key: string, token: string) =>
      Effect.sleep(Duration.millis(lease / 3)).pipe(
        Effect.andThen(run(RENEW, key, token, String(lease))),
        Effect.map((reply) => reply !== 1 && tokens.get(key) === token),
        Effect.catch((error) => Effect.as(Effect.logDebug("the claim of a message was not renewed", error), false)),
        Effect.repeat({ until: (isLost) => isLost }),
        Effect.andThen(Effect.logWarning(LOST))
      )

    /** Claims a message, or gives the answer of another server, for which it waits. */
    const find = (key: string, token: string, pause: number): Effect.Effect<string | undefined, RedisError> =>
      Effect.flatMap(run(CLAIM, key, token, String(lease)), (reply) => {
        const value = String(reply)
        if (value === "") return Effect.undefined
        if (value.startsWith("a")) return Effect.succeed(value.slice(1))
        return Effect.andThen(
          Effect.interruptible(Effect.sleep(Duration.millis(pause))),
          find(key, token, Math.min(2 * pause, LONGEST_PAUSE))
        )
      })

    const claim: Idempotency.Store["claim"] = (key) =>
      Effect.gen(function* () {
        const token = `c${longId()}${longId()}`
        const answer = yield* find(key, token, FIRST_PAUSE).pipe(
          // The command may have been executed. Its claim would stay until the lease ends.
          Effect.tapError(() => Effect.forkDetach(release(key, token))),
          Effect.mapError(unavailable)
        )
        if (answer !== undefined) return answer
        tokens.set(key, token)
        yield* Effect.addFinalizer(() => Effect.suspend(() => (tokens.delete(key) ? release(key, token) : Effect.void)))
        yield* Effect.forkScoped(Effect.interruptible(renew(key, token)))
        return undefined
      })

    return yield* Idempotency.make(
      {
        claim,
        complete: (key, answer, window) =>
          Effect.suspend(() => {
            const token = tokens.get(key)!
            tokens.delete(key)
            return run(COMPLETE, key, token, String(Math.ceil(window)), `a${answer}`)
          }).pipe(
            Effect.mapError(unavailable),
            Effect.flatMap((reply) => (reply === 1 ? Effect.void : Effect.logWarning(LOST)))
          ),
        remove: (keys) =>
          Effect.mapError(
            Effect.forEach(keys, (key) => run(REMOVE, key), { discard: true, concurrency: 16 }),
            unavailable
          )
      },
      limits
    )
  })

/**
 * The service in Redis, as a layer. See {@link make}.
 *
 * **Example** (Several servers)
 *
 * ```ts
 * const Main = NodeSocketIoServer.serve(ShopLive, { port: 3000 }).pipe(
 *   Layer.provide([RedisAdapter.layer(), RedisIdempotency.layer()]),
 *   Layer.provide(RedisLive)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: RedisIdempotencyOptions
): Layer.Layer<Idempotency.Idempotency, InvalidOptionError, RedisClient> =>
  Layer.effect(Idempotency.Idempotency, make(options))
