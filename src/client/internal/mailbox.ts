import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** Values that a stream's reader may be behind. */
export const CAPACITY = 10_000

/** Values on their way to a stream's readers. Effect's `Queue` does more, which a page would pay for. */
export class Mailbox<A> {
  #values: Array<A> = []
  #end: Effect.Effect<never, Cause.Done> | undefined
  readonly #wakers = new Set<() => void>()

  /** A reader that is too far behind dies of it, when it has read what there is. */
  readonly offer = (value: A): void => {
    if (this.#end !== undefined) return
    if (this.#values.push(value) <= CAPACITY) return this.#wake()
    this.#values.pop()
    this.#finish(Effect.die(new Error(`a reader is behind by more than ${CAPACITY} values`)))
  }

  readonly end = (): void => {
    if (this.#end === undefined) this.#finish(Cause.done())
  }

  get stream(): Stream.Stream<A> {
    return Stream.fromPull(Effect.succeed(this.#pull))
  }

  readonly #pull: Effect.Effect<readonly [A, ...Array<A>], Cause.Done> = Effect.suspend(() => {
    const values = this.#values
    if (values.length === 0) return this.#end ?? Effect.flatMap(this.#woken, () => this.#pull)
    this.#values = []
    return Effect.succeed(values as [A, ...Array<A>])
  })

  readonly #woken = Effect.callback<void>((resume) => {
    // Not within this turn: who offers is in the middle of something, and more may come.
    const waker = () => resume(Effect.yieldNow)
    this.#wakers.add(waker)
    return Effect.sync(() => this.#wakers.delete(waker))
  })

  #finish(end: Effect.Effect<never, Cause.Done>): void {
    this.#end = end
    this.#wake()
  }

  #wake(): void {
    for (const waker of this.#wakers) {
      this.#wakers.delete(waker)
      waker()
    }
  }
}
