import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"

import { takeTurn } from "../../internal/sharedTurns.ts"
import { digest } from "./digest.ts"
import type { Ledger } from "./ledger.ts"
import { Waiter, WaitingLine } from "./waiting.ts"

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

/** A message that is being handled, and those that wait for it. */
interface Running {
  /** The client for which it is handled, as it is counted. */
  client: string
  /** Whether it is handled, rather than passed on. */
  isHeld: boolean
  isPassedOn: boolean
  /** Made for the first one that waits. */
  line: WaitingLine | undefined
}

const NO_ANSWER = Effect.undefined

/** The copies of a message that are answered in one go: each of them encodes the answer. */
const AT_ONCE = 8

/** Answers those who wait, a few at a time: others have turns in between. */
const answerSome = (line: WaitingLine, answered: Effect.Effect<string>): void => {
  for (let count = 0; count < AT_ONCE; count++) {
    const next = line.shift()
    if (next === undefined) return
    Deferred.doneUnsafe(next.called, answered)
  }
  if (!line.isEmpty) takeTurn(() => answerSome(line, answered), 0)
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
  /** The numbers of messages that are being handled, by client. */
  const shares = new Map<string, number>()

  const giveBack = (client: string) => {
    const left = shares.get(client)! - 1
    if (left > 0) shares.set(client, left)
    else shares.delete(client)
  }

  /**
   * Passes a message on to the one that waits the longest: the others would only wake up to wait
   * again.
   */
  const passOn = (key: string, self: Running) => {
    self.isHeld = false
    // One that takes it in this turn, and ends in this turn, comes here from within.
    if (self.isPassedOn) return
    self.isPassedOn = true
    while (!self.isHeld) {
      const next = self.line?.shift()
      if (next === undefined) {
        running.delete(key)
        break
      }
      self.isHeld = true
      next.hasTurn = true
      Deferred.doneUnsafe(next.called, NO_ANSWER)
    }
    self.isPassedOn = false
  }

  const end = (key: string, self: Running, answer: string | undefined) => {
    giveBack(self.client)
    if (answer === undefined) return passOn(key, self)
    running.delete(key)
    if (self.line !== undefined) answerSome(self.line, Effect.succeed(answer))
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
   * Claims a message that nobody in this process handles, or whose turn it is. It is not
   * interrupted but in the store's wait.
   */
  const enter = (key: string, message: Message, scope: Scope.Scope, turn?: Running): Effect.Effect<Claim<E>, E> => {
    const { client } = message
    const share = shares.get(client) ?? 0
    // One whose turn it is has its place already.
    const free = maxRunning - running.size + (turn === undefined ? 0 : 1)
    // The fewer places are free, the fewer of them are for one client: others find some.
    if (free === 0 || share >= 1 + (free * free) / maxRunning) {
      if (turn !== undefined) passOn(key, turn)
      return Effect.fail(full)
    }
    const self: Running = turn ?? { client, isHeld: true, isPassedOn: false, line: undefined }
    self.client = client
    shares.set(client, share + 1)
    if (turn === undefined) running.set(key, self)
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

  /** Waits for the answer of a message, or for the turn to handle it. */
  const wait = (key: string, self: Running, restore: <A>(effect: Effect.Effect<A>) => Effect.Effect<A>) => {
    const waiter = new Waiter()
    const line = (self.line ??= new WaitingLine())
    line.add(waiter)
    return Effect.onInterrupt(restore(Deferred.await(waiter.called)), () =>
      Effect.sync(() => {
        if (!line.remove(waiter) && waiter.hasTurn) passOn(key, self)
      })
    )
  }

  return (message) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.scope, (scope) => {
        const claim = (key: string): Effect.Effect<Claim<E>, E> =>
          Effect.suspend(() => {
            const other = running.get(key)
            if (other === undefined) return enter(key, message, scope)
            return Effect.flatMap(wait(key, other, restore), (answer) =>
              answer === undefined
                ? enter(key, message, scope, other)
                : Effect.succeed<Claim<E>>({ _tag: "Answered", answer })
            )
          })
        return store === undefined ? claim(keyOf(message)) : Effect.flatMap(digest(keyOf(message)), claim)
      })
    )
}
