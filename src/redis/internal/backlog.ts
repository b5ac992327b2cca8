/**
 * The account of the commands that wait for Redis, in all outboxes together: bounded in bytes and
 * in age. The oldest goes first, and is counted.
 */
import type * as Clock from "effect/Clock"

import type { ClusterMonitor, DropReason } from "../../adapter/ClusterStatus.ts"
import type { Command, Reply } from "../RedisCommand.ts"
import type { Outbox, Waiting } from "./outbox.ts"

export class Backlog {
  /** Bytes and commands that wait at present. */
  bytes = 0
  commands = 0
  private next = 0
  private readonly outboxes: () => ReadonlyArray<Outbox>
  private readonly monitor: Pick<ClusterMonitor, "dropped">
  private readonly clock: Clock.Clock
  private readonly maxBytes: number
  private readonly maxAge: number

  /** `maxAge` is in milliseconds. */
  constructor(
    outboxes: () => ReadonlyArray<Outbox>,
    monitor: Pick<ClusterMonitor, "dropped">,
    clock: Clock.Clock,
    maxBytes: number,
    maxAge: number
  ) {
    this.outboxes = outboxes
    this.monitor = monitor
    this.clock = clock
    this.maxBytes = maxBytes
    this.maxAge = maxAge
  }

  /**
   * Counts a new command, and makes space for it. Gives nothing, and drops it, if it alone is too
   * large.
   */
  admit(
    command: Command,
    key: string | undefined,
    bytes: number,
    done: ((reply: Reply | undefined) => void) | undefined
  ): Waiting | undefined {
    const item: Waiting = { command, key, bytes, at: this.clock.currentTimeMillisUnsafe(), number: this.next++, done }
    if (bytes > this.maxBytes) {
      this.tell([item], "overflow")
      return undefined
    }
    this.add(item)
    while (this.bytes > this.maxBytes && this.dropOldest());
    return item
  }

  /** Counts a command that waits, or waits again. */
  add(item: Waiting): void {
    this.bytes += item.bytes
    this.commands++
  }

  /** A command has left its outbox. */
  take(item: Waiting): void {
    this.bytes -= item.bytes
    this.commands--
  }

  /** Drops what is too old. */
  expire(): void {
    const limit = this.clock.currentTimeMillisUnsafe() - this.maxAge
    const expired: Array<Waiting> = []
    for (const outbox of this.outboxes()) {
      while (outbox.first !== undefined && outbox.first.at <= limit) {
        const item = outbox.shift()!
        this.take(item)
        expired.push(item)
      }
    }
    this.tell(expired, "expired")
  }

  /** Drops everything that waits, as failed. */
  drop(): void {
    for (const outbox of this.outboxes()) this.tell(outbox.clear(), "failed")
    this.bytes = 0
    this.commands = 0
  }

  private dropOldest(): boolean {
    let oldest: Outbox | undefined
    for (const outbox of this.outboxes()) {
      const { first } = outbox
      if (first !== undefined && (oldest === undefined || first.number < oldest.first!.number)) oldest = outbox
    }
    const item = oldest?.shift()
    if (item === undefined) return false
    this.take(item)
    this.tell([item], "overflow")
    return true
  }

  private tell(dropped: ReadonlyArray<Waiting>, reason: DropReason): void {
    if (dropped.length === 0) return
    this.monitor.dropped(dropped.length, reason)
    for (const item of dropped) item.done?.(undefined)
  }
}
