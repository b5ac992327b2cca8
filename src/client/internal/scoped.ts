import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Begins something now, and ends it when the scope closes. Returns what ends it earlier. */
export const scoped = (begin: () => () => unknown): Effect.Effect<() => unknown, never, Scope.Scope> =>
  Effect.uninterruptible(
    Effect.suspend(() => {
      const end = begin()
      return Effect.map(
        Effect.addFinalizer(() => Effect.sync(end)),
        () => end
      )
    })
  )

/** The context that is here. */
export const contextHere = Effect.withFiber(({ context }) => Effect.succeed(context as Context.Context<any>))
