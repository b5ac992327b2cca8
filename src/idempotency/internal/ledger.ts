import { costOf } from "../../internal/cost.ts"

/** The bounds of the answers that are kept. */
export interface LedgerLimits {
  readonly maxEntries: number
  readonly maxBytes: number
  readonly maxEntriesPerClient: number
  readonly maxBytesPerClient: number
}

/** An answer that is kept. */
interface Entry {
  readonly key: string
  /** `undefined` if the answer is kept elsewhere. */
  readonly answer: string | undefined
  readonly bytes: number
  /** The time at which it is over, in milliseconds. */
  readonly endsAt: number
  /** The number of answers that were added before it. */
  readonly number: number
  /** Its place among the answers with the same window, and among those of its client. */
  readonly inQueue: Place
  readonly inShare: Place
}

/** A place in a chain. */
class Place {
  readonly chain: Chain
  entry!: Entry
  previous: Place | undefined
  next: Place | undefined

  constructor(chain: Chain) {
    this.chain = chain
  }
}

/**
 * Entries in the order in which they were added. Unlike a `Set`, it finds its first one at once
 * also after it has lost many.
 */
class Chain {
  /** A window in milliseconds, or a client. */
  readonly name: number | string
  first: Place | undefined
  last: Place | undefined
  size = 0
  bytes = 0

  constructor(name: number | string) {
    this.name = name
  }

  add(place: Place): void {
    place.previous = this.last
    if (this.last === undefined) this.first = place
    else this.last.next = place
    this.last = place
    this.size++
    this.bytes += place.entry.bytes
  }

  remove(place: Place): void {
    const { entry, next, previous } = place
    if (previous === undefined) this.first = next
    else previous.next = next
    if (next === undefined) this.last = previous
    else next.previous = previous
    // One that the collector has moved already would keep all after it until its next long run.
    place.next = place.previous = undefined
    this.size--
    this.bytes -= entry.bytes
  }
}

/** The memory of an entry beside its texts. */
const ENTRY = 400

/** An answer to add. */
export interface NewEntry {
  readonly key: string
  /** The one that has caused it. */
  readonly client: string
  readonly answer: string
  /** Whether the answer itself is kept elsewhere. */
  readonly isElsewhere: boolean
  /** For how long it is kept, in milliseconds. */
  readonly window: number
}

/**
 * The answers that are kept, within bounds. Those that are over are dropped first. Beyond its
 * share, a client loses its own oldest answers; beyond the bounds of all, the oldest of all go.
 */
export class Ledger {
  private readonly limits: LedgerLimits
  private readonly entries = new Map<string, Entry>()
  /** By window: within one, the order of entries is that of their ends. There are few windows. */
  private readonly queues = new Map<number | string, Chain>()
  private readonly shares = new Map<number | string, Chain>()
  private total = 0
  private added = 0

  constructor(limits: LedgerLimits) {
    this.limits = limits
  }

  get size(): number {
    return this.entries.size
  }

  get bytes(): number {
    return this.total
  }

  /** Returns the answer of a key, unless it is over. */
  get(key: string, now: number): string | undefined {
    const entry = this.entries.get(key)
    return entry === undefined || entry.endsAt <= now ? undefined : entry.answer
  }

  /** Whether an answer can be kept at all. */
  fits(entry: NewEntry): boolean {
    return bytesOf(entry) <= Math.min(this.limits.maxBytes, this.limits.maxBytesPerClient)
  }

  /**
   * Adds an answer, in place of another one with its key. Returns the keys that had to go for it:
   * those that are over are not among them, see `purge`.
   */
  add(added: NewEntry, now: number): ReadonlyArray<string> {
    const { answer, client, isElsewhere, key, window } = added
    const existing = this.entries.get(key)
    if (existing !== undefined) this.drop(existing)
    this.purge(now)
    const dropped: Array<string> = []
    const entry: Entry = {
      key,
      answer: isElsewhere ? undefined : answer,
      bytes: bytesOf(added),
      endsAt: now + window,
      number: this.added++,
      inQueue: placeIn(this.queues, window),
      inShare: placeIn(this.shares, client)
    }
    this.entries.set(key, entry)
    this.total += entry.bytes
    for (const place of [entry.inQueue, entry.inShare]) {
      place.entry = entry
      place.chain.add(place)
    }
    const { maxBytes, maxBytesPerClient, maxEntries, maxEntriesPerClient } = this.limits
    const share = entry.inShare.chain
    while (share.size > maxEntriesPerClient || share.bytes > maxBytesPerClient) {
      dropped.push(this.drop(share.first!.entry))
    }
    while (this.size > maxEntries || this.total > maxBytes) dropped.push(this.drop(this.oldest!))
    return dropped
  }

  /** Drops the answers that are over. Returns their keys. */
  purge(now: number): Array<string> {
    const dropped: Array<string> = []
    for (const queue of this.queues.values()) {
      while (queue.first !== undefined && queue.first.entry.endsAt <= now) dropped.push(this.drop(queue.first.entry))
    }
    return dropped
  }

  /** The answer that was added first. */
  private get oldest(): Entry | undefined {
    let oldest: Entry | undefined
    for (const { first } of this.queues.values()) {
      if (first !== undefined && (oldest === undefined || first.entry.number < oldest.number)) oldest = first.entry
    }
    return oldest
  }

  private drop(entry: Entry): string {
    this.entries.delete(entry.key)
    this.total -= entry.bytes
    remove(this.queues, entry.inQueue)
    remove(this.shares, entry.inShare)
    return entry.key
  }
}

const bytesOf = ({ answer, client, key }: NewEntry): number => ENTRY + costOf(key) + costOf(client) + costOf(answer)

const placeIn = (chains: Map<number | string, Chain>, name: number | string): Place => {
  let chain = chains.get(name)
  if (chain === undefined) chains.set(name, (chain = new Chain(name)))
  return new Place(chain)
}

const remove = (chains: Map<number | string, Chain>, place: Place): void => {
  const { chain } = place
  chain.remove(place)
  if (chain.size === 0) chains.delete(chain.name)
}
