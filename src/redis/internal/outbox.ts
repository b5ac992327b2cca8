/**
 * Commands that wait for Redis: first in, first out, bounded by bytes and by age. When it is full,
 * the oldest one is dropped: it would also be too old first.
 */
import type { Command, Reply } from "../RedisCommand.ts"

export interface Waiting {
  readonly command: Command
  /** The key that decides the server; `undefined` if any may take it. */
  readonly key: string | undefined
  readonly bytes: number
  /** When it was added, in milliseconds. */
  readonly at: number
  /** Grows from one to the next. */
  readonly number: number
  /** Called once: with the reply, or without one if there is none, as it was dropped or failed. */
  readonly done: ((reply: Reply | undefined) => void) | undefined
}

/** One queue. Taking from its head is cheap, also if it is long. */
export class Outbox {
  private items: Array<Waiting> = []
  private head = 0

  get length(): number {
    return this.items.length - this.head
  }

  get first(): Waiting | undefined {
    return this.items[this.head]
  }

  push(item: Waiting): void {
    this.items.push(item)
  }

  shift(): Waiting | undefined {
    const item = this.items[this.head]
    if (item === undefined) return undefined
    this.head++
    if (this.head === this.items.length) {
      this.items = []
      this.head = 0
    } else if (this.head > 1_024 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head)
      this.head = 0
    }
    return item
  }

  /**
   * Takes items from the head, at most so many, and at most so many bytes unless the first one
   * alone is larger.
   */
  take(count: number, bytes: number): Array<Waiting> {
    const taken: Array<Waiting> = []
    let size = 0
    for (let next = this.first; next !== undefined && taken.length < count; next = this.first) {
      size += next.bytes
      if (size > bytes && taken.length > 0) break
      taken.push(this.shift()!)
    }
    return taken
  }

  /** Puts items back that were taken, in the order of their numbers. */
  putBack(items: ReadonlyArray<Waiting>): void {
    this.items = [...items, ...this.items.slice(this.head)].toSorted((a, b) => a.number - b.number)
    this.head = 0
  }

  clear(): ReadonlyArray<Waiting> {
    const all = this.items.slice(this.head)
    this.items = []
    this.head = 0
    return all
  }
}
