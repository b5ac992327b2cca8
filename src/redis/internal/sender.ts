/**
 * Sends commands for callers that wait for each reply, and know what to do without one.
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

import type { RedisClient } from "../RedisClient.ts"
import type { Command, Reply } from "../RedisCommand.ts"
import { RedisError } from "../RedisError.ts"
import type { Result } from "./driver.ts"
import * as Line from "./line.ts"
import { findRoutes, type Lane } from "./routes.ts"

/** A command, and the key that decides its server in a Redis Cluster; `undefined`: any server. */
export interface Outgoing {
  readonly command: Command
  readonly key: string | undefined
}

export type Send = (outgoing: Outgoing) => Effect.Effect<Reply, RedisError>

interface Item {
  readonly command: Command
  readonly done: (result: Result) => void
  isInterrupted: boolean
}

/** Redis has not executed the command, and would later or elsewhere. */
const isTransient = ({ message, reason }: RedisError): boolean =>
  reason._tag === "Refused" && /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|LOADING|READONLY|MASTERDOWN|BUSY)\b/.test(message)

/** Before something is sent again that Redis refuses for the moment. */
const RETRY_DELAY = Duration.millis(100)

const unreached = () =>
  new RedisError({ reason: { _tag: "Disconnected" }, message: "there was no connection with Redis in time" })
const late = () => new RedisError({ reason: { _tag: "Timeout" }, message: "Redis has not replied in time" })

/**
 * Makes the function that sends a command. It waits for a connection, and for the reply, up to
 * `timeout` each. A command that is refused for the moment is sent again for so long.
 */
export const makeSender = (
  redis: RedisClient["Service"],
  timeout: Duration.Input,
  context: Context.Context<never>
): Send => {
  const run = Effect.runForkWith(context)
  const duration = Duration.fromInputUnsafe(timeout)
  const routes = findRoutes(redis)
  const laneOf = (key: string | undefined): Lane | undefined =>
    key === undefined ? routes?.commonLane() : routes?.laneOf(key)
  const isUp = (key: string | undefined): boolean =>
    routes === undefined ? redis.isConnected() : laneOf(key)?.line.connection !== undefined

  const whenUp = (key: string | undefined): Effect.Effect<void, RedisError> =>
    Effect.callback<void>((resume) => {
      if (isUp(key)) return resume(Effect.void)
      const stop = redis.onChange(() => {
        if (!isUp(key)) return
        stop()
        resume(Effect.void)
      })
      return Effect.sync(stop)
    }).pipe(Effect.timeoutOrElse({ duration, orElse: () => Effect.fail(unreached()) }))

  // Commands of one turn of the event loop leave in one pipeline, with one timer.
  const waiting = new Map<Lane, Array<Item>>()
  const flush = (lane: Lane) => {
    const items = waiting.get(lane)!.filter(({ isInterrupted }) => !isInterrupted)
    waiting.delete(lane)
    if (items.length === 0) return
    const expire = Effect.sync(() => {
      for (const { done } of items) done(late())
    })
    const timer = run(Effect.andThen(Effect.sleep(duration), expire))
    const commands = items.map(({ command }) => command)
    Line.send(lane.line, commands, false, (results) => {
      timer.interruptUnsafe()
      for (const [at, { done }] of items.entries()) done(results[at]!)
    })
  }
  const add = (lane: Lane, item: Item) => {
    const items = waiting.get(lane)
    if (items !== undefined) return void items.push(item)
    waiting.set(lane, [item])
    queueMicrotask(() => flush(lane))
  }

  const once = ({ command, key }: Outgoing): Effect.Effect<Reply, RedisError> =>
    Effect.suspend(() => {
      const lane = laneOf(key)
      if (lane === undefined) {
        return redis.command(command, { timeout: duration, ...(key !== undefined && { key }) })
      }
      return Effect.callback<Reply, RedisError>((resume) => {
        const done = (result: Result) => {
          if (!(result instanceof RedisError)) return resume(Effect.succeed(result))
          if (isTransient(result)) routes!.refresh()
          resume(Effect.fail(result))
        }
        const item = { command, done, isInterrupted: false }
        add(lane, item)
        return Effect.sync(() => {
          item.isInterrupted = true
        })
      })
    })
  const again = (outgoing: Outgoing) =>
    Effect.retry(Effect.delay(once(outgoing), RETRY_DELAY), {
      schedule: Schedule.during(duration),
      while: isTransient
    })

  return (outgoing) =>
    Effect.suspend(() => {
      const sent = Effect.catchIf(once(outgoing), isTransient, () => again(outgoing))
      return isUp(outgoing.key) ? sent : Effect.andThen(whenUp(outgoing.key), sent)
    })
}
