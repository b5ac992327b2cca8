/**
 * The recent broadcasts of a server's namespaces.
 *
 * @since 0.1.0
 */

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

/** A queue that gives its memory back, and can be searched. */
class Deque<A> {
  private items: Array<A> = []
  private first = 0

  get size(): number {
    return this.items.length - this.first
  }

  at(index: number): A {
    return this.items[this.first + index]!
  }

  push(item: A): void {
    this.items.push(item)
  }

  /** Adds items before all others. It copies those. */
  unshift(items: ReadonlyArray<A>): void {
    this.items = items.concat(this.items.slice(this.first))
    this.first = 0
  }

  shift(): A {
    const item = this.items[this.first]!
    this.items[this.first++] = undefined as A
    // Moving the rest costs as much as it has removed before.
    if (this.first > 32 && this.first * 2 > this.items.length) {
      this.items = this.items.slice(this.first)
      this.first = 0
    }
    return item
  }
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
  private bytes = 0

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

  /** The memory that there is for more without dropping anything, in bytes. */
  get room(): number {
    return this.queue.size < this.bounds.maxEvents ? this.bounds.maxBytes - this.bytes : 0
  }

  /** Counts messages that are older than all others. Returns how many of the last ones fit. */
  addBefore(entries: ReadonlyArray<LogEntry<any>>): number {
    const { bounds, queue } = this
    let count = 0
    for (let bytes = 0; count < entries.length && queue.size + count < bounds.maxEvents; count++) {
      const more = entries[entries.length - 1 - count]!.bytes
      if (this.bytes + bytes + more > bounds.maxBytes) break
      bytes += more
    }
    const last = entries.slice(entries.length - count)
    for (const { bytes } of last) this.bytes += bytes
    queue.unshift(last)
    return count
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

  /** The memory that there is for more, in bytes. */
  get room(): number {
    return this.budget.room
  }

  /**
   * Keeps broadcasts that are older than all others, as far as there is room: all that there were
   * after a position. `atOf` gives the time of each.
   */
  prepend(after: number, older: ReadonlyArray<Omit<LogEntry<M>, "log" | "at">>, atOf: (message: M) => number): void {
    const entries = older.map(({ bytes, except, message, position, rooms }): LogEntry<M> => ({
      position,
      message,
      rooms,
      except,
      log: this,
      bytes,
      at: atOf(message)
    }))
    const left = entries.length - this.budget.addBefore(entries)
    this.entries.unshift(entries.slice(left))
    this.floor = left === 0 ? after : entries[left - 1]!.position
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
