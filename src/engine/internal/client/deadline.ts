import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

interface Runtime {
  readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  readonly now: () => number
}

/** A deadline that is moved often: moving it costs nothing, as one fiber sleeps until it has come. */
export class Deadline {
  readonly #runtime: Runtime
  readonly #onPassed: () => void
  /** When it is, in the runtime's milliseconds. */
  at = Infinity
  /** When the fiber looks again. */
  #wakes = Infinity
  #fiber: Fiber.Fiber<unknown, unknown> | undefined

  constructor(runtime: Runtime, onPassed: () => void) {
    this.#runtime = runtime
    this.#onPassed = onPassed
  }

  /** Sets the deadline, in milliseconds from now. */
  set(millis: number): void {
    this.at = this.#runtime.now() + millis
    if (this.#wakes <= this.at) return
    this.#fiber?.interruptUnsafe()
    this.#sleep()
  }

  clear(): void {
    this.at = this.#wakes = Infinity
    this.#fiber?.interruptUnsafe()
    this.#fiber = undefined
  }

  #sleep(): void {
    this.#wakes = this.at
    // A fraction that a duration cannot say would be no sleep at all, again and again.
    const left = Math.max(0, Math.ceil(this.at - this.#runtime.now()))
    if (left === Infinity) return
    this.#fiber = this.#runtime.runFork(
      Effect.andThen(
        Effect.sleep(Duration.millis(left)),
        Effect.sync(() => {
          this.#wakes = Infinity
          this.#fiber = undefined
          if (this.#runtime.now() < this.at) this.#sleep()
          else {
            this.at = Infinity
            this.#onPassed()
          }
        })
      )
    )
  }
}
