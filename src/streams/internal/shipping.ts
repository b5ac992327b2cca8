import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"

import type { Store, StreamLogError, Wishes } from "../StreamStore.ts"
import type { LogEntry } from "./entry.ts"
import type { Ledger } from "./ledger.ts"

/** The values of one piece, and their bytes beyond the first one. */
const MAX_ITEMS = 500
const MAX_BYTES = 262_144

/** The pause after which a store that has failed is tried again. */
const AGAIN = Schedule.spaced(Duration.millis(500))

/** For how long a server that ends waits for the last pieces of its streams. */
const FAREWELL = Duration.seconds(2)

/** Sends the values of a log, and its end; closes the scope then. */
const ship = (ledger: Ledger, store: Store, entry: LogEntry, scope: Scope.Closeable): Effect.Effect<void> => {
  const more = Latch.makeUnsafe(false)
  entry.shipper = { onChange: () => void more.openUnsafe() }
  let at = 0
  /** Sends what there is. Yields whether the end was among it. */
  const send: Effect.Effect<boolean, StreamLogError> = Effect.suspend(() => {
    more.closeUnsafe()
    const from = Math.max(at, entry.start)
    const values = entry.slice(from, MAX_ITEMS, MAX_BYTES)
    const next = from + values.length
    const end = next === entry.length ? entry.end : undefined
    if (values.length === 0 && end === undefined) return Effect.as(more.await, false)
    return Effect.map(store.append(entry.id, { from, values, kept: entry.start, end }), () => {
      at = next
      return end !== undefined
    })
  })
  return send.pipe(
    Effect.retry({
      schedule: AGAIN,
      // A log that was dropped has nothing to send any more.
      while: () => ledger.get(entry.id) === entry
    }),
    Effect.repeat({ until: (isOver) => isOver }),
    Effect.ignore,
    Effect.ensuring(
      Effect.suspend(() => {
        entry.shipper = undefined
        if (ledger.get(entry.id) !== entry) entry.clear()
        return Scope.close(scope, Exit.void)
      })
    )
  )
}

/**
 * Copies the streams of this server to a store. While that does not answer, the values wait in
 * their logs.
 */
export const makeShipping = (ledger: Ledger, store: Store) =>
  Effect.gen(function* () {
    const fibers = yield* FiberSet.make<void>()
    const run = yield* FiberSet.runtime(fibers)<never>()
    yield* Effect.addFinalizer(() => Effect.timeoutOption(FiberSet.awaitEmpty(fibers), FAREWELL))

    return {
      /** Begins to copy a stream, unless another one has its key: then it gives the id of that. */
      begin: (entry: LogEntry, wishes: Wishes): Effect.Effect<string | undefined, StreamLogError> =>
        Effect.uninterruptibleMask((restore) => {
          const scope = Scope.makeUnsafe()
          return restore(Scope.provide(store.begin(entry.id, entry.about, wishes), scope)).pipe(
            Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
            Effect.flatMap((other) => {
              if (other !== undefined) return Effect.as(Scope.close(scope, Exit.void), other)
              run(ship(ledger, store, entry, scope))
              return Effect.undefined
            })
          )
        })
    }
  })
