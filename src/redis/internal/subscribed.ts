import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import type { RedisClient } from "../RedisClient.ts"
import type { SubscriptionKind } from "../RedisCommand.ts"

/** Subscribes until the scope closes. */
export const subscribed = (
  redis: RedisClient["Service"],
  kind: SubscriptionKind,
  name: string,
  onMessage: (channel: string, message: Uint8Array) => void
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => redis.subscribe(kind, name, { onMessage })),
      ({ unsubscribe }) => Effect.sync(unsubscribe)
    )
  )

/**
 * Says goodbye when the scope closes. While Redis is away nobody would hear it: that is no loss,
 * and the others see the server disappear.
 */
export const sayGoodbye = (redis: RedisClient["Service"], say: () => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.addFinalizer(() =>
    Effect.sync(() => {
      if (redis.isConnected()) say()
    })
  )
