/**
 * The recent broadcasts of a server's namespaces.
 *
 * @since 0.1.0
 */

import { Deque } from "../internal/deque.ts"

/**
 * A broadcast that was logged.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogEntry<in out M> {
  /** Its place in the order of the namespace's messages. */
  readonly position: number
  readonly message: M
  readonly rooms: ReadonlyArray<string>
  readonly except: ReadonlyArray<string>
  /** Its log. */
  readonly log: MessageLog<M>
  /** Its memory, in bytes. */
  readonly bytes: number
  /** The time at which it was sent, in milliseconds. */
  readonly at: number
}

/**
 * The bounds of a log.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogBounds {
  /** The number of messages. */
  readonly maxEvents: number
  /** Their memory, in bytes. */
  readonly maxBytes: number
  /** The age from which a message is dropped, in milliseconds. */
  readonly retention: number
}

/**
 * The recipients of a broadcast.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogSelection {
  readonly rooms: ReadonlyArray<string>
  readonly except: ReadonlyArray<string>
}

/**
 * The budget that the logs of all namespaces share. The oldest message of the server is dropped
 * first: clients may choose the names of namespaces, so a bound for each of them would be none.
 *
 * @since 0.1.0
 * @category models
 */
export class LogBudget {
  private readonly queue = new Deque<LogEntry<any>>()
  private readonly bounds: LogBounds
  /** The memory of those in the queue, and of those for which there is room reserved. */
  private bytes = 0
  private reserved = 0

  constructor(bounds: LogBounds) {
    this.bounds = bounds
  }

  /** The number of messages in all logs. */
  get size(): number {
    return this.queue.size
  }

  /** Counts a message that its log has just taken. */
  add(entry: LogEntry<any>): void {
    this.queue.push(entry)
    this.bytes += entry.bytes
    this.trim(entry.at)
  }

  /**
   * Reserves room for a message that is older than those of its log, if there is any. It must be
   * given back.
   */
  reserve(bytes: number): boolean {
    const { maxBytes, maxEvents } = this.bounds
    if (this.size + this.reserved >= maxEvents || this.bytes + bytes > maxBytes) return false
    this.reserved++
    this.bytes += bytes
    return true
  }

  /** Gives the room for one back. */
  giveBack(bytes: number): void {
    this.reserved--
    this.bytes -= bytes
  }

  /** Counts messages that are older than those of their log. There is room for them. */
  addBefore(entries: ReadonlyArray<LogEntry<any>>): void {
    for (const { bytes } of entries) this.bytes += bytes
    this.queue.unshift(entries)
  }

  /** Drops what is too old, or too much. */
  trim(now: number): void {
    const { maxBytes, maxEvents, retention } = this.bounds
    const { queue } = this
    while (queue.size > 0 && (queue.size > maxEvents || this.bytes > maxBytes || now - queue.at(0).at > retention)) {
      const { bytes, log } = queue.shift()
      this.bytes -= bytes
      log.dropOldest()
    }
  }
}

/**
 * The recent broadcasts of one namespace, in their order. Every message of the namespace that can
 * be recovered takes the next position, messages for a single client included.
 *
 * @since 0.1.0
 * @category models
 */
export class MessageLog<in out M> {
  private readonly entries = new Deque<LogEntry<M>>()
  private readonly budget: LogBudget
  /** The position of the latest message. */
  head = 0
  /** Broadcasts up to this position are not there any more. */
  floor = 0

  constructor(budget: LogBudget) {
    this.budget = budget
  }

  /** Takes the next position. */
  next(): number {
    return ++this.head
  }

  /** Keeps a broadcast of the next position, which it takes. */
  append(message: M, { except, rooms }: LogSelection, memory: number, at: number): void {
    const bytes = memory + memoryOf(rooms) + memoryOf(except)
    const entry: LogEntry<M> = { position: this.next(), message, rooms, except, log: this, bytes, at }
    this.entries.push(entry)
    this.budget.add(entry)
  }

  /** The oldest broadcast. */
  get first(): LogEntry<M> | undefined {
    return this.entries.size === 0 ? undefined : this.entries.at(0)
  }

  /** Reserves room in the budget. See {@link LogBudget}. */
  reserve(bytes: number): boolean {
    return this.budget.reserve(bytes)
  }

  /** Gives it back. */
  giveBack(bytes: number): void {
    this.budget.giveBack(bytes)
  }

  /**
   * Keeps broadcasts that are older than all others of the log: all that there were after a
   * position. There is room for them.
   */
  prepend(after: number, entries: ReadonlyArray<LogEntry<M>>): void {
    this.budget.addBefore(entries)
    this.entries.unshift(entries)
    this.floor = after
  }

  /** @internal */
  dropOldest(): void {
    this.floor = this.entries.shift().position
  }

  /** The last broadcast at a position or before. */
  lastUpTo(position: number): LogEntry<M> | undefined {
    const at = this.indexAfter(position) - 1
    return at < 0 ? undefined : this.entries.at(at)
  }

  /** The broadcast of a position. */
  get(position: number): LogEntry<M> | undefined {
    const at = this.indexAfter(position - 1)
    const entry = at < this.entries.size ? this.entries.at(at) : undefined
    return entry?.position === position ? entry : undefined
  }

  /**
   * Calls `f` for each broadcast after a position, the oldest first, until it returns `false`.
   */
  forEachAfter(position: number, f: (entry: LogEntry<M>) => boolean): void {
    const { entries } = this
    for (let i = this.indexAfter(position); i < entries.size; i++) if (!f(entries.at(i))) return
  }

  private indexAfter(position: number): number {
    const { entries } = this
    let low = 0
    let high = entries.size
    while (low < high) {
      const middle = (low + high) >>> 1
      if (entries.at(middle).position <= position) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Clients may choose the names of rooms. */
const memoryOf = (names: ReadonlyArray<string>): number => {
  let bytes = 0
  for (const { length } of names) bytes += NAME + 2 * length
  return bytes
}

/** A name's place in a list, and its string without the characters. */
const NAME = 24
