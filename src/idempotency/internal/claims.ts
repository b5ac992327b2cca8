import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"

import { digest } from "./digest.ts"
import type { Ledger } from "./ledger.ts"

/** A message, and where its answer is kept. */
interface Message {
  readonly namespace: string
  readonly event: string
  readonly owner: string | undefined
  readonly id: string
  readonly client: string
  readonly window: number
}

type Claim<E> =
  | { readonly _tag: "Answered"; readonly answer: string }
  | { readonly _tag: "Claimed"; readonly complete: (answer: string) => Effect.Effect<void, E> }

interface Store<E> {
  readonly claim: (key: string) => Effect.Effect<string | undefined, E, Scope.Scope>
  readonly complete: (key: string, answer: string, window: number) => Effect.Effect<void, E>
  readonly remove: (keys: ReadonlyArray<string>) => Effect.Effect<void, E>
  readonly purge?: ((keys: ReadonlyArray<string>) => Effect.Effect<void, E>) | undefined
}

interface Options<E> {
  readonly now: () => number
  readonly maxRunning: number
  readonly full: E
}

/**
 * A message that is being handled. `ended` is there once somebody waits: the answer, if there is
 * one.
 */
interface Running {
  ended: Deferred.Deferred<string | undefined> | undefined
}

/** Drops the answers that are over. */
export const purge = <E>(
  store: Pick<Store<E>, "purge"> | undefined,
  ledger: Ledger,
  now: () => number
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const keys = ledger.purge(now())
    return keys.length === 0 || store?.purge === undefined ? Effect.void : Effect.ignore(store.purge(keys))
  })

const keyOf = ({ event, id, namespace, owner }: Message): string =>
  JSON.stringify([namespace, event, owner ?? null, id])

/**
 * Claims messages: one claim of a message at a time in this process, and in others as far as the
 * store sees to it. Without a store the answers are in the ledger.
 */
export const makeClaims = <E>(
  store: Store<E> | undefined,
  ledger: Ledger,
  { full, maxRunning, now }: Options<E>
): ((message: Message) => Effect.Effect<Claim<E>, E, Scope.Scope>) => {
  const running = new Map<string, Running>()

  const end = (key: string, self: Running, answer: string | undefined) => {
    running.delete(key)
    if (self.ended !== undefined) Deferred.doneUnsafe(self.ended, Effect.succeed(answer))
  }

  const complete = (
    key: string,
    { client, window }: Message,
    self: Running,
    answer: string
  ): Effect.Effect<void, E> => {
    const entry = { key, client, answer, isElsewhere: store !== undefined, window }
    const kept = ledger.fits(entry) ? entry : { ...entry, answer: "" }
    const add = Effect.sync(() => ledger.add(kept, now()))
    // Those who wait are answered in any case: the message was handled.
    const ended = Effect.sync(() => end(key, self, answer))
    if (store === undefined) return Effect.andThen(add, ended)
    return store.complete(key, kept.answer, window).pipe(
      Effect.andThen(purge(store, ledger, now)),
      Effect.andThen(add),
      Effect.flatMap((dropped) => (dropped.length === 0 ? Effect.void : Effect.ignore(store.remove(dropped)))),
      Effect.ensuring(ended)
    )
  }

  /**
   * Claims a message that nobody in this process handles. It is not interrupted but in the store's
   * wait.
   */
  const enter = (key: string, message: Message, scope: Scope.Scope): Effect.Effect<Claim<E>, E> => {
    if (running.size >= maxRunning) return Effect.fail(full)
    const self: Running = { ended: undefined }
    running.set(key, self)
    let isOver = false
    const leave = Effect.sync(() => {
      if (!isOver) end(key, self, undefined)
      isOver = true
    })
    const found =
      store === undefined ? Effect.sync(() => ledger.get(key, now())) : Scope.provide(store.claim(key), scope)
    return Scope.addFinalizer(scope, leave).pipe(
      Effect.andThen(found),
      Effect.map((answer): Claim<E> => {
        if (answer === undefined) {
          return {
            _tag: "Claimed",
            complete: (answer) =>
              Effect.suspend(() => {
                if (isOver) return Effect.void
                isOver = true
                return complete(key, message, self, answer)
              })
          }
        }
        isOver = true
        end(key, self, answer)
        return { _tag: "Answered", answer }
      }),
      // The scope may stay open after a failure.
      Effect.tapCause(() => leave)
    )
  }

  return (message) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.scope, (scope) => {
        const claim = (key: string): Effect.Effect<Claim<E>, E> =>
          Effect.suspend(() => {
            const other = running.get(key)
            if (other === undefined) return enter(key, message, scope)
            const { ended } = other
            const wait = Deferred.await(ended ?? (other.ended = Deferred.makeUnsafe<string | undefined>()))
            return Effect.flatMap(restore(wait), (answer) =>
              answer === undefined ? claim(key) : Effect.succeed<Claim<E>>({ _tag: "Answered", answer })
            )
          })
        return store === undefined ? claim(keyOf(message)) : Effect.flatMap(digest(keyOf(message)), claim)
      })
    )
}
