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
export interface LogEntry<out M> {
  /** Its place in the order of the namespace's messages. */
  readonly position: number
  readonly message: M
  readonly rooms: ReadonlyArray<string>
  readonly except: ReadonlyArray<string>
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

/** An entry in the order of the whole server. */
interface Queued {
  readonly log: MessageLog<any>
  readonly bytes: number
  readonly at: number
}

/**
 * The budget that the logs of all namespaces share. The oldest message of the server is dropped
 * first: clients may choose the names of namespaces, so a bound for each of them would be none.
 *
 * @since 0.1.0
 * @category models
 */
export class LogBudget {
  private readonly queue = new Deque<Queued>()
  private readonly bounds: LogBounds
  private bytes = 0

  constructor(bounds: LogBounds) {
    this.bounds = bounds
  }

  /** The number of messages in all logs. */
  get size(): number {
    return this.queue.size
  }

  /** Counts a message that a log has just taken. `at` is the time in milliseconds. */
  add(log: MessageLog<any>, bytes: number, at: number): void {
    this.queue.push({ log, bytes, at })
    this.bytes += bytes
    this.trim(at)
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

  /** Keeps a broadcast. Its memory is `bytes`; `at` is the time in milliseconds. */
  append(entry: LogEntry<M>, bytes: number, at: number): void {
    this.entries.push(entry)
    this.budget.add(this, bytes, at)
  }

  /** @internal */
  dropOldest(): void {
    this.floor = this.entries.shift().position
  }

  /**
   * Calls `f` for each broadcast after a position, the oldest first, until it returns `false`.
   */
  forEachAfter(position: number, f: (entry: LogEntry<M>) => boolean): void {
    const { entries } = this
    let low = 0
    let high = entries.size
    while (low < high) {
      const middle = (low + high) >>> 1
      if (entries.at(middle).position <= position) low = middle + 1
      else high = middle
    }
    for (let i = low; i < entries.size; i++) if (!f(entries.at(i))) return
  }
}
