/**
 * The time for which the servers of a stream need its entries, as their clients may come back. They
 * tell it in Redis: emitters, which are no servers, trim the stream, too.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import type { RedisClient } from "../RedisClient.ts"
import type { Reply } from "../RedisCommand.ts"
import type { RedisError } from "../RedisError.ts"
import { keySlot } from "./keySlot.ts"
import { makeSender, type Send } from "./sender.ts"

/** From one word of a server to the next, and of an emitter's question, in milliseconds. */
const INTERVAL = 30_000

/** The one with the longest time counts, until it says nothing more. */
const TELL =
  "local v = tonumber(redis.call('get', KEYS[1]) or '') or 0 if v > tonumber(ARGV[1]) then return 0 end " +
  "redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) return 1"

const ASK = "return {redis.call('get', KEYS[1]) or '', redis.call('time')[1]}"

/** It is beside its stream in a Redis Cluster, so that both have one clock. */
const keyOf = (stream: string): string => {
  const tagged = `{${stream}}:retention`
  return keySlot(tagged) === keySlot(stream) ? tagged : `${stream}:retention`
}

/** Makes the function that tells, from now on, for how long a stream is needed, in milliseconds. */
export const makeTeller = (
  redis: RedisClient["Service"]
): Effect.Effect<(stream: string, retention: number) => void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const send = makeSender(redis, Duration.seconds(3), context)
    const retentions = new Map<string, number>()
    const tell = ([stream, retention]: readonly [string, number]) => {
      const key = keyOf(stream)
      const timeToLive = retention + 2 * INTERVAL
      return Effect.ignore(
        send({ command: ["EVAL", TELL, "1", key, String(Math.ceil(retention)), String(Math.ceil(timeToLive))], key })
      )
    }
    yield* Effect.sleep(INTERVAL).pipe(
      Effect.andThen(Effect.suspend(() => Effect.forEach(retentions, tell, { concurrency: 16, discard: true }))),
      Effect.forever,
      Effect.forkScoped
    )
    const run = Effect.runForkWith(context)
    return (stream, retention) => {
      // Namespaces share streams.
      if ((retentions.get(stream) ?? 0) >= retention) return
      retentions.set(stream, retention)
      run(tell([stream, retention]))
    }
  })

/** What an emitter knows of a stream. */
interface Known {
  /** `undefined`: no server needs more than a number of entries. */
  readonly retention: number | undefined
  /** The time of Redis, and of this process, in milliseconds. */
  readonly time: number
  readonly at: number
}

const read = (reply: Reply, at: number): Known => {
  const [retention, seconds] = Array.isArray(reply) ? (reply as ReadonlyArray<Reply>).map(Number) : []
  const isTold = retention !== undefined && retention > 0 && Number.isFinite(retention)
  return { retention: isTold ? retention : undefined, time: 1_000 * Number(seconds), at }
}

/**
 * Makes the function that gives the arguments by which an emitter trims a stream: to `maxLength`
 * entries, unless servers need more. It asks for that first, and again after a while.
 */
export const makeTrimmer = (
  send: Send,
  maxLength: number
): Effect.Effect<(stream: string) => Effect.Effect<ReadonlyArray<string>, RedisError>> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    const all = new Map<string, Known>()
    const asking = new Map<string, Deferred.Deferred<Known, RedisError>>()
    const none = (): Known => ({ retention: undefined, time: 0, at: now() })
    const ask = (stream: string): Effect.Effect<Known, RedisError> => {
      const other = asking.get(stream)
      if (other !== undefined) return Deferred.await(other)
      const answer = Deferred.makeUnsafe<Known, RedisError>()
      asking.set(stream, answer)
      const key = keyOf(stream)
      const asked = send({ command: ["EVAL", ASK, "1", key], key }).pipe(
        Effect.map((reply) => read(reply, now())),
        // It may not run scripts.
        Effect.catch((error) => (error.reason._tag === "Refused" ? Effect.sync(none) : Effect.fail(error)))
      )
      // Others wait for it, too: nobody interrupts it.
      run(asked).addObserver((exit) => {
        asking.delete(stream)
        if (exit._tag === "Success") all.set(stream, exit.value)
        Deferred.doneUnsafe(answer, exit)
      })
      return Deferred.await(answer)
    }
    const trim = ({ at, retention, time }: Known): ReadonlyArray<string> =>
      retention === undefined
        ? ["MAXLEN", "~", String(maxLength)]
        : ["MINID", "~", String(Math.max(0, Math.floor(time + now() - at - retention)))]
    return (stream) =>
      Effect.suspend(() => {
        const known = all.get(stream)
        if (known !== undefined && now() - known.at < INTERVAL) return Effect.succeed(trim(known))
        return Effect.map(ask(stream), trim)
      })
  })
