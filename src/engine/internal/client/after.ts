import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** How a client runs its effects. */
export type RunFork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

/** Calls back after some milliseconds; gives the function that forgets it. */
export const after = (runFork: RunFork, millis: number, callback: () => void): (() => void) => {
  const sleeping = runFork(Effect.sleep(millis))
  sleeping.addObserver(({ _tag }) => {
    if (_tag === "Success") callback()
  })
  return () => sleeping.interruptUnsafe()
}
