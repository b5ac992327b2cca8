import type { About, EncodedEnd } from "../StreamStore.ts"
import { LogEntry } from "./entry.ts"

/** The bounds of the logs of a server. */
export interface LedgerLimits {
  readonly retain: number
  readonly maxItems: number
  readonly maxBytes: number
  readonly maxStreams: number
  readonly maxTotalBytes: number
  readonly maxRunning: number
  readonly maxStreamsPerClient: number
  readonly maxBytesPerClient: number
  readonly maxRunningPerClient: number
}

/** The name of the bound that keeps a stream from its start. */
export type Bound = "maxRunning" | "maxRunningPerClient" | "maxBytesPerClient" | "maxTotalBytes"

/** The streams of one client. */
class Share {
  running = 0
  bytes = 0
  /** The part of it that its streams keep to make their values. */
  held = 0
  /** Those that have ended, in the order of their ends. */
  readonly ended = new Set<LogEntry>()

  get size(): number {
    return this.running + this.ended.size
  }
}

/** Is told what happens, for metrics. */
export interface LedgerListener {
  onDropped(values: number): void
  onEnded(end: string): void
}

const placeOf = ({ event, key, namespace, owner }: About): string =>
  JSON.stringify([namespace, event, owner ?? null, key])

/**
 * The logs of a server, within bounds. Those that have ended are dropped first: when their time is
 * over; beyond its share, those of a client; beyond the bounds of all, the ones that have ended
 * first. A stream that runs is never dropped, but loses its oldest values.
 */
export class Ledger {
  readonly limits: LedgerLimits
  private readonly now: () => number
  private readonly listener: LedgerListener
  private readonly entries = new Map<string, LogEntry>()
  /** The streams that run, and the mirrors of those of other servers. */
  private readonly running = new Set<LogEntry>()
  private readonly ended = new Set<LogEntry>()
  private readonly keys = new Map<string, LogEntry>()
  private readonly shares = new Map<string, Share>()
  private total = 0
  private held = 0
  private own = 0

  constructor(limits: LedgerLimits, now: () => number, listener: LedgerListener) {
    this.limits = limits
    this.now = now
    this.listener = listener
  }

  get size(): number {
    return this.entries.size
  }

  get bytes(): number {
    return this.total
  }

  /** The number of streams that run here. */
  get runs(): number {
    return this.own
  }

  get(id: string): LogEntry | undefined {
    const entry = this.entries.get(id)
    if (entry?.end === undefined || this.now() - entry.endedAt < this.limits.retain) return entry
    this.remove(entry)
    return undefined
  }

  /** The stream of a key that runs here. */
  find(about: About): LogEntry | undefined {
    return about.key === undefined ? undefined : this.keys.get(placeOf(about))
  }

  /** The bound that a new stream of a client would exceed, which keeps so much while it runs. */
  refuses(client: string, held = 0): Bound | undefined {
    const { maxBytesPerClient, maxRunning, maxRunningPerClient, maxTotalBytes } = this.limits
    const share = this.shares.get(client)
    if (share !== undefined && share.running >= maxRunningPerClient) return "maxRunningPerClient"
    // Values can be dropped to make room. What makes them cannot.
    if ((share?.held ?? 0) + held > maxBytesPerClient) return "maxBytesPerClient"
    if (this.held + held > maxTotalBytes) return "maxTotalBytes"
    return this.own >= maxRunning ? "maxRunning" : undefined
  }

  /**
   * The stream that another one may replace: it has no owner, and has had no reader for so many
   * milliseconds. It is one of the client with the most streams, and the one that has had none for
   * longest.
   */
  abandoned(millis: number): LogEntry | undefined {
    const now = this.now()
    let found: LogEntry | undefined
    let most = 0
    for (const entry of this.running) {
      const { about, client, isMirror, lonelyAt, readers } = entry
      if (isMirror || about.owner !== undefined || readers > 0 || now - lonelyAt < millis) continue
      const { running } = this.shares.get(client)!
      if (running < most || (running === most && found !== undefined && lonelyAt >= found.lonelyAt)) continue
      found = entry
      most = running
    }
    return found
  }

  begin(stream: ConstructorParameters<typeof LogEntry>[0], isMirror = false): LogEntry {
    const entry = new LogEntry(stream, this.now, isMirror)
    this.entries.set(entry.id, entry)
    this.running.add(entry)
    if (!isMirror) this.own++
    let share = this.shares.get(entry.client)
    if (share === undefined) this.shares.set(entry.client, (share = new Share()))
    share.running++
    share.held += entry.held
    this.held += entry.held
    this.charge(entry, entry.bytes)
    this.fit(entry)
    return entry
  }

  /** The key of a stream leads to it, until it ends. */
  claim(entry: LogEntry): void {
    if (entry.about.key !== undefined && entry.end === undefined) this.keys.set(placeOf(entry.about), entry)
  }

  /** Those that run, mirrors included. */
  get all(): ReadonlyArray<LogEntry> {
    return Array.from(this.running)
  }

  /** Whether no other log can be kept. */
  get isFull(): boolean {
    return this.running.size >= this.limits.maxStreams
  }

  /** Whether a value fits without dropping one that nobody has read. */
  hasRoom(entry: LogEntry): boolean {
    const { maxBytes, maxItems } = this.limits
    return (entry.kept < maxItems && entry.bytes < maxBytes) || !entry.isUnread
  }

  /** Adds a value, and drops what exceeds the bounds. The readers are not told yet. */
  add(entry: LogEntry, value: unknown): void {
    this.charge(entry, entry.add(value))
    const { maxBytes, maxItems } = this.limits
    let dropped = 0
    while (entry.kept > maxItems || (entry.bytes > maxBytes && entry.kept > 1)) {
      this.charge(entry, -entry.drop())
      dropped++
    }
    if (dropped > 0) this.listener.onDropped(dropped)
    this.fit(entry)
  }

  /** A mirror goes on at a position, as the values before it were dropped. */
  skip(entry: LogEntry, position: number): void {
    while (entry.kept > 0) this.charge(entry, -entry.drop())
    entry.skipTo(position)
  }

  /** The stream has ended. The first end counts. */
  finish(entry: LogEntry, end: EncodedEnd): boolean {
    if (entry.end !== undefined) return false
    entry.end = end
    entry.endedAt = this.now()
    entry.interrupt = undefined
    const share = this.shares.get(entry.client)!
    this.running.delete(entry)
    share.running--
    this.letGo(entry)
    this.ended.add(entry)
    share.ended.add(entry)
    if (!entry.isMirror) {
      this.own--
      this.listener.onEnded(end._tag)
      if (this.find(entry.about) === entry) this.keys.delete(placeOf(entry.about))
    }
    this.fit(entry)
    entry.tell()
    return true
  }

  /**
   * Drops the logs whose time is over. Returns those that run and have had no readers for their
   * time.
   */
  sweep(): ReadonlyArray<LogEntry> {
    const now = this.now()
    for (const entry of this.ended) {
      if (now - entry.endedAt < this.limits.retain) break
      this.remove(entry)
    }
    return this.all.filter((entry) => entry.readers === 0 && now - entry.lonelyAt >= entry.idle)
  }

  /** Forgets a log. */
  remove(entry: LogEntry): void {
    if (!this.entries.delete(entry.id)) return
    const share = this.shares.get(entry.client)!
    if (this.running.delete(entry)) {
      share.running--
      this.letGo(entry)
      if (!entry.isMirror) this.own--
      if (this.find(entry.about) === entry) this.keys.delete(placeOf(entry.about))
    }
    this.ended.delete(entry)
    share.ended.delete(entry)
    share.bytes -= entry.bytes
    this.total -= entry.bytes
    if (share.size === 0) this.shares.delete(entry.client)
    // Until its values are in the store; see `makeShipping`.
    if (entry.shipper === undefined) entry.clear()
  }

  /** It makes no more values. */
  private letGo(entry: LogEntry): void {
    const held = entry.letGo()
    this.shares.get(entry.client)!.held -= held
    this.held -= held
    this.charge(entry, -held)
  }

  private charge(entry: LogEntry, bytes: number): void {
    this.total += bytes
    this.shares.get(entry.client)!.bytes += bytes
  }

  /** Drops what exceeds the bounds of the client, and of all. */
  private fit(entry: LogEntry): void {
    const { maxBytesPerClient, maxStreams, maxStreamsPerClient, maxTotalBytes } = this.limits
    const share = this.shares.get(entry.client)!
    // For every value, so that nothing is made here while all fits.
    const isShareFull = share.bytes > maxBytesPerClient || share.size > maxStreamsPerClient
    if (!isShareFull && this.total <= maxTotalBytes && this.size <= maxStreams) return
    for (const oldest of share.ended) {
      if (share.bytes <= maxBytesPerClient && share.size <= maxStreamsPerClient) break
      if (oldest !== entry) this.remove(oldest)
    }
    for (const oldest of this.ended) {
      if (this.size <= maxStreams && this.total <= maxTotalBytes) break
      if (oldest !== entry) this.remove(oldest)
    }
    let dropped = 0
    while ((share.bytes > maxBytesPerClient || this.total > maxTotalBytes) && entry.kept > 1) {
      this.charge(entry, -entry.drop())
      dropped++
    }
    if (dropped > 0) this.listener.onDropped(dropped)
  }
}
