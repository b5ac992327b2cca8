/**
 * The messages that wait for a slow client.
 *
 * @since 0.1.0
 */
import { microtask } from "./internal/microtask.ts"
import { type OutboundMessage, PLACE } from "./OutboundMessage.ts"

/**
 * The policy for a client for which more than `limits.maxOutbox` bytes wait.
 *
 * - `disconnect`: the session closes with reason `outbox overflow`; nothing is lost while it is
 *   open. See `maxOutbox`.
 * - `dropNewest`: a message that does not fit is dropped.
 * - `dropOldest`: the oldest messages are dropped until the new one fits. It does not drop the
 *   (about) 64 KiB that are already on their way to a WebSocket.
 * - `suspend`: an emit to the client waits until there is capacity, or the client has disconnected.
 *   A broadcast goes to all recipients at once, and then waits until each of them has capacity
 *   again: as long as the slowest one takes. Messages that no `emit` sends (broadcasts that collect
 *   acknowledgements, those of other servers) do not wait.
 *
 * **Details**
 *
 * A message is dropped as a whole, with its attachments, and counted by
 * `EngineMetrics.packetsDropped` and `bytesDropped`. A message that is larger than the budget is
 * accepted only if nothing waits before it. A dropped `emitWithAck` fails with `NotSent`. A
 * volatile message never waits: it is dropped before anything else is, and it never suspends.
 *
 * **Gotchas**
 *
 * Acknowledgements, replies to CONNECT, DISCONNECT and heartbeats are never dropped and never wait
 * for capacity: unless the policy is `disconnect`, they may exceed the budget. This is bounded,
 * too: a send to a client for which more than twice the budget waits outside of its socket closes
 * its session with reason `outbox overflow`.
 *
 * @since 0.1.0
 * @category options
 */
export type OutboxOverflow = "disconnect" | "dropNewest" | "dropOldest" | "suspend"

/**
 * An entry of an outbox: a message, or a packet of the engine itself, as text.
 *
 * @since 0.1.0
 * @category models
 */
export interface Waiting {
  readonly item: OutboundMessage | string
  /** The bytes that it counts: `waitingBytes` of a message. */
  readonly size: number
  /** Called in a later turn if the message is dropped. */
  readonly onDropped: (() => void) | undefined
}

/**
 * The options of an outbox.
 *
 * @since 0.1.0
 * @category options
 */
export interface OutboxLimits {
  /** The number of bytes that may wait, with the objects that hold them. */
  readonly maxOutbox: number
  readonly outboxOverflow: OutboxOverflow
}

/** Counts the messages that outboxes drop. */
interface DropCounter {
  onDropped(policy: OutboxOverflow, packets: number, bytes: number): void
}

/** The gaps that may be left in an outbox in any case. */
const MAX_GAPS = 1_000

/**
 * The messages that wait for one client, the oldest first.
 *
 * A message is dropped as a whole, with its attachments. Messages count with the memory that they
 * take: small ones take far more than their bytes. A shared message is held by reference: its bytes
 * count in full in every outbox that it waits in, its objects in none.
 *
 * @since 0.1.0
 * @category models
 */
export class Outbox {
  /** The number of waiting bytes, as their entries count them. */
  bytes = 0
  private readonly limits: OutboxLimits
  private readonly counter: DropCounter
  /** An entry that was dropped from the middle leaves a gap. */
  private entries: Array<Waiting | undefined> = []
  private count = 0
  private head = 0
  /** A message that is larger than the budget. It was accepted because nothing else waited. */
  private oversize: Waiting | undefined
  /** The index of the first entry that may be dropped, so that each search goes on from there. */
  private droppable = 0

  constructor(limits: OutboxLimits, counter: DropCounter) {
    this.limits = limits
    this.counter = counter
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return this.count === 0
  }

  /**
   * Whether more than `bytes` bytes wait. A message that is larger than the budget does not count
   * if it came when nothing else waited.
   */
  exceeds(bytes: number): boolean {
    if (this.bytes <= bytes) return false
    return this.bytes - (this.oversize?.size ?? 0) > bytes
  }

  /**
   * Takes a message or packet, while `ahead` bytes wait before it elsewhere. Returns whether it was
   * taken. According to the policy, a message that does not fit is dropped, or older messages are
   * dropped to make it fit.
   */
  offer(item: OutboundMessage | string, ahead: number, onDropped?: () => void): boolean {
    const { maxOutbox, outboxOverflow } = this.limits
    const isMessage = typeof item !== "string"
    // Packets of the engine itself are ASCII.
    const entry: Waiting = { item, size: isMessage ? item.waitingBytes : PLACE + item.length, onDropped }
    if (ahead + this.bytes + entry.size > maxOutbox) {
      if (outboxOverflow === "dropOldest") this.freeCapacity(maxOutbox - ahead - entry.size)
      const isDropped =
        isMessage &&
        item.droppable &&
        // A message larger than the budget never fits: it is accepted if nothing else waits.
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

  /** Removes the oldest entry and returns it. */
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

  /** Removes all entries and returns them. */
  takeAll(): ReadonlyArray<Waiting> {
    const all = this.entries.filter((entry) => entry !== undefined)
    this.clear()
    return all
  }

  /** Removes the oldest entries, at most `most`, and returns them. */
  take(most: number): ReadonlyArray<Waiting> {
    if (this.count <= most) return this.takeAll()
    const oldest: Array<Waiting> = []
    while (oldest.length < most) oldest.push(this.shift()!)
    return oldest
  }

  /** Forgets everything. */
  clear(): void {
    this.entries = []
    this.count = this.head = this.droppable = this.bytes = 0
    this.oversize = undefined
  }

  /** Drops the oldest messages until at most `bytes` bytes wait, or none is left to drop. */
  private freeCapacity(bytes: number): void {
    // A message larger than the whole budget is not worth all other messages.
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
    // A client that takes nothing would leave more and more gaps.
    if (this.entries.length < 2 * this.count + MAX_GAPS) return
    this.entries = this.entries.filter((entry) => entry !== undefined)
    this.head = this.droppable = 0
  }

  private drop({ item, onDropped }: Waiting): void {
    const { byteLength, packets } = item as OutboundMessage
    this.counter.onDropped(this.limits.outboxOverflow, packets, byteLength)
    // Deferred: a caller that sends again from `onDropped` does not re-enter the send that is
    // running.
    if (onDropped !== undefined) microtask(onDropped)
  }

  /**
   * Releases the places of removed entries now and then, so that long queues stay as cheap as short
   * ones.
   */
  private compact(): void {
    if (this.head < 1_000 || this.head * 2 < this.entries.length) return
    this.entries = this.entries.slice(this.head)
    this.droppable = Math.max(0, this.droppable - this.head)
    this.head = 0
  }
}

/**
 * Returns the packets of an entry, in the order of sending.
 *
 * @since 0.1.0
 * @category getters
 */
export const packetsOf = ({ item }: Waiting): ReadonlyArray<string | Uint8Array> => {
  if (typeof item === "string") return [item]
  const { attachments, text } = item
  if (attachments === undefined) return text === undefined ? [] : [text]
  return text === undefined ? attachments : [text, ...attachments]
}
