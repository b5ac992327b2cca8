import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

import { type Overflow, type OverflowError, type StreamOptions, StreamOverflow } from "../StreamOptions.ts"

/** The values that may wait in a stream without an option. */
export const CAPACITY = 10_000

/** The values that wait for the readers of one stream. */
export interface StreamBuffer<in out A, out E> {
  /** Adds a value. At capacity the policy decides. */
  readonly offer: (value: A) => void
  /** Ends the stream after the values that wait. */
  readonly end: () => void
  /** Takes every value that waits, or waits for one. Of several readers each value reaches one. */
  readonly pull: Effect.Effect<readonly [A, ...Array<A>], E | Cause.Done>
}

/**
 * Makes the buffer between a source that cannot wait and the readers of a stream. Effect's `Queue`
 * does more, and would cost a page more than 2 KB.
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
    // Not within this turn: the source is in the middle of something, and more values may come.
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
      // A capacity that is no number has room for nothing.
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

/** A source that can wait. Values that it offers while it is paused still wait in the buffer. */
export interface PausableSource {
  /** The buffer is full: nothing more should be offered for now. */
  readonly pause: () => void
  /** A reader has taken what waited, or the stream has ended. */
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
