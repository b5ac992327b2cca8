import * as Effect from "effect/Effect"

import * as LogPosition from "../../adapter/LogPosition.ts"
import type { Place } from "../../adapter/SharedLog.ts"

/** The state of a stream in Redis: its entries, ever and now, and the id of the last. */
export interface StreamState {
  /** `-1` if it does not say that: it is older than Redis 7. */
  readonly added: number
  readonly length: number
  readonly last: string
  /** The id of its replication; `undefined` if it does not say that. */
  readonly era?: string | undefined
}

/** From one look at the state of a stream to the next, in milliseconds. */
const INTERVAL = 1_000

interface Waiter {
  readonly position: string
  readonly done: () => void
}

/**
 * The place of a reader in its stream: the last id, and the number of entries up to it. It notices
 * that entries were trimmed, or the stream deleted, before they were read: the numbers differ from
 * those of Redis.
 *
 * A replica that has taken over, or a server that has restarted, may lack the last entries of
 * before, also those that were read and delivered. Nobody can say which: everything before is
 * another era.
 */
export class StreamPlace {
  /** Called when entries were lost, before what comes after them is delivered. */
  readonly gapListeners = new Set<() => void>()
  last: string | undefined
  private index: number | undefined
  private era: string | undefined
  /** An entry whose number is known. It has not been read yet. */
  private anchor: Place | undefined
  private checkedAt = -Infinity
  /**
   * The one that waits for the earliest position is the last. Clients may make thousands of others
   * wait.
   */
  private readonly waiters: Array<Waiter> = []

  get place(): Place | undefined {
    const { era, index, last } = this
    if (index === undefined || last === undefined) return undefined
    return era === undefined ? { position: last, index } : { position: last, index, era }
  }

  /** Whether the state is to be looked at before the entries of a reply are delivered. */
  isDue(now: number, isFull: boolean): boolean {
    return this.gapListeners.size > 0 && (isFull || now - this.checkedAt >= INTERVAL || this.index === undefined)
  }

  /** Redis has told the state, after the last reply and before the next. */
  onState({ added, era, last, length }: StreamState, now: number): void {
    this.checkedAt = now
    if (era !== undefined && era !== this.era) {
      if (this.era !== undefined) this.lose()
      this.era = era
    }
    if (this.last === undefined || LogPosition.compare(last, this.last) < 0) {
      // A stream that was deleted may have begun anew with lower ids.
      if (this.last !== undefined) this.lose()
      this.last = last
      this.index = added < 0 ? undefined : added
      return this.settle()
    }
    if (this.index !== undefined && (added - length > this.index || added < this.index)) this.lose()
    if (added < 0) return
    this.anchor ??= { position: last, index: added }
    this.compare(this.last)
  }

  /** The next entry has been read, and is delivered after that. */
  advance(id: string): void {
    this.last = id
    if (this.index !== undefined) this.index++
    this.compare(id)
  }

  private compare(id: string): void {
    const { anchor } = this
    if (anchor === undefined || LogPosition.compare(id, anchor.position) < 0) return
    this.anchor = undefined
    const index = id === anchor.position ? anchor.index : undefined
    if (this.index !== undefined && this.index !== index) this.lose()
    this.index = index
  }

  private lose(): void {
    this.index = this.anchor = undefined
    for (const onGap of this.gapListeners) onGap()
  }

  /** The entry has been delivered. */
  settle(): void {
    const { waiters } = this
    for (let next = waiters.at(-1); next !== undefined && this.has(next.position); next = waiters.at(-1)) {
      waiters.pop()
      next.done()
    }
  }

  private has(position: string): boolean {
    return this.last !== undefined && LogPosition.compare(this.last, position) >= 0
  }

  /** Waits until everything up to a position has been delivered. */
  reach(position: string): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.has(position)) return resume(Effect.void)
      const waiter = { position, done: () => resume(Effect.void) }
      this.waiters.splice(this.rankOf(position), 0, waiter)
      return Effect.sync(() => {
        const at = this.waiters.indexOf(waiter)
        if (at >= 0) this.waiters.splice(at, 1)
      })
    })
  }

  /** The number of those that wait for a later position, and so come before. */
  private rankOf(position: string): number {
    const { waiters } = this
    let low = 0
    let high = waiters.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (LogPosition.compare(waiters[middle]!.position, position) > 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
