import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

import { makeStreamBuffer, type StreamBuffer } from "../../internal/streamBuffer.ts"
import type { OverflowError, StreamOptions } from "../../StreamOptions.ts"
import type { NewsOverflow } from "../NamespaceHandle.ts"

/** Receives the values of a hub. */
export interface Subscriber<in A> {
  /** Takes a value at once, but acts on it later: the hub publishes in the middle of a change. */
  readonly offer: (value: A) => void
  /** The hub has closed. */
  readonly end: () => void
}

/**
 * Publishes values to its subscribers, in a loop: each has a buffer of its own, with its own
 * capacity and its own policy. A hub without subscribers costs next to nothing.
 */
export class Hub<in out A> {
  private readonly subscribers = new Set<Subscriber<A>>()

  /** Whether there are subscribers. */
  get isWatched(): boolean {
    return this.subscribers.size > 0
  }

  publish(value: A): void {
    for (const subscriber of this.subscribers) subscriber.offer(value)
  }

  /** Adds a subscriber; gives the function that removes it. */
  subscribe(subscriber: Subscriber<A>): () => void {
    this.subscribers.add(subscriber)
    return () => void this.subscribers.delete(subscriber)
  }

  /**
   * Streams the values that are published after the stream has started to run, in the form that
   * `pick` returns. It omits values for which `pick` returns `undefined`. `name` is the stream's,
   * for its error.
   */
  stream<B, O extends NewsOverflow = "fail">(
    name: string,
    options: StreamOptions<O> | undefined,
    pick: (value: A) => B | undefined
  ): Stream.Stream<B, OverflowError<O>> {
    const subscription = Effect.acquireRelease(
      Effect.sync(() => {
        // The types exclude the policy that needs a source which can wait.
        const buffer = makeStreamBuffer<B>(name, options as StreamOptions<"fail">) as StreamBuffer<B, OverflowError<O>>
        const offer = (value: A) => {
          const picked = pick(value)
          if (picked !== undefined) buffer.offer(picked)
        }
        return { buffer, remove: this.subscribe({ offer, end: buffer.end }) }
      }),
      ({ remove }) => Effect.sync(remove)
    )
    return Stream.unwrap(Effect.map(subscription, ({ buffer }) => Stream.fromPull(Effect.succeed(buffer.pull))))
  }

  /** Ends every stream, after the values that were published before. */
  close(): void {
    const ended = Array.from(this.subscribers)
    this.subscribers.clear()
    for (const { end } of ended) end()
  }
}
