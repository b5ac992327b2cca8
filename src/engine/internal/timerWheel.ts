import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"

/**
 * Something with a deadline. It stands in at most one bucket of one wheel.
 */
export interface WheelEntry {
  /** Written by the wheel alone; `IDLE` when nothing is scheduled. */
  bucket: number
  /** Called once, when the deadline has passed. */
  onDeadline(): void
  /** Takes what `onDeadline` has thrown. Default: it is logged. */
  onDefect?(defect: unknown): void
}

/** Nothing is scheduled for the entry. */
export const IDLE = -1

/** The deadline has passed, and the entry is about to be called in this sweep. */
const DUE = -2

/** A pause of the process that is longer than this many steps does not count against the peers. */
const MAX_STEPS = 10

/**
 * One timer for every deadline of a server, instead of one per connection and purpose: a deadline costs an entry in a set.
 * Deadlines are rounded up to the next step, so nothing expires early.
 *
 * Time is the Clock's monotonic one: a change of the wall clock moves nothing. When the process was suspended or blocked,
 * the wheel advances by `MAX_STEPS` at the most, as the pongs that came meanwhile have not been read yet.
 */
export class TimerWheel {
  readonly step: number
  private readonly clock: Clock.Clock
  private readonly occupied: Latch.Latch
  private readonly buckets = new Map<number, Set<WheelEntry>>()
  private size = 0
  private current = 0
  private swept: number

  constructor(step: number, clock: Clock.Clock, occupied: Latch.Latch) {
    this.step = step
    this.clock = clock
    this.occupied = occupied
    this.swept = this.now()
  }

  /** Schedules the entry to be called after `millis`; replaces the deadline that it has. */
  schedule(entry: WheelEntry, millis: number): void {
    if (entry.bucket !== IDLE) this.cancel(entry)
    if (this.size === 0) {
      this.swept = this.now()
      this.occupied.openUnsafe()
    }
    // The current step is already partly over: one more makes sure that the deadline is not early.
    const at = this.current + Math.ceil(millis / this.step) + 1
    let bucket = this.buckets.get(at)
    if (bucket === undefined) this.buckets.set(at, (bucket = new Set()))
    bucket.add(entry)
    entry.bucket = at
    this.size++
  }

  cancel(entry: WheelEntry): void {
    const at = entry.bucket
    entry.bucket = IDLE
    if (at < 0) return
    const bucket = this.buckets.get(at)!
    bucket.delete(entry)
    if (bucket.size === 0) this.buckets.delete(at)
    if (--this.size === 0) this.occupied.closeUnsafe()
  }

  /** Calls what is due. */
  sweep(): void {
    const now = this.now()
    const elapsed = Math.floor((now - this.swept) / this.step)
    if (elapsed <= 0) return
    this.swept = elapsed > MAX_STEPS ? now : this.swept + elapsed * this.step
    const defects: Array<unknown> = []
    for (let i = Math.min(elapsed, MAX_STEPS); i > 0; i--) {
      const bucket = this.buckets.get(++this.current)
      if (bucket === undefined) continue
      this.buckets.delete(this.current)
      this.size -= bucket.size
      for (const entry of bucket) entry.bucket = DUE
      for (const entry of bucket) {
        // The deadline of one entry may have rescheduled or cancelled another one of the same bucket.
        if (entry.bucket !== DUE) continue
        entry.bucket = IDLE
        try {
          entry.onDeadline()
        } catch (defect) {
          if (entry.onDefect === undefined) defects.push(defect)
          else entry.onDefect(defect)
        }
      }
    }
    if (this.size === 0) this.occupied.closeUnsafe()
    if (defects.length > 0) throw defects.length === 1 ? defects[0] : new AggregateError(defects, "several deadlines")
  }

  /** The monotonic time in milliseconds. */
  now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  }
}

/**
 * Makes a wheel and the fiber that turns it, for the lifetime of the scope. The fiber sleeps while nothing is scheduled.
 */
export const make = (step: Duration.Duration): Effect.Effect<TimerWheel, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const occupied = yield* Latch.make(false)
    const wheel = new TimerWheel(Duration.toMillis(step), clock, occupied)
    yield* occupied.await.pipe(
      Effect.andThen(Effect.sync(() => wheel.sweep())),
      // Everybody's deadlines depend on it: a bug in one of them must not stop it.
      Effect.catchCause((cause) => Effect.logError("a deadline has failed", cause)),
      Effect.repeat(Schedule.spaced(step)),
      Effect.forkScoped({ startImmediately: true })
    )
    return wheel
  })
