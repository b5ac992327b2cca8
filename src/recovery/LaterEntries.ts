/**
 * The entries of a shared log that come while clients catch up.
 *
 * @since 0.1.0
 */
import type { OnEntry } from "../adapter/SharedLog.ts"
import { memoryOf } from "./RecentEntries.ts"

/**
 * The beginning of a client's wait: the number of entries before it, and their memory in bytes.
 * `onFull` is called when more has come since than may be kept.
 *
 * @since 0.1.0
 * @category models
 */
export interface Beginning {
  readonly at: number
  readonly bytes: number
  readonly onFull: () => void
}

/**
 * The entries of one namespace that come while clients catch up, once for all of these clients:
 * many come at the same time when a server has died. Those that nobody waits for any more are
 * dropped, and a client for which more than `maxBytes` have come waits no more.
 *
 * @since 0.1.0
 * @category models
 */
export class LaterEntries {
  private readonly watch: (onEntry: OnEntry) => () => void
  private readonly maxBytes: number
  private unwatch: (() => void) | undefined
  private entries: Array<Parameters<OnEntry>> = []
  /** The number of entries before the first one that is here. */
  private dropped = 0
  /** The memory of all entries that have come, in bytes. */
  private bytes = 0
  /** The oldest first. */
  private readonly beginnings = new Set<Beginning>()

  /** `watch` calls a function for each entry from now on, and gives how to stop. */
  constructor(watch: (onEntry: OnEntry) => () => void, maxBytes: number) {
    this.watch = watch
    this.maxBytes = maxBytes
  }

  /** The number of entries that are here. */
  get size(): number {
    return this.entries.length
  }

  /** Keeps the entries from now on for a client, until `end` or `onFull`. */
  begin(onFull: () => void): Beginning {
    this.unwatch ??= this.watch(this.add)
    const beginning = { at: this.dropped + this.entries.length, bytes: this.bytes, onFull }
    this.beginnings.add(beginning)
    return beginning
  }

  private readonly add: OnEntry = (...entry) => {
    this.entries.push(entry)
    this.bytes += memoryOf(entry[2])
    // The oldest one has the most.
    for (const beginning of this.beginnings) {
      if (this.bytes - beginning.bytes <= this.maxBytes) break
      this.end(beginning)
      beginning.onFull()
    }
  }

  /** Passes on the entries that have come since. */
  passOn(beginning: Beginning, onEntry: OnEntry): void {
    if (!this.beginnings.has(beginning)) return
    for (let i = beginning.at - this.dropped; i < this.entries.length; i++) onEntry(...this.entries[i]!)
  }

  /** A client needs them no more. */
  end(beginning: Beginning): void {
    if (!this.beginnings.delete(beginning)) return
    const [oldest] = this.beginnings
    if (oldest === undefined) {
      this.unwatch?.()
      this.unwatch = undefined
      this.dropped += this.entries.length
      this.entries = []
      return
    }
    const unneeded = oldest.at - this.dropped
    // Dropping moves what stays: not for each entry.
    if (2 * unneeded < this.entries.length) return
    this.entries = this.entries.slice(unneeded)
    this.dropped = oldest.at
  }
}
