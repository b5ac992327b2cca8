import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import type { RedisClient } from "../RedisClient.ts"
import { routesOf } from "./routes.ts"

/**
 * Watches the server of a sharded channel, or of everything that is not sharded, until the scope
 * closes. Gives for how long there has been no connection with it, in milliseconds.
 */
export const make = (
  client: RedisClient["Service"],
  channel: string,
  isSharded: boolean
): Effect.Effect<() => number, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const routes = routesOf(client)
    let since: number | undefined
    const look = () => {
      const lane = isSharded ? routes.laneOf(channel) : routes.commonLane()
      if (lane?.line.connection !== undefined) since = undefined
      else since ??= clock.currentTimeMillisUnsafe()
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        look()
        return routes.onChange(look)
      }),
      (stop) => Effect.sync(stop)
    )
    return () => (since === undefined ? 0 : clock.currentTimeMillisUnsafe() - since)
  })
