/**
 * How many servers there are: the number of subscribers of a channel that each of them subscribes
 * to.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import type { RedisClient } from "../RedisClient.ts"
import * as Commands from "./commands.ts"
import { routesOf } from "./routes.ts"

/** Counts the servers of one channel. */
export interface Counter {
  /**
   * The number of servers as {@link Membership.servers} gives it. It is known during an outage and
   * after it, too, once as many are there as before: then nobody is still to come back.
   */
  readonly servers: Effect.Effect<number | undefined>
  /**
   * The number of servers at the last count that was believed; that of the tracked channel without
   * one.
   */
  readonly last: () => number | undefined
}

export interface Membership {
  /**
   * The number of servers, this one included, after what was published before. `undefined` while it
   * is not known, or not to be believed: when connections of this server are down or were so a
   * moment ago, as those of the others may be, or when there is none at all.
   */
  readonly servers: (channel: string, isSharded: boolean) => Effect.Effect<number | undefined>
  /** Counts the servers of a channel again and again. The memory of it is the counter's own. */
  readonly counter: (channel: string, isSharded: boolean) => Counter
  /** Looks from time to time how many servers a channel has: the first one that is given. */
  readonly track: (channel: string, isSharded: boolean) => void
  /** Waits until the tracked channel has as many servers as at the last look. */
  readonly whenBack: Effect.Effect<void>
}

/** After an outage, the count is not believed for so long, in milliseconds. */
const DISTURBED = 2_000
/** Between two looks at the tracked channel, in milliseconds. */
const LOOK_INTERVAL = 1_000
/** The same while the servers come back. */
const RETURN_INTERVAL = 50

export const make = (client: RedisClient["Service"]): Effect.Effect<Membership, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const run = Effect.runForkWith(yield* Effect.context<never>())
    /** The requests that are not sent yet, by their channels. */
    const requests = new Map<string, Deferred.Deferred<number | undefined>>()
    let tracked: { readonly channel: string; readonly isSharded: boolean } | undefined
    let last = 0
    let wasConnected = client.isConnected()
    let hasBeenConnected = wasConnected
    let backAt = -Infinity
    const onChange = () => {
      const isConnected = client.isConnected()
      if (isConnected && !wasConnected) {
        // The first connection follows no outage.
        if (hasBeenConnected) backAt = clock.currentTimeMillisUnsafe()
        hasBeenConnected = true
      }
      wasConnected = isConnected
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => client.onChange(onChange)),
      (stop) => Effect.sync(stop)
    )
    const isDisturbed = () => !client.isConnected() || clock.currentTimeMillisUnsafe() - backAt < DISTURBED

    const ask = (channel: string, isSharded: boolean): Effect.Effect<number | undefined> =>
      client.numSub(channel, isSharded).pipe(
        Effect.map((count) => {
          if (count === 0 || isDisturbed()) return undefined
          if (tracked?.channel === channel) last = count
          return count
        }),
        Effect.catchCause(() => Effect.succeed(undefined))
      )
    const servers = (channel: string, isSharded: boolean): Effect.Effect<number | undefined> =>
      Effect.suspend(() => {
        if (isDisturbed()) return Effect.succeed(undefined)
        const key = `${isSharded ? "s" : "c"}${channel}`
        const waiting = requests.get(key)
        if (waiting !== undefined) return Deferred.await(waiting)
        const answer = Deferred.makeUnsafe<number | undefined>()
        requests.set(key, answer)
        // Messages that this turn publishes leave first, and the callers of one turn share a
        // request.
        setImmediate(() => {
          requests.delete(key)
          run(Effect.flatMap(ask(channel, isSharded), (count) => Deferred.succeed(answer, count)))
        })
        return Deferred.await(answer)
      })

    const routes = routesOf(client)
    const atLeast = (channel: string, isSharded: boolean) =>
      Effect.orElseSucceed(Commands.numSubAtLeast(routes, channel, isSharded), () => 0)
    const counter = (channel: string, isSharded: boolean): Counter => {
      let before = 0
      // Other namespaces have as many servers as the tracked one, or fewer.
      const known = () => (before > 0 ? before : last)
      return {
        servers: Effect.flatMap(servers(channel, isSharded), (count) => {
          if (count !== undefined) {
            before = count
            return Effect.succeed(count)
          }
          const expected = known()
          if (expected === 0) return Effect.undefined
          return Effect.map(atLeast(channel, isSharded), (count) => (count >= expected ? count : undefined))
        }),
        last: () => {
          const count = tracked?.channel === channel ? last : known()
          return count > 0 ? count : undefined
        }
      }
    }

    const look = Effect.suspend(() =>
      tracked === undefined ? Effect.void : Effect.asVoid(servers(tracked.channel, tracked.isSharded))
    )
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(LOOK_INTERVAL), look)))

    const isBack = Effect.suspend(() =>
      tracked === undefined
        ? Effect.succeed(true)
        : Effect.map(atLeast(tracked.channel, tracked.isSharded), (count) => count >= last)
    )
    const whenBack: Effect.Effect<void> = Effect.flatMap(isBack, (isBack) =>
      isBack ? Effect.void : Effect.andThen(Effect.sleep(RETURN_INTERVAL), whenBack)
    )
    return {
      servers,
      counter,
      track: (channel, isSharded) => {
        tracked ??= { channel, isSharded }
      },
      whenBack
    }
  })
