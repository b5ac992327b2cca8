/**
 * The entries of a shared log that come while clients catch up.
 *
 * @since 0.1.0
 */
import type { OnEntry } from "../adapter/SharedLog.ts"

/**
 * The beginning of a client's wait: the number of entries before it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Beginning {
  readonly at: number
}

/**
 * The entries of one namespace that come while clients catch up, once for all of these clients:
 * many come at the same time when a server has died. Those that nobody waits for any more are
 * dropped.
 *
 * @since 0.1.0
 * @category models
 */
export class LaterEntries {
  private readonly watch: (onEntry: OnEntry) => () => void
  private unwatch: (() => void) | undefined
  private entries: Array<Parameters<OnEntry>> = []
  /** The number of entries before the first one that is here. */
  private dropped = 0
  /** The oldest first. */
  private readonly beginnings = new Set<Beginning>()

  /** `watch` calls a function for each entry from now on, and gives how to stop. */
  constructor(watch: (onEntry: OnEntry) => () => void) {
    this.watch = watch
  }

  /** The number of entries that are here. */
  get size(): number {
    return this.entries.length
  }

  /** Entries from now on are kept for a client, until `end`. */
  begin(): Beginning {
    this.unwatch ??= this.watch((...entry) => void this.entries.push(entry))
    const beginning = { at: this.dropped + this.entries.length }
    this.beginnings.add(beginning)
    return beginning
  }

  /** Passes on the entries that have come since. */
  passOn({ at }: Beginning, onEntry: OnEntry): void {
    for (let i = at - this.dropped; i < this.entries.length; i++) onEntry(...this.entries[i]!)
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
