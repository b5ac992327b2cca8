import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"

/** Values that a subscriber may be behind: who is further loses the oldest. */
const CAPACITY = 10_000

/**
 * Tells whoever listens what happens. It comes into being with its first subscriber and goes with the last, so that one
 * which nobody uses costs nothing.
 */
export class Hub<A> {
  private pubsub: PubSub.PubSub<A> | undefined
  private subscribers = 0

  /** Whether anybody listens. */
  get isWatched(): boolean {
    return this.subscribers > 0
  }

  publish(value: A): void {
    if (this.pubsub !== undefined) PubSub.publishUnsafe(this.pubsub, value)
  }

  /** What is published from the moment on in which the stream is run. */
  readonly stream: Stream.Stream<A> = Stream.unwrap(
    Effect.gen({ self: this }, function* () {
      const pubsub = yield* Effect.acquireRelease(
        Effect.gen({ self: this }, function* () {
          this.pubsub ??= yield* PubSub.sliding<A>(CAPACITY)
          this.subscribers++
          return this.pubsub
        }),
        (pubsub) =>
          Effect.suspend(() => {
            if (--this.subscribers > 0) return Effect.void
            this.pubsub = undefined
            return PubSub.shutdown(pubsub)
          })
      )
      return Stream.fromSubscription(yield* PubSub.subscribe(pubsub))
    })
  )

  /** Ends every stream. */
  close(): void {
    const { pubsub } = this
    this.pubsub = undefined
    if (pubsub !== undefined) Effect.runFork(PubSub.shutdown(pubsub))
  }
}
