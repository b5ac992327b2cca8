/**
 * Commands over a line, for callers that wait for their replies.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

import type { Command, Reply } from "../RedisCommand.ts"
import { RedisError } from "../RedisError.ts"
import type { Result } from "./driver.ts"
import * as Line from "./line.ts"
import type { Lane, Routes } from "./routes.ts"

const DEFAULT_TIMEOUT = Duration.seconds(5)

const timedOut = (): RedisError =>
  new RedisError({ reason: { _tag: "Timeout" }, message: "Redis has not replied in time" })

/** Sends commands in one pipeline. Fails with the first error among the replies. */
export const execute = (
  line: Line.Line | undefined,
  commands: ReadonlyArray<Command>,
  { bytes = false, timeout = DEFAULT_TIMEOUT }: { readonly bytes?: boolean; readonly timeout?: Duration.Input } = {}
): Effect.Effect<ReadonlyArray<Reply>, RedisError> =>
  Effect.callback<ReadonlyArray<Result>>((resume) => {
    Line.send(line, commands, bytes, (results) => resume(Effect.succeed(results)))
  }).pipe(
    Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(timedOut()) }),
    Effect.flatMap((results) => {
      const error = results.find((result) => result instanceof RedisError)
      return error === undefined ? Effect.succeed(results as ReadonlyArray<Reply>) : Effect.fail(error)
    })
  )

const toCount = (reply: Reply | undefined): number => {
  const count = Array.isArray(reply) ? Number((reply as ReadonlyArray<Reply>)[1]) : Number.NaN
  return Number.isFinite(count) ? count : 0
}

/** The servers that have subscribers of a channel. */
const lanesOf = (routes: Routes, channel: string, isSharded: boolean): ReadonlyArray<Lane> => {
  if (!isSharded) return routes.lanes()
  const owner = routes.laneOf(channel)
  return owner === undefined ? [] : [owner]
}

const count = (lanes: ReadonlyArray<Lane>, channel: string, isSharded: boolean): Effect.Effect<number, RedisError> => {
  if (lanes.length === 0)
    return Effect.fail(new RedisError({ reason: { _tag: "Disconnected" }, message: "no server is known" }))
  const command: Command = ["PUBSUB", isSharded ? "SHARDNUMSUB" : "NUMSUB", channel]
  return Effect.forEach(lanes, ({ line }) => execute(line, [command]), { concurrency: "unbounded" }).pipe(
    Effect.map((replies) => replies.reduce((sum, [reply]) => sum + toCount(reply), 0))
  )
}

/**
 * The number of a channel's subscribers; in a Redis Cluster at all masters, or at that of a sharded
 * channel.
 */
export const numSub = (routes: Routes, channel: string, isSharded: boolean): Effect.Effect<number, RedisError> =>
  Effect.suspend(() => count(lanesOf(routes, channel, isSharded), channel, isSharded))

/** The same at the masters that there is a connection with: there may be more subscribers. */
export const numSubAtLeast = (routes: Routes, channel: string, isSharded: boolean): Effect.Effect<number, RedisError> =>
  Effect.suspend(() => {
    const up = lanesOf(routes, channel, isSharded).filter(({ line }) => line.connection !== undefined)
    return count(up, channel, isSharded)
  })
