import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Begins something now, and ends it when the scope closes. */
export const scoped = (begin: () => () => unknown): Effect.Effect<void, never, Scope.Scope> =>
  Effect.uninterruptible(
    Effect.suspend(() => {
      const end = begin()
      return Effect.addFinalizer(() => Effect.sync(end))
    })
  )

/** The context that is here. */
export const contextHere = Effect.withFiber(({ context }) => Effect.succeed(context as Context.Context<any>))
