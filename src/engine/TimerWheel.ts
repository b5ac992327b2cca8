/**
 * Deadlines of many connections on one timer.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"

/**
 * Something with a deadline. It is in at most one slot of one wheel.
 *
 * @since 0.1.0
 * @category models
 */
export interface WheelEntry {
  /** Only the wheel writes it; `IDLE` when no deadline is scheduled. */
  bucket: number
  /** Called once, when the deadline has passed. */
  onDeadline(): void
  /** Handles an error that `onDeadline` has thrown. Default: it is logged. */
  onDefect?(defect: unknown): void
}

/**
 * Nothing is scheduled for the entry.
 *
 * @since 0.1.0
 * @category constants
 */
export const IDLE = -1

/** The deadline has passed, and the entry is about to be called in this sweep. */
const DUE = -2

/** Deadlines that are further away than this many milliseconds share slots. */
const EXACT = 512

/** There are fewer levels of slots than this. */
const LEVELS = 32

/**
 * The entries whose deadlines are close to each other. They are called together, when the last
 * deadline has passed.
 */
interface Slot {
  /** Its key: its time and its width. */
  readonly id: number
  /** Its index, which its entries keep: a small number takes no memory of its own. */
  readonly place: number
  readonly entries: Set<WheelEntry>
  due: number
  /** Its key in the heap: never after `due`, which moves while entries are added. */
  key: number
}

const call = (entry: WheelEntry): void => {
  try {
    entry.onDeadline()
  } catch (defect) {
    if (entry.onDefect === undefined) throw defect
    entry.onDefect(defect)
  }
}

/**
 * The width of a slot, as a power of two: a millisecond for near deadlines, and less than a
 * hundredth of the remaining time for others. So the deadlines of many idle sessions share wakeups
 * of the process.
 */
const levelOf = (millis: number): number =>
  millis < EXACT ? 0 : 31 - Math.clz32(Math.min(millis, 0x7fff_ffff) / 100 - 1)

/**
 * One timer for every deadline of a server, instead of one per connection and purpose: a deadline
 * costs one entry in a set. No entry is called early. It is late by at most a hundredth of its time
 * (or a millisecond if that is more), and by the delay of the process. A deadline without others
 * near it is exact.
 *
 * The time is the monotonic time of the Clock: a change of the wall clock has no effect. If the
 * process was suspended or blocked, the wheel advances by at most `maxPause`, because the pongs
 * that came meanwhile have not been read yet.
 *
 * @since 0.1.0
 * @category models
 */
export class TimerWheel {
  private readonly clock: Clock.Clock
  private readonly maxPause: number
  /** Calls `sweep` after this many milliseconds. Returns the function that cancels it. */
  private readonly after: (millis: number) => () => void
  private readonly slots = new Map<number, Slot>()
  private readonly places: Array<Slot | undefined> = []
  private readonly free: Array<number> = []
  private readonly heap: Array<Slot> = []
  private size = 0
  /** The real time of the last look. */
  private seen = 0
  /** The time that does not count: pauses of the process. */
  private lost = 0
  /** The time of the next wakeup, if there is one. */
  private wakes = Infinity
  private disarm: (() => void) | undefined
  private sweeping = false

  constructor(maxPause: number, clock: Clock.Clock, after: (millis: number) => () => void) {
    this.maxPause = maxPause
    this.clock = clock
    this.after = after
  }

  /** Schedules the entry to be called after `millis`; replaces its current deadline. */
  schedule(entry: WheelEntry, millis: number): void {
    if (entry.bucket !== IDLE) this.cancel(entry)
    const now = this.time()
    const due = now + millis
    const level = levelOf(millis)
    const id = Math.ceil(due / 2 ** level) * LEVELS + level
    const slot = this.slots.get(id) ?? this.add(id, due)
    slot.entries.add(entry)
    if (slot.due < due) slot.due = due
    entry.bucket = slot.place
    this.size++
    if (due < this.wakes && !this.sweeping) this.arm(now)
  }

  cancel(entry: WheelEntry): void {
    const place = entry.bucket
    entry.bucket = IDLE
    if (place < 0) return
    // An empty slot stays until it is due: its time is likely to be used again.
    this.places[place]!.entries.delete(entry)
    this.size--
  }

  /** Calls the entries that are due. */
  sweep(): void {
    this.disarm = undefined
    const now = this.time(true)
    this.wakes = Infinity
    const due: Array<Set<WheelEntry>> = []
    for (let slot = this.first(); slot !== undefined && slot.due <= now; slot = this.first()) {
      this.removeFirst()
      due.push(slot.entries)
      this.size -= slot.entries.size
      for (const entry of slot.entries) entry.bucket = DUE
    }
    const defects: Array<unknown> = []
    this.sweeping = true
    for (const entries of due) {
      for (const entry of entries) {
        // The call of one entry may have rescheduled or cancelled another one.
        if (entry.bucket !== DUE) continue
        entry.bucket = IDLE
        try {
          call(entry)
        } catch (defect) {
          defects.push(defect)
        }
      }
    }
    this.sweeping = false
    if (this.size > 0) this.arm(due.length === 0 ? now : this.time(true))
    if (defects.length > 0) throw defects.length === 1 ? defects[0] : new AggregateError(defects, "several deadlines")
  }

  /** The monotonic time in milliseconds. */
  now(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  }

  /**
   * The time of the deadlines: the monotonic time in milliseconds and fractions, without pauses of
   * the process.
   */
  private time(armed = this.disarm !== undefined || this.sweeping): number {
    const real = Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
    const elapsed = real - this.seen
    // While no deadline is scheduled, the wheel does not look at the time.
    if (armed && elapsed > this.maxPause) this.lost += elapsed - this.maxPause
    this.seen = real
    return real - this.lost
  }

  /** Wakes for the first deadline, and at least twice per `maxPause`, to notice pauses. */
  private arm(now: number): void {
    const slot = this.first()
    if (slot === undefined) return
    this.disarm?.()
    const millis = Math.max(1, Math.min(Math.ceil(slot.due - now), this.maxPause / 2))
    this.wakes = now + millis
    this.disarm = this.after(millis)
  }

  /** Returns the slot that is due first, with an entry in it. */
  private first(): Slot | undefined {
    const { heap } = this
    for (;;) {
      const slot = heap[0]
      if (slot === undefined) return undefined
      if (slot.entries.size === 0) this.removeFirst()
      else if (slot.key === slot.due) return slot
      else {
        slot.key = slot.due
        this.sink(slot)
      }
    }
  }

  private add(id: number, due: number): Slot {
    const slot: Slot = { id, place: this.free.pop() ?? this.places.length, entries: new Set(), due, key: due }
    this.slots.set(id, slot)
    this.places[slot.place] = slot
    const { heap } = this
    let at = heap.push(slot) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]!.key <= slot.key) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = slot
    return slot
  }

  private removeFirst(): void {
    const { id, place } = this.heap[0]!
    this.slots.delete(id)
    this.places[place] = undefined
    this.free.push(place)
    const last = this.heap.pop()!
    if (this.heap.length > 0) this.sink(last)
  }

  /** Puts a slot into the first place of the heap, and moves it down to its own place. */
  private sink(slot: Slot): void {
    const { heap } = this
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.key < heap[child]!.key) child++
      if (slot.key <= heap[child]!.key) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = slot
  }
}

/**
 * Makes a wheel that turns for the lifetime of the scope. It has no timer while nothing is
 * scheduled.
 *
 * A pause of the process that is longer than `maxPause` does not count against the peers.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (maxPause: Duration.Duration): Effect.Effect<TimerWheel, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    let sleeping: Fiber.Fiber<void> | undefined
    let closed = false
    const wheel: TimerWheel = new TimerWheel(Duration.toMillis(maxPause), clock, (millis) => {
      if (closed) return () => {}
      const fiber = runFork(Effect.andThen(Effect.sleep(millis), sweep))
      sleeping = fiber
      return () => fiber.interruptUnsafe()
    })
    // All deadlines depend on the sweep: a bug in one of them must not stop it.
    const sweep = Effect.sync(() => wheel.sweep()).pipe(
      Effect.catchCause((cause) => Effect.logError("a deadline has failed", cause))
    )
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        return sleeping === undefined ? Effect.void : Fiber.interrupt(sleeping)
      })
    )
    return wheel
  })
