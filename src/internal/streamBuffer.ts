import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

import { type Overflow, type OverflowError, type StreamOptions, StreamOverflow } from "../StreamOptions.ts"

/** The values that may wait in a stream without an option. */
export const CAPACITY = 10_000

/** The values that wait for the readers of one stream. */
export interface StreamBuffer<in out A, out E> {
  /** Adds a value. At capacity the policy decides. */
  readonly offer: (value: A) => void
  /** Ends the stream after the values that wait. A source that was paused may go on. */
  readonly end: () => void
  /** Takes every value that waits, or waits for one. Of several readers each value reaches one. */
  readonly pull: Effect.Effect<readonly [A, ...Array<A>], E | Cause.Done>
}

/** The source of a stream with the policy `suspend`. Values that it offers while it is paused still wait. */
export interface StreamSource {
  /** The buffer is full: nothing more should be offered for now. */
  readonly pause: () => void
  /** A reader has taken what waited, or the stream has ended. */
  readonly resume: () => void
}

/**
 * Makes the buffer between a source, which offers synchronously, and the readers of a stream. Effect's `Queue` does more, and costs
 * a page more than 2 KB. Without a `source` that can pause, the policy `suspend` would be without a bound, so types ask for one.
 */
export const makeStreamBuffer = <A, const O extends Overflow = "fail">(
  stream: string,
  { capacity = CAPACITY, overflow }: StreamOptions<O> = {},
  ...[source]: "suspend" extends O ? [source: StreamSource] : []
): StreamBuffer<A, OverflowError<O>> => {
  if (!Number.isInteger(capacity) || capacity < 1) throw new RangeError(`capacity of "${stream}": ${capacity}`)
  let values: Array<A> = []
  /** The index of the oldest value, after some were dropped: the array is a ring then. */
  let oldest = 0
  let isPaused = false
  let over: Effect.Effect<never, Cause.Done | StreamOverflow> | undefined
  let waiting: Array<() => void> = []

  const wake = () => {
    for (const waker of waiting.splice(0)) waker()
  }
  const resume = () => {
    if (!isPaused) return
    isPaused = false
    source!.resume()
  }
  const finish = (how: Effect.Effect<never, Cause.Done | StreamOverflow>) => {
    over ??= how
    wake()
    resume()
  }
  const woken = Effect.callback<void>((resume) => {
    // Not within this turn: the source is in the middle of something, and more values may come.
    const waker = () => resume(Effect.yieldNow)
    waiting.push(waker)
    return Effect.sync(() => {
      waiting = waiting.filter((other) => other !== waker)
    })
  })
  const pull: Effect.Effect<any, any> = Effect.suspend(() => {
    if (values.length === 0) return over ?? Effect.flatMap(woken, () => pull)
    const taken = oldest ? [...values.slice(oldest), ...values.slice(0, oldest)] : values
    values = []
    oldest = 0
    resume()
    return Effect.succeed(taken)
  })
  return {
    offer: (value) => {
      if (over) return
      if (values.length >= capacity) {
        if (overflow === "dropNewest") return
        if (overflow === "dropOldest") {
          values[oldest] = value
          oldest = (oldest + 1) % capacity
          return
        }
        if (overflow !== "suspend") return finish(Effect.fail(new StreamOverflow({ stream, capacity })))
      }
      values.push(value)
      if (overflow === "suspend" && values.length >= capacity && !isPaused) {
        isPaused = true
        source!.pause()
      }
      wake()
    },
    end: () => finish(Cause.done()),
    pull
  }
}
