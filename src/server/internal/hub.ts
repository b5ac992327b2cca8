import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"

/** Values that a subscriber may be behind: who is further loses the oldest. */
const CAPACITY = 10_000

/** Stands behind the last value. */
const end = Symbol("end")

/**
 * Tells whoever listens what happens. It comes into being with its first subscriber and goes with the last, so that one
 * which nobody uses costs nothing.
 */
export class Hub<A> {
  private pubsub: PubSub.PubSub<A | typeof end> | undefined
  private subscribers = 0

  /** Whether anybody listens. */
  get isWatched(): boolean {
    return this.subscribers > 0
  }

  publish(value: A): void {
    const { pubsub } = this
    if (pubsub === undefined || PubSub.publishUnsafe(pubsub, value)) return
    // Somebody is behind by all that there is room for: only the effect makes room.
    Effect.runSync(PubSub.publish(pubsub, value))
  }

  /** What is published from the moment on in which the stream is run. */
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
      // A subscriber that waits is resumed from within `publish`. What it does shall come after what it is told of, not amid.
      const later = Stream.transformPull(Stream.fromSubscription(yield* PubSub.subscribe(pubsub)), (pull) =>
        Effect.succeed(Effect.tap(pull, () => Effect.yieldNow))
      )
      return Stream.takeWhile(later, (value): value is A => value !== end)
    })
  )

  /** Ends every stream, after what was published before. */
  close(): void {
    const { pubsub } = this
    this.pubsub = undefined
    if (pubsub !== undefined) Effect.runSync(PubSub.end(pubsub, end))
  }
}
