import { CAPACITY } from "./streamCapacity.ts"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

import { type Overflow, type OverflowError, type StreamOptions, StreamOverflow } from "../StreamOptions.ts"

/** The waiting values of one stream. */
export interface StreamBuffer<in out A, out E> {
  /** Adds a value. When the buffer is full, the policy decides. */
  readonly offer: (value: A) => void
  /** Ends the stream after the waiting values. */
  readonly end: () => void
  /**
   * Takes every waiting value, or waits for one. With several readers, each value goes to one of
   * them.
   */
  readonly pull: Effect.Effect<readonly [A, ...Array<A>], E | Cause.Done>
}

/**
 * Makes the buffer between a source that cannot wait and the readers of a stream. Effect's `Queue`
 * can do more, and would add more than 2 KB to a page.
 */
export const makeStreamBuffer = <A, const O extends Exclude<Overflow, "suspend"> = "fail">(
  stream: string,
  { capacity = CAPACITY, overflow }: StreamOptions<O> = {}
): StreamBuffer<A, OverflowError<O>> => {
  let values: Array<A> = []
  let over: Effect.Effect<never, Cause.Done | StreamOverflow> | undefined
  let waiting: Array<() => void> = []

  const wake = () => {
    for (const waker of waiting.splice(0)) waker()
  }
  const finish = (how: Effect.Effect<never, Cause.Done | StreamOverflow>) => {
    over ??= how
    wake()
  }
  const woken = Effect.callback<void>((resume) => {
    // The reader continues in a later turn: the source is in the middle of a task, and may add more
    // values.
    const waker = () => resume(Effect.yieldNow)
    waiting.push(waker)
    return Effect.sync(() => {
      waiting = waiting.filter((other) => other !== waker)
    })
  })
  const pull: Effect.Effect<any, any> = Effect.suspend(() => {
    const taken = values
    if (taken.length === 0) return over ?? Effect.flatMap(woken, () => pull)
    values = []
    return Effect.succeed(taken)
  })
  return {
    offer: (value) => {
      if (over) return
      // This also treats a capacity of NaN as 0.
      if (!(values.length < capacity)) {
        if (overflow === "dropNewest") return
        if (overflow !== "dropOldest") return finish(Effect.fail(new StreamOverflow({ stream, capacity })))
        values.shift()
      }
      values.push(value)
      wake()
    },
    end: () => finish(Cause.done()),
    pull
  }
}

/** A source that can wait. Values that it adds while it is paused still wait in the buffer. */
export interface PausableSource {
  /** The buffer is full: the source should add no more values for now. */
  readonly pause: () => void
  /** A reader has taken the waiting values, or the stream has ended. */
  readonly resume: () => void
}

/** Makes the buffer of a stream with the policy `suspend`. */
export const makeSuspendingBuffer = <A>(
  stream: string,
  { capacity = CAPACITY }: StreamOptions<"suspend">,
  source: PausableSource
): StreamBuffer<A, never> => {
  const { end, offer, pull } = makeStreamBuffer<A, "dropNewest">(stream, { capacity: Infinity, overflow: "dropNewest" })
  let waiting = 0
  let isPaused = false
  let isOver = false
  const resume = () => {
    waiting = 0
    if (!isPaused) return
    isPaused = false
    source.resume()
  }
  return {
    offer: (value) => {
      offer(value)
      if (++waiting < capacity || isPaused || isOver) return
      isPaused = true
      source.pause()
    },
    end: () => {
      end()
      resume()
      isOver = true
    },
    pull: Effect.tap(pull, () => Effect.sync(resume))
  }
}
