/**
 * Commands that wait for Redis: first in, first out, bounded by bytes and by age. When it is full,
 * the oldest one is dropped: it would also be too old first.
 */
import { Deque } from "../../internal/deque.ts"
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
  private readonly items = new Deque<Waiting>()

  get length(): number {
    return this.items.size
  }

  get first(): Waiting | undefined {
    return this.items.size === 0 ? undefined : this.items.at(0)
  }

  push(item: Waiting): void {
    this.items.push(item)
  }

  shift(): Waiting | undefined {
    return this.items.size === 0 ? undefined : this.items.shift()
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
    this.items.unshift([...items, ...this.items.takeAll()].toSorted((a, b) => a.number - b.number))
  }

  clear(): ReadonlyArray<Waiting> {
    return this.items.takeAll()
  }
}
