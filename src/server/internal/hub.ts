import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"

/** The values that a subscriber may be behind. One that is further behind loses the oldest. */
const CAPACITY = 10_000

/** Follows the last value. */
const end = Symbol("end")

/**
 * Publishes news to its subscribers. Its `PubSub` is made for the first of them and dropped after
 * the last, so that a hub without subscribers costs next to nothing.
 */
export class Hub<A> {
  private pubsub: PubSub.PubSub<A | typeof end> | undefined
  private subscribers = 0

  /** Whether there are subscribers. */
  get isWatched(): boolean {
    return this.subscribers > 0
  }

  publish(value: A): void {
    const { pubsub } = this
    if (pubsub === undefined || PubSub.publishUnsafe(pubsub, value)) return
    // A subscriber is behind by the whole capacity: only the effect drops its oldest value.
    Effect.runSync(PubSub.publish(pubsub, value))
  }

  /** The values that are published after the stream has started to run. */
  readonly stream: Stream.Stream<A> = Stream.unwrap(
    Effect.gen({ self: this }, function* () {
      const pubsub = yield* Effect.acquireRelease(
        Effect.gen({ self: this }, function* () {
          this.pubsub ??= yield* PubSub.sliding<A | typeof end>(CAPACITY)
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
      // A subscriber that waits is resumed from within `publish`. It must act after the change that
      // it is told of, and not in the middle of it.
      const later = Stream.transformPull(Stream.fromSubscription(yield* PubSub.subscribe(pubsub)), (pull) =>
        Effect.succeed(Effect.tap(pull, () => Effect.yieldNow))
      )
      return Stream.takeWhile(later, (value): value is A => value !== end)
    })
  )

  /** Ends every stream, after the values that were published before. */
  close(): void {
    const { pubsub } = this
    this.pubsub = undefined
    if (pubsub !== undefined) Effect.runSync(PubSub.end(pubsub, end))
  }
}
