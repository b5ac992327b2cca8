import { costOf } from "../../internal/cost.ts"
import type { About, EncodedEnd } from "../StreamStore.ts"

/** A reader of a log. */
export interface Watcher {
  /** Called within the turn in which values, or the end, come. It must not throw. */
  onChange(): void
}

/** The memory of a log without values. */
const LOG = 1_000

/** The places of a value and of its cost. */
const PLACES = 16

/** Read values at the front of the array are cut off when there are so many. */
const CUT = 256

/**
 * The values of one stream: a window of positions, and the end. The ledger keeps it within bounds.
 */
export class LogEntry {
  readonly id: string
  readonly about: About
  /** The one whose share of the bounds it takes. */
  readonly client: string
  /** The time without a reader after which it ends, in milliseconds. */
  readonly idle: number
  /** Whether another server makes its values. */
  readonly isMirror: boolean
  /** The estimated memory in bytes. */
  bytes: number
  /** The part of it that makes the values, while it runs. */
  held: number
  end: EncodedEnd | undefined
  /** The time of its end in milliseconds. */
  endedAt = 0
  /** The time from which on it has no readers. */
  lonelyAt: number
  /** Copies the values to a store. */
  shipper: Watcher | undefined
  /** Interrupts the work. */
  interrupt: (() => void) | undefined
  /** The first position that is kept. */
  start = 0
  private values: Array<unknown> = []
  private costs: Array<number> = []
  private first = 0
  private readonly watchers = new Set<Watcher>()
  /** The furthest positions of all readers, and the time of the last progress. */
  private sent = 0
  private received = 0
  private reachedAt: number
  private awaited: (() => void) | undefined
  private readonly now: () => number

  constructor(
    stream: Pick<LogEntry, "about" | "client" | "id" | "idle"> & { readonly held?: number },
    now: () => number,
    isMirror = false
  ) {
    const { about, client, held = 0, id, idle } = stream
    this.id = id
    this.about = about
    this.client = client
    this.idle = idle
    this.isMirror = isMirror
    this.now = now
    this.lonelyAt = this.reachedAt = now()
    this.held = held
    this.bytes = LOG + costOf(id) + costOf(client) + costOf(about) + held
  }

  /** It makes no more values. Returns what that took. */
  letGo(): number {
    const { held } = this
    this.held = 0
    this.bytes -= held
    return held
  }

  /** The number of values that the stream has given. */
  get length(): number {
    return this.start + this.kept
  }

  /** The number of values that are kept. */
  get kept(): number {
    return this.values.length - this.first
  }

  get readers(): number {
    return this.watchers.size
  }

  /**
   * At most `maxItems` values from a position on, and no more than `maxBytes` beyond the first one.
   */
  slice(from: number, maxItems: number, maxBytes: number): Array<unknown> {
    const { costs, start } = this
    const begin = this.first + Math.max(0, from - start)
    const limit = Math.min(this.values.length, begin + maxItems)
    let at = begin
    for (let bytes = 0; at < limit; at++) {
      bytes += costs[at]!
      if (bytes > maxBytes && at > begin) break
    }
    return this.values.slice(begin, at)
  }

  /** Adds a value; the ledger sees to the bounds. Returns its cost. */
  add(value: unknown): number {
    const cost = costOf(value) + PLACES
    this.values.push(value)
    this.costs.push(cost)
    this.bytes += cost
    return cost
  }

  /** Drops the oldest value. Returns its cost. */
  drop(): number {
    const cost = this.costs[this.first]!
    this.values[this.first] = undefined
    this.first++
    this.start++
    this.bytes -= cost
    if (this.first >= CUT && this.first * 2 >= this.values.length) {
      this.values = this.values.slice(this.first)
      this.costs = this.costs.slice(this.first)
      this.first = 0
    }
    return cost
  }

  /**
   * It is dropped: a reader that still has it keeps no values, and learns that it has missed them.
   */
  clear(): void {
    this.start = this.length
    this.values = []
    this.costs = []
    this.first = 0
    this.tell()
  }

  /** A mirror goes on after values that the other server has dropped. It has none itself then. */
  skipTo(position: number): void {
    this.start = position
  }

  /** Tells the readers. */
  tell(): void {
    this.shipper?.onChange()
    for (const watcher of this.watchers) watcher.onChange()
  }

  watch(watcher: Watcher): () => void {
    this.watchers.add(watcher)
    return () => {
      if (this.watchers.delete(watcher) && this.watchers.size === 0) this.lonelyAt = this.now()
    }
  }

  /** Another server has a reader. */
  onReadElsewhere(): void {
    this.lonelyAt = this.now()
  }

  /**
   * Values were sent to a reader up to a position, and are known to have come up to another one.
   */
  reached(sent: number, received: number): void {
    if (sent <= this.sent && received <= this.received) return
    this.sent = Math.max(this.sent, sent)
    this.received = Math.max(this.received, received)
    this.reachedAt = this.now()
    this.awaited?.()
  }

  /**
   * Whether no reader has read the oldest value yet. Up to a quarter of the log counts as unread
   * although it was sent: it may be on its way still, and be lost with the connection.
   */
  get isUnread(): boolean {
    const { kept } = this
    return kept > 0 && Math.max(this.received, this.sent - (kept >> 2)) <= this.start
  }

  /** The time since a reader has made progress, in milliseconds. */
  get stalledFor(): number {
    return this.now() - this.reachedAt
  }

  /** Calls back, once, when a reader has made progress. Returns the function that cancels it. */
  onReached(callback: () => void): () => void {
    const run = () => {
      this.awaited = undefined
      callback()
    }
    this.awaited = run
    return () => {
      if (this.awaited === run) this.awaited = undefined
    }
  }
}
