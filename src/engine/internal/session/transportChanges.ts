import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

/** A session whose transport is watched. */
interface Watched {
  readonly isOpen: boolean
  /** Set while somebody watches. */
  watchers: Set<(name: string | undefined) => void> | undefined
  guarded(action: () => void): void
}

/** Calls back with each transport that the session changes to, and with `undefined` at its end. */
export const watch = (session: Watched, onChange: (name: string | undefined) => void): (() => void) => {
  if (!session.isOpen) {
    onChange(undefined)
    return () => {}
  }
  const watchers = (session.watchers ??= new Set())
  watchers.add(onChange)
  return () => {
    watchers.delete(onChange)
    if (watchers.size === 0 && session.watchers === watchers) session.watchers = undefined
  }
}

export const tellWatchers = (session: Watched, name: string | undefined): void => {
  for (const onChange of session.watchers ?? []) session.guarded(() => onChange(name))
  // There is nothing to tell after the end.
  if (name === undefined) session.watchers = undefined
}

/** A session whose transport changes. */
interface Changing {
  readonly transport: string
  watchTransport(onChange: (name: string | undefined) => void): () => void
}

/**
 * Streams the names of a session's transports: the current one, and then each one that it changes
 * to.
 */
export const transportsOf = (session: Changing): Stream.Stream<string> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const queue = yield* Queue.unbounded<string, Cause.Done>()
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          Queue.offerUnsafe(queue, session.transport)
          return session.watchTransport((name) =>
            name === undefined ? void Queue.endUnsafe(queue) : void Queue.offerUnsafe(queue, name)
          )
        }),
        (stop) => Effect.sync(stop)
      )
      return Stream.fromQueue(queue)
    })
  )
