import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"

import type { Followed, Piece, Store, StreamLogError } from "../StreamStore.ts"
import type { LogEntry } from "./entry.ts"
import type { Ledger } from "./ledger.ts"

/**
 * For how long a stream of another server is still followed after its last reader, in milliseconds.
 */
const LINGER = 10_000

const AGAIN = Schedule.spaced(Duration.millis(500))

/** Adds a piece. It may overlap with what is there, or begin after values that were dropped. */
const add = (ledger: Ledger, mirror: LogEntry, { end, from, values }: Piece): void => {
  if (from > mirror.length) ledger.skip(mirror, from)
  for (const value of values.slice(mirror.length - from)) ledger.add(mirror, value)
  mirror.tell()
  if (end !== undefined) ledger.finish(mirror, end)
}

/**
 * Adds pieces. If they cannot be held, as they are damaged, the stream ends for its readers here.
 */
const addAll = (ledger: Ledger, mirror: LogEntry, pieces: ReadonlyArray<Piece>): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const piece of pieces) add(ledger, mirror, piece)
  }).pipe(
    Effect.catchDefect((defect) => {
      ledger.finish(mirror, { _tag: "Lost" })
      return Effect.logWarning("the values of a stream in the store cannot be read", defect)
    })
  )

/** Adds the pieces of a stream, until its end. */
const feed = (ledger: Ledger, mirror: LogEntry, { changed, pieces, reading }: Followed, scope: Scope.Closeable) =>
  pieces.pipe(
    Effect.retry(AGAIN),
    Effect.tap((found) => addAll(ledger, mirror, found)),
    Effect.flatMap((found) => {
      const told = mirror.readers > 0 ? Effect.ignore(reading) : Effect.void
      return found.length === 0 ? Effect.andThen(told, changed) : told
    }),
    Effect.repeat({ until: () => mirror.end !== undefined }),
    Effect.ignore,
    Effect.ensuring(Scope.close(scope, Exit.void))
  )

/** Streams of other servers, as logs of this one, while somebody reads them. */
export const makeMirrors = (ledger: Ledger, store: Store, full: () => StreamLogError) =>
  Effect.gen(function* () {
    const run = yield* FiberSet.makeRuntime<never, void>()
    const opening = new Map<string, Deferred.Deferred<LogEntry | undefined, StreamLogError>>()

    const start = (id: string): Effect.Effect<LogEntry | undefined, StreamLogError> =>
      Effect.uninterruptibleMask((restore) => {
        const scope = Scope.makeUnsafe()
        const followed = Effect.gen(function* () {
          const followed = yield* Scope.provide(store.follow(id), scope)
          return followed === undefined ? undefined : ([followed, yield* followed.pieces] as const)
        })
        return restore(followed).pipe(
          Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
          Effect.flatMap((found) => {
            if (found === undefined) return Effect.as(Scope.close(scope, Exit.void), undefined)
            if (ledger.isFull) return Effect.andThen(Scope.close(scope, Exit.void), Effect.fail(full()))
            const [{ about }, pieces] = found
            // Its share is its own: it is no client of this server that makes its values.
            const mirror = ledger.begin({ id, about, client: `mirror ${id}`, idle: LINGER }, true)
            return Effect.map(addAll(ledger, mirror, pieces), () => {
              const fiber = run(feed(ledger, mirror, found[0], scope))
              mirror.interrupt = () => fiber.interruptUnsafe()
              return mirror
            })
          })
        )
      })

    return {
      /**
       * Opens the log of a stream of another server; several at once that want the same one get
       * one.
       */
      open: (id: string): Effect.Effect<LogEntry | undefined, StreamLogError> =>
        Effect.suspend(() => {
          const other = opening.get(id)
          if (other !== undefined) return Deferred.await(other)
          const deferred = Deferred.makeUnsafe<LogEntry | undefined, StreamLogError>()
          opening.set(id, deferred)
          // Not in the fiber of the one that came first: the others wait for it, too.
          run(
            Effect.onExit(start(id), (exit) =>
              Effect.sync(() => {
                opening.delete(id)
                Deferred.doneUnsafe(deferred, exit)
              })
            ).pipe(Effect.ignore)
          )
          return Deferred.await(deferred)
        })
    }
  })
