/**
 * The entries of a shared log that one server has read last.
 *
 * @since 0.1.0
 */
import * as LogPosition from "../adapter/LogPosition.ts"
import { type LogBudget, MessageLog } from "./MessageLog.ts"
import { type Kept, OlderEntries } from "./OlderEntries.ts"
import type { From, OnEntry, Place, Recent, Refill, SharedMessage } from "../adapter/SharedLog.ts"

/**
 * The entries of one namespace that a server has read last, or for a client, so that it need not
 * read them again for each one that comes back. None is missing between the first and the last.
 *
 * @since 0.1.0
 * @category models
 */
export class RecentEntries implements Recent {
  private readonly log: MessageLog<Kept>
  private older: OlderEntries | undefined

  /** It begins after the entry with a number. */
  constructor(budget: LogBudget, floor: number) {
    this.log = new MessageLog(budget)
    this.log.floor = floor
  }

  /** Adds the entry at a place, of so many bytes, at a time in milliseconds. */
  add({ index, position }: Place, message: SharedMessage, bytes: number, at: number): void {
    const { log } = this
    log.head = index - 1
    log.append({ position, message, bytes }, nobody, memoryOf(bytes), at)
  }

  /**
   * Whether everything after a place is here, up to where the server is now. Others may have made
   * the place up.
   */
  has({ index, position }: From, now: Place): boolean {
    const { log } = this
    if (index === undefined || index < log.floor || index > now.index) return false
    const before = log.lastUpTo(index)
    // Of entries that it does not keep, as they belong to other namespaces, it knows only where
    // they are.
    if (before !== undefined) {
      const order = LogPosition.compare(before.message.position, position)
      if (before.position === index ? order !== 0 : order >= 0) return false
    }
    let isBefore = true
    log.forEachAfter(index, ({ message }) => {
      isBefore = LogPosition.compare(message.position, position) > 0
      return false
    })
    return isBefore
  }

  /** Passes on the entries after a place, up to a position. */
  read({ index }: From, upTo: string, maxEntries: number, onEntry: OnEntry): "overflow" | "whole" {
    let left = maxEntries
    this.log.forEachAfter(index!, ({ message: { bytes, message, position }, position: at }) => {
      if (LogPosition.compare(position, upTo) > 0) return false
      if (left-- > 0) onEntry(position, message, bytes, at)
      return left >= 0
    })
    return left < 0 ? "overflow" : "whole"
  }

  /** Takes entries that are read once more. See {@link Recent}. */
  refill({ index }: From, upTo: Place, now: number): Refill | undefined {
    const { log } = this
    if (this.older !== undefined || index === undefined || index >= log.floor || upTo.index < log.floor)
      return undefined
    // Positions tell the time of another clock: that of the first entry, or of the last one.
    const { at, message } = log.first ?? { at: now, message: upTo }
    const ahead = LogPosition.millisOf(message.position) - at
    return (this.older = new OlderEntries({
      log,
      after: index,
      upTo,
      memoryOf,
      timeOf: (position) => LogPosition.millisOf(position) - ahead,
      onEnd: () => {
        this.older = undefined
      }
    }))
  }
}

/**
 * The memory of an entry of so many bytes, in bytes: decoded, it takes more.
 *
 * @since 0.1.0
 * @category models
 */
export const memoryOf = (bytes: number): number => OVERHEAD + 2 * bytes

const nobody = { rooms: [], except: [] }

/** The objects of an entry, in bytes. */
const OVERHEAD = 300
