import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"

import { Seeded } from "./seeded.ts"

/**
 * The streams of random numbers. Each purpose has its own, so that drawing more of one kind does
 * not change the others.
 */
const STREAM = { order: 0, network: 1, effects: 2, ids: 3 } as const

/**
 * The tasks of one fiber, or of fibers that share them. They run in their order; tasks of other
 * lanes may run before, between or after them.
 */
class Lane implements Scheduler.SchedulerDispatcher {
  readonly id: number
  private readonly world: World
  private readonly tasks: Array<{ readonly task: () => void; readonly priority: number }> = []

  constructor(id: number, world: World) {
    this.id = id
    this.world = world
  }

  get isEmpty(): boolean {
    return this.tasks.length === 0
  }

  scheduleTask(task: () => void, priority: number): void {
    const { tasks } = this
    if (tasks.length === 0) this.world.ready.push(this)
    let at = tasks.length
    while (at > 0 && tasks[at - 1]!.priority > priority) at--
    tasks.splice(at, 0, { task, priority })
  }

  take(): () => void {
    return this.tasks.shift()!.task
  }

  flush(): void {
    while (this.tasks.length > 0) this.tasks.shift()!.task()
    this.world.forget(this)
  }
}

/** Something that will happen at a time. */
interface Timer {
  /** In nanoseconds. */
  readonly at: number
  readonly order: number
  readonly run: () => void
  cancelled: boolean
}

const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

/** Timers, the next one first. */
class Timers {
  private readonly heap: Array<Timer> = []

  /** The next one that has not been cancelled. */
  get next(): Timer | undefined {
    while (this.heap[0]?.cancelled === true) this.pop()
    return this.heap[0]
  }

  push(timer: Timer): void {
    const { heap } = this
    let at = heap.push(timer) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent]!, timer)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = timer
  }

  pop(): void {
    const { heap } = this
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

/**
 * Time, order and chance of a simulation: a clock that moves to the next timer when there is
 * nothing else to do, and a scheduler that draws the next fiber from those that can go on.
 */
export class World implements Scheduler.Scheduler, Clock.Clock {
  readonly executionMode = "async"
  readonly order: Seeded
  readonly network: Seeded
  readonly effects: Seeded
  readonly ids: Seeded
  /** The lanes with tasks. */
  readonly ready: Array<Lane> = []
  /** The time since the beginning, in nanoseconds. */
  now = 0
  /** The tasks that have run. */
  tasks = 0
  /** The fibers that have begun and not ended. */
  fibers = 0
  /** The timers that have neither fired nor been cancelled. */
  pending = 0
  private readonly timers = new Timers()
  private lanes = 0
  private timerOrder = 0
  private hashLow = 0x811c_9dc5 | 0
  private hashHigh = 0x1234_5678 | 0
  private readonly lines: Array<string> = []
  private readonly maxLines: number

  constructor(seed: number, maxLines: number) {
    this.order = new Seeded(seed, STREAM.order)
    this.network = new Seeded(seed, STREAM.network)
    this.effects = new Seeded(seed, STREAM.effects)
    this.ids = new Seeded(seed, STREAM.ids)
    this.maxLines = maxLines
  }

  // ---------------------------------------------------------------- scheduler

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return new Lane(this.lanes++, this)
  }

  forget(lane: Lane): void {
    const at = this.ready.indexOf(lane)
    if (at >= 0) this.removeAt(at)
  }

  private removeAt(at: number): void {
    const last = this.ready.pop()!
    if (at < this.ready.length) this.ready[at] = last
  }

  /** Runs one task, if there is one. */
  step(): boolean {
    const { ready } = this
    if (ready.length === 0) return false
    const at = ready.length === 1 ? 0 : this.order.below(ready.length)
    const lane = ready[at]!
    const task = lane.take()
    if (lane.isEmpty) this.removeAt(at)
    this.tasks++
    this.mix(lane.id)
    task()
    return true
  }

  // ---------------------------------------------------------------- clock

  currentTimeMillisUnsafe(): number {
    return Math.floor(this.now / 1e6)
  }

  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())

  currentTimeNanosUnsafe(): bigint {
    return BigInt(this.now)
  }

  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())

  monotonicTimeNanosUnsafe(): bigint {
    return BigInt(this.now)
  }

  readonly monotonicTimeNanos = this.currentTimeNanos

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const millis = Duration.toMillis(duration)
    if (millis <= 0) return Effect.yieldNow
    if (millis === Infinity) return Effect.never
    return Effect.callback((resume) => {
      const cancel = this.after(millis, () => resume(Effect.void))
      return Effect.sync(cancel)
    })
  }

  /**
   * Runs a function in `millis` milliseconds, unless the returned function cancels it.
   */
  after(millis: number, run: () => void): () => void {
    const timer: Timer = { at: this.now + Math.ceil(millis * 1e6), order: this.timerOrder++, run, cancelled: false }
    this.timers.push(timer)
    this.pending++
    return () => {
      if (timer.cancelled) return
      timer.cancelled = true
      this.pending--
    }
  }

  /** The time of the next timer, in nanoseconds; `undefined` if there is none. */
  get nextTimer(): number | undefined {
    return this.timers.next?.at
  }

  /**
   * Moves to the next timer. Timers of the same time become separate tasks, in any order.
   */
  advance(): void {
    const { timers } = this
    const at = timers.next!.at
    this.now = at
    this.mix(at % 0x1_0000_0000)
    for (let timer = timers.next; timer?.at === at; timer = timers.next) {
      timers.pop()
      const due = timer
      this.makeDispatcher().scheduleTask(() => {
        // An earlier timer of the same time may have cancelled this one.
        if (due.cancelled) return
        due.cancelled = true
        this.pending--
        due.run()
      }, 0)
    }
  }

  /** Runs an effect that takes no time. */
  run(effect: Effect.Effect<void>): void {
    Effect.runSync(effect)
  }

  // ---------------------------------------------------------------- trace

  /** The hash of everything that has happened so far. */
  get hash(): string {
    return [this.hashHigh, this.hashLow].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("")
  }

  get trace(): ReadonlyArray<string> {
    return this.lines.slice(-this.maxLines)
  }

  note(what: string): void {
    for (let i = 0; i < what.length; i++) this.mix(what.charCodeAt(i))
    if (this.maxLines === 0) return
    this.lines.push(`${(this.now / 1e6).toFixed(3)} ms  ${what}`)
    if (this.lines.length >= 2 * this.maxLines) this.lines.splice(0, this.lines.length - this.maxLines)
  }

  private mix(value: number): void {
    this.hashLow = Math.imul(this.hashLow ^ value, 0x0100_0193)
    this.hashHigh = Math.imul(this.hashHigh ^ (value + (this.hashLow >>> 15)), 0x85eb_ca6b)
  }
}
