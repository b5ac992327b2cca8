import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** Values that a stream's reader may be behind. */
export const CAPACITY = 10_000

/**
 * Values on their way to a stream's readers: what offers one, what ends it, and what a reader pulls. Effect's `Queue` does more, which
 * a page would pay for.
 */
export const makeMailbox = <A>(): readonly [
  /** A reader that is too far behind dies of it, when it has read what there is. */
  offer: (value: A) => void,
  end: () => void,
  pull: Effect.Effect<readonly [A, ...Array<A>], Cause.Done>
] => {
  let values: Array<A> = []
  let over: Effect.Effect<never, Cause.Done> | undefined
  let waiting: Array<() => void> = []

  const wake = () => {
    for (const waker of waiting.splice(0)) waker()
  }
  const finish = (how: Effect.Effect<never, Cause.Done>) => {
    over ??= how
    wake()
  }
  const woken = Effect.callback<void>((resume) => {
    // Not within this turn: who offers is in the middle of something, and more may come.
    const waker = () => resume(Effect.yieldNow)
    waiting.push(waker)
    return Effect.sync(() => {
      waiting = waiting.filter((other) => other !== waker)
    })
  })
  const pull: Effect.Effect<readonly [A, ...Array<A>], Cause.Done> = Effect.suspend(() => {
    const taken = values
    if (taken.length === 0) return over ?? Effect.flatMap(woken, () => pull)
    values = []
    return Effect.succeed(taken as [A, ...Array<A>])
  })
  return [
    (value) => {
      if (over !== undefined) return
      if (values.length === CAPACITY) {
        return finish(Effect.die(new Error(`behind by more than ${CAPACITY} values`)))
      }
      values.push(value)
      wake()
    },
    () => finish(Cause.done()),
    pull
  ]
}
