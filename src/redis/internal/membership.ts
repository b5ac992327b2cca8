/**
 * How many servers there are: the number of subscribers of a channel that each of them subscribes to.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import type { RedisClient } from "../RedisClient.ts"

export interface Membership {
  /**
   * The number of servers, this one included. `undefined` while it is not known, or not to be believed: when connections of this
   * server are down or were so a moment ago, as those of the others may be, or when there is none at all.
   */
  readonly servers: (channel: string, isSharded: boolean) => Effect.Effect<number | undefined>
}

/** After an outage, the count is not believed for so long, in milliseconds. */
const DISTURBED = 2_000
/** Callers within this time share one request, in milliseconds. */
const SHARED = 50

interface Request {
  readonly at: number
  readonly answer: Deferred.Deferred<number | undefined>
}

export const make = (client: RedisClient["Service"]): Effect.Effect<Membership, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const clock = yield* Clock.Clock
    const requests = new Map<string, Request>()
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

    const ask = (channel: string, isSharded: boolean, { answer }: Request) =>
      client.numSub(channel, isSharded).pipe(
        Effect.map((count) => (count === 0 || isDisturbed() ? undefined : count)),
        Effect.catchCause(() => Effect.succeed(undefined)),
        Effect.flatMap((count) => Deferred.succeed(answer, count))
      )

    return {
      servers: (channel, isSharded) =>
        Effect.suspend(() => {
          if (isDisturbed()) return Effect.succeed(undefined)
          const key = `${isSharded ? "s" : "c"}${channel}`
          const now = clock.currentTimeMillisUnsafe()
          const running = requests.get(key)
          if (running !== undefined && now - running.at < SHARED) return Deferred.await(running.answer)
          const request: Request = { at: now, answer: Deferred.makeUnsafe() }
          requests.set(key, request)
          return ask(channel, isSharded, request).pipe(
            Effect.forkIn(scope, { startImmediately: true }),
            Effect.andThen(Deferred.await(request.answer))
          )
        })
    }
  })
