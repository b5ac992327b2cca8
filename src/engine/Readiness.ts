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
 * - `draining`: no, from the first moment of a drain on, or from that of a shutdown at which the
 *   layer of the last namespace closes.
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

  /** The server is not ready for one more reason. A call of {@link remove} takes one back. */
  add(reason: NotReady): void {
    this.counts[reason]++
    this.publish()
  }

  remove(reason: NotReady): void {
    this.counts[reason]--
    this.publish()
  }

  private publish(): void {
    const { current } = this
    if (current === this.published) return
    this.published = current
    // It ends at once, unless another change is being published: the last one has the latest state.
    Effect.runFork(Effect.suspend(() => SubscriptionRef.set(this.ref, this.current)))
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
