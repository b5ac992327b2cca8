/**
 * Whether new clients should come to a server, and why not.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"

/**
 * Whether a balancer should lead new clients to a server.
 *
 * - `ready`: yes.
 * - `draining`: no, from the first moment of a drain or a shutdown on.
 * - `disconnected`: no, because the server does not reach the others of its cluster. This is the
 *   application's choice.
 * - `held`: no, because the application says so.
 * - `full`: no, because there are as many connections as there may be (`limits.maxConnections`).
 *
 * @since 0.1.0
 * @category models
 */
export type Readiness = "ready" | NotReady

/**
 * The reasons why a server is not ready. If there are several, the first of this list is told:
 * `draining`, `disconnected`, `held`, `full`.
 *
 * @since 0.1.0
 * @category models
 */
export type NotReady = "draining" | "disconnected" | "held" | "full"

const ORDER: ReadonlyArray<NotReady> = ["draining", "disconnected", "held", "full"]

/**
 * The reasons why one server is not ready now.
 *
 * @since 0.1.0
 * @category models
 */
export class ReadinessState {
  private readonly counts: Record<NotReady, number> = { draining: 0, disconnected: 0, held: 0, full: 0 }
  private readonly ref: SubscriptionRef.SubscriptionRef<Readiness>
  private published: Readiness = "ready"
  private isPublishing = false

  constructor(ref: SubscriptionRef.SubscriptionRef<Readiness>) {
    this.ref = ref
  }

  get current(): Readiness {
    for (const reason of ORDER) if (this.counts[reason] > 0) return reason
    return "ready"
  }

  /** The current state, and then each change. A slow reader delays nothing. */
  get changes(): Stream.Stream<Readiness> {
    return SubscriptionRef.changes(this.ref)
  }

  /** The server is not ready for one more reason. Each call is taken back by one of {@link remove}. */
  add(reason: NotReady): void {
    this.counts[reason]++
    this.publish()
  }

  remove(reason: NotReady): void {
    this.counts[reason]--
    this.publish()
  }

  /** All changes of a turn are one: a connection that is admitted gives its place back and takes it anew. */
  private publish(): void {
    if (this.isPublishing) return
    this.isPublishing = true
    Effect.runFork(
      Effect.andThen(
        Effect.yieldNow,
        Effect.suspend(() => {
          const { current } = this
          this.isPublishing = false
          if (current === this.published) return Effect.void
          this.published = current
          return SubscriptionRef.set(this.ref, current)
        })
      )
    )
  }
}

/**
 * Makes the state of a server, which is ready.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<ReadinessState> = Effect.map(
  SubscriptionRef.make<Readiness>("ready"),
  (ref) => new ReadinessState(ref)
)
