/**
 * How much of a shared log one server reads for each client that comes back again and again.
 *
 * @since 0.1.0
 */

/** The reads of the largest extent that a client may have at once, or one after the other. */
const BURST = 4

/** After so long, it may have one more, in milliseconds. */
const INTERVAL = 10_000

/** The clients that are remembered. */
const MAX_CLIENTS = 10_000

interface Spent {
  entries: number
  /** The time of that number, in milliseconds. */
  at: number
}

/**
 * The entries of a log that a server may read for each client: four times `maxScan`, the most that
 * one return takes, and `maxScan` more every 10 seconds.
 *
 * **Details**
 *
 * A client that never confirms anything comes back to the same place of the log each time. Reading
 * costs the server much more than coming back costs the client.
 *
 * @since 0.1.0
 * @category models
 */
export class ReadAllowance {
  private readonly maxScan: number
  private readonly now: () => number
  /** By the secrets of sessions, the one that has read last at the end. */
  private readonly spent = new Map<string, Spent>()

  /** `maxScan` is the most that one return takes. `now` tells milliseconds. */
  constructor(maxScan: number, now: () => number) {
    this.maxScan = maxScan
    this.now = now
  }

  /**
   * Whether a client may read the log now. If so, the most that it may read counts until `settle`.
   */
  reserve(pid: string): boolean {
    const entries = this.entriesOf(pid)
    if (entries + this.maxScan > BURST * this.maxScan) return false
    this.set(pid, entries + this.maxScan)
    return true
  }

  /** So many entries were read after `reserve`. */
  settle(pid: string, read: number): void {
    this.set(pid, this.entriesOf(pid) - this.maxScan + Math.min(read, this.maxScan))
  }

  /** The clients that are remembered now. */
  get size(): number {
    return this.spent.size
  }

  private entriesOf(pid: string): number {
    const spent = this.spent.get(pid)
    return spent === undefined ? 0 : this.left(spent)
  }

  private left({ at, entries }: Spent): number {
    return Math.max(0, entries - ((this.now() - at) * this.maxScan) / INTERVAL)
  }

  private set(pid: string, entries: number): void {
    this.spent.delete(pid)
    if (entries > 0) this.spent.set(pid, { entries, at: this.now() })
    for (const [oldest, spent] of this.spent) {
      if (this.spent.size <= MAX_CLIENTS && this.left(spent) > 0) return
      this.spent.delete(oldest)
    }
  }
}
