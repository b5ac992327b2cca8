/**
 * The entries of a shared log from before the first one that a server remembers.
 *
 * @since 0.1.0
 */
import type { OnEntry, Place, Refill, SharedMessage } from "../adapter/SharedLog.ts"
import { Deque } from "../internal/deque.ts"
import type { LogEntry, MessageLog } from "./MessageLog.ts"

/**
 * An entry of a shared log, as a server remembers it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Kept {
  readonly position: string
  readonly message: SharedMessage
  readonly bytes: number
}

/**
 * The options of {@link OlderEntries}.
 *
 * @since 0.1.0
 * @category options
 */
export interface OlderEntriesOptions {
  readonly log: MessageLog<Kept>
  /** They are read after the entry with this number. */
  readonly after: number
  /** They are read up to this place: where the server is when it begins. */
  readonly upTo: Place
  /** The memory of an entry of so many bytes. */
  readonly memoryOf: (bytes: number) => number
  /** The time of an entry, in milliseconds. */
  readonly timeOf: (position: string) => number
  /** Is called at the end. */
  readonly onEnd: () => void
}

/**
 * Collects the entries that were in the log before those that a server remembers, as one client's
 * return has them read. A server that has just started remembers little, and all clients of another
 * server may come to it.
 *
 * **Details**
 *
 * The server takes them over only if none is missing: the entry at which it was when the reading
 * began must be the last one, with the number that it has. While they are collected, their memory
 * counts as that of the others. If there is no room for all, the first ones are dropped.
 *
 * @since 0.1.0
 * @category models
 */
export class OlderEntries implements Refill {
  private readonly options: OlderEntriesOptions
  private readonly floor: number
  private readonly entries = new Deque<LogEntry<Kept>>()
  /** All entries after this one are here. */
  private after: number
  private index: number
  private meets = false

  constructor(options: OlderEntriesOptions) {
    this.options = options
    this.floor = options.log.floor
    this.after = this.index = options.after
  }

  get upTo(): Place {
    return this.options.upTo
  }

  /** Takes the next entry. */
  readonly take: OnEntry = (position, message, bytes) => {
    const { entries } = this
    const { log, memoryOf, timeOf, upTo } = this.options
    const index = ++this.index
    if (position === upTo.position) this.meets = index === upTo.index
    if (message === undefined || index > this.floor) return
    const memory = memoryOf(bytes)
    while (!log.reserve(memory)) {
      if (entries.size === 0) {
        this.after = index
        return
      }
      this.drop()
    }
    entries.push({
      position: index,
      message: { position, message, bytes },
      rooms: [],
      except: [],
      log,
      bytes: memory,
      at: timeOf(position)
    })
  }

  private drop(): void {
    const { bytes, position } = this.entries.shift()
    this.options.log.giveBack(bytes)
    this.after = position
  }

  /**
   * The server takes the entries over if all were read, and if it still remembers those that come
   * after them.
   */
  end(isComplete: boolean): void {
    const { log, onEnd } = this.options
    onEnd()
    const entries = this.entries.takeAll()
    for (const { bytes } of entries) log.giveBack(bytes)
    // One that was being delivered when the log began is remembered already, at its floor.
    const isFree = log.first === undefined || log.first.position > this.floor
    if (isComplete && this.meets && isFree && log.floor === this.floor && this.after < this.floor) {
      log.prepend(this.after, entries)
    }
  }
}
