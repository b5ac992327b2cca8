import type { OutboxOverflow } from "../EngineOptions.ts"
import type { OutboundMessage } from "../OutboundMessage.ts"
import { microtask } from "./microtask.ts"
import type { EngineStats } from "./stats.ts"

/** Something that waits: a message, or a packet of the engine's own. */
export interface Waiting {
  readonly item: OutboundMessage | string
  readonly size: number
  readonly onDropped: (() => void) | undefined
}

/** What is needed of an engine's options. */
export interface OutboxLimits {
  readonly maxOutbox: number
  readonly outboxOverflow: OutboxOverflow
}

/**
 * What waits for one client, the oldest first. A message is dropped as a whole, with its attachments; a shared one is held by
 * reference, and counts in full in every outbox that it waits in.
 */
export class Outbox {
  /** The bytes that wait here. */
  bytes = 0
  private readonly limits: OutboxLimits
  private readonly stats: EngineStats
  /** Those that were dropped from the middle leave a gap. */
  private entries: Array<Waiting | undefined> = []
  private count = 0
  private head = 0
  /** A message that is larger than the budget, which got in as nothing else waited. */
  private oversize: Waiting | undefined
  /** Nothing before this one may be dropped: it does not have to be looked for again. */
  private droppable = 0

  constructor(limits: OutboxLimits, stats: EngineStats) {
    this.limits = limits
    this.stats = stats
  }

  get isEmpty(): boolean {
    return this.count === 0
  }

  /** Whether more than so many bytes wait, but for one message that is larger than the budget and came when nothing else waited. */
  exceeds(bytes: number): boolean {
    if (this.bytes <= bytes) return false
    return this.bytes - (this.oversize?.size ?? 0) > bytes
  }

  /**
   * Takes what is to be sent, when `ahead` bytes wait before it, elsewhere. Whether it was taken: what does not fit is dropped,
   * by the policy, or something else for it.
   */
  offer(item: OutboundMessage | string, ahead: number, onDropped?: () => void): boolean {
    const { maxOutbox, outboxOverflow } = this.limits
    const isMessage = typeof item !== "string"
    // What the engine sends by itself is ASCII.
    const entry: Waiting = { item, size: isMessage ? item.byteLength : item.length, onDropped }
    if (ahead + this.bytes + entry.size > maxOutbox) {
      if (outboxOverflow === "dropOldest") this.makeRoom(maxOutbox - ahead - entry.size)
      const isDropped =
        isMessage &&
        item.droppable &&
        // What is larger than the whole budget never fits: it is sent if nothing else waits.
        ahead + this.bytes > 0 &&
        (outboxOverflow === "dropNewest" || outboxOverflow === "dropOldest") &&
        ahead + this.bytes + entry.size > maxOutbox
      if (isDropped) {
        this.drop(entry)
        return false
      }
    }
    if (entry.size > maxOutbox && ahead + this.bytes === 0) this.oversize = entry
    this.entries.push(entry)
    this.count++
    this.bytes += entry.size
    return true
  }

  /** Takes out the oldest. */
  shift(): Waiting | undefined {
    while (this.head < this.entries.length) {
      const entry = this.entries[this.head]
      this.entries[this.head++] = undefined
      if (entry === undefined) continue
      if (entry === this.oversize) this.oversize = undefined
      this.count--
      this.bytes -= entry.size
      this.compact()
      return entry
    }
    this.clear()
    return undefined
  }

  /** Takes out everything. */
  takeAll(): ReadonlyArray<Waiting> {
    const all = this.entries.filter((entry) => entry !== undefined)
    this.clear()
    return all
  }

  /** Forgets everything. */
  clear(): void {
    this.entries = []
    this.count = this.head = this.droppable = this.bytes = 0
    this.oversize = undefined
  }

  /** Drops the oldest until no more than `bytes` wait, or nothing is left that may be dropped. */
  private makeRoom(bytes: number): void {
    // What is larger than the whole budget is not worth everything else.
    if (bytes < 0) return
    this.droppable = Math.max(this.droppable, this.head)
    for (; this.bytes > bytes && this.droppable < this.entries.length; this.droppable++) {
      const entry = this.entries[this.droppable]
      if (entry === undefined || typeof entry.item === "string" || !entry.item.droppable) continue
      if (entry === this.oversize) this.oversize = undefined
      this.entries[this.droppable] = undefined
      this.count--
      this.bytes -= entry.size
      this.drop(entry)
    }
  }

  private drop({ item, onDropped, size }: Waiting): void {
    this.stats.onDropped(this.limits.outboxOverflow, (item as OutboundMessage).packets, size)
    // Later: whoever sends it again at once shall not do so from within the sending of something else.
    if (onDropped !== undefined) microtask(onDropped)
  }

  /** The places of what has left are given back now and then, so that a long queue costs no more per message than a short one. */
  private compact(): void {
    if (this.head < 1_000 || this.head * 2 < this.entries.length) return
    this.entries = this.entries.slice(this.head)
    this.droppable = Math.max(0, this.droppable - this.head)
    this.head = 0
  }
}

/** The packets of what waits, as they are sent. */
export const packetsOf = ({ item }: Waiting): ReadonlyArray<string | Uint8Array> => {
  if (typeof item === "string") return [item]
  const { attachments, text } = item
  if (attachments === undefined) return text === undefined ? [] : [text]
  return text === undefined ? attachments : [text, ...attachments]
}
