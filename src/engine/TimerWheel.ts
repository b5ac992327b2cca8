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
 * Something with a deadline. It stands in at most one slot of one wheel.
 *
 * @since 0.1.0
 * @category models
 */
export interface WheelEntry {
  /** Written by the wheel alone; `IDLE` when nothing is scheduled. */
  bucket: number
  /** Called once, when the deadline has passed. */
  onDeadline(): void
  /** Takes what `onDeadline` has thrown. Default: it is logged. */
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
 * one's deadline has passed.
 */
interface Slot {
  /** Its key: its time and its width. */
  readonly id: number
  /** Its place, which its entries keep: a small number takes no memory of its own. */
  readonly place: number
  readonly entries: Set<WheelEntry>
  due: number
  /** Where it stands in the heap: never after `due`, which moves while entries are added. */
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
 * The width of a slot, as a power of two: a millisecond for near deadlines, then less than a
 * hundredth of the time until the deadline. So crowds of idle sessions share wakeups of the
 * process.
 */
const levelOf = (millis: number): number =>
  millis < EXACT ? 0 : 31 - Math.clz32(Math.min(millis, 0x7fff_ffff) / 100 - 1)

/**
 * One timer for every deadline of a server, instead of one per connection and purpose: a deadline
 * costs an entry in a set. Nothing expires early, and nothing later than by a hundredth, or a
 * millisecond where that is more, and the time that the process is late. A deadline with no other
 * near it is exact.
 *
 * Time is the Clock's monotonic one: a change of the wall clock moves nothing. When the process was
 * suspended or blocked, the wheel advances by `maxPause` at the most, as the pongs that came
 * meanwhile have not been read yet.
 *
 * @since 0.1.0
 * @category models
 */
export class TimerWheel {
  private readonly clock: Clock.Clock
  private readonly maxPause: number
  /** Calls `sweep` after so many milliseconds; gives the function that calls it off. */
  private readonly after: (millis: number) => () => void
  private readonly slots = new Map<number, Slot>()
  private readonly places: Array<Slot | undefined> = []
  private readonly free: Array<number> = []
  private readonly heap: Array<Slot> = []
  private size = 0
  /** The real time when it looked last. */
  private seen = 0
  /** The time that is not counted: pauses of the process. */
  private lost = 0
  /** When it wakes, if it does. */
  private wakes = Infinity
  private disarm: (() => void) | undefined
  private sweeping = false

  constructor(maxPause: number, clock: Clock.Clock, after: (millis: number) => () => void) {
    this.maxPause = maxPause
    this.clock = clock
    this.after = after
  }

  /** Schedules the entry to be called after `millis`; replaces the deadline that it has. */
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
        // The deadline of one entry may have rescheduled or cancelled another one.
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
   * The time that deadlines are of: the monotonic one, in milliseconds and parts of them, without
   * pauses of the process.
   */
  private time(armed = this.disarm !== undefined || this.sweeping): number {
    const real = Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6
    const elapsed = real - this.seen
    // While nothing is scheduled it does not look.
    if (armed && elapsed > this.maxPause) this.lost += elapsed - this.maxPause
    this.seen = real
    return real - this.lost
  }

  /** Wakes for the first deadline, and twice per `maxPause` in any case, to see pauses. */
  private arm(now: number): void {
    const slot = this.first()
    if (slot === undefined) return
    this.disarm?.()
    const millis = Math.max(1, Math.min(Math.ceil(slot.due - now), this.maxPause / 2))
    this.wakes = now + millis
    this.disarm = this.after(millis)
  }

  /** The slot that is due first, with something in it. */
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

  /** Puts a slot into the place of the first, and from there to where it belongs. */
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
    // All deadlines depend on it: a bug in one of them must not stop it.
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
