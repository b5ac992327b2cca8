import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"

/** The time in milliseconds for which a server believes another one that somebody looks there. */
const LEASE = 10_000

/**
 * The viewers of a server: administrators that are connected here, and servers that say the same of
 * theirs.
 */
export class Viewers {
  private readonly ids = new Set<string>()
  private leaseEnd = -Infinity
  private readonly some = Latch.makeUnsafe(false)
  private readonly none = Latch.makeUnsafe(true)

  /** The ids of the administrators that are connected here. */
  get local(): ReadonlyArray<string> {
    return Array.from(this.ids)
  }

  add(id: string, now: number): void {
    this.ids.add(id)
    this.update(now)
  }

  remove(id: string, now: number): void {
    this.ids.delete(id)
    this.update(now)
  }

  /** Somebody looks at another server. */
  lease(now: number): void {
    this.leaseEnd = now + LEASE
    this.update(now)
  }

  /** Looks whether a lease has ended. */
  update(now: number): void {
    if (this.ids.size > 0 || now < this.leaseEnd) {
      this.none.closeUnsafe()
      this.some.openUnsafe()
    } else {
      this.some.closeUnsafe()
      this.none.openUnsafe()
    }
  }

  /**
   * Runs an effect, in a scope of its own, as long as somebody looks, each time that somebody does.
   */
  whileAny<E, R>(work: Effect.Effect<never, E, R>): Effect.Effect<never, E, Exclude<R, Scope.Scope>> {
    return Effect.forever(Effect.andThen(this.some.await, Effect.raceFirst(Effect.scoped(work), this.none.await)))
  }
}
