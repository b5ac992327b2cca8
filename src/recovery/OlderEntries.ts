/**
 * The entries of a shared log from before the first one that a server remembers.
 *
 * @since 0.1.0
 */
import * as LogPosition from "../adapter/LogPosition.ts"
import type { OnEntry, Refill, SharedMessage } from "../adapter/SharedLog.ts"
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
 * Collects the entries that were in the log before those that a server remembers, as one client's
 * return has them read. A server that has just started remembers little, and all clients of another
 * server may come to it.
 *
 * **Details**
 *
 * They are taken over only if they lead to the first remembered entry without a gap: it must be
 * among those that are read, at the place that its number says. Their memory counts before they are
 * taken over: beyond the room that there is, they are dropped.
 *
 * @since 0.1.0
 * @category models
 */
export class OlderEntries implements Refill {
  private readonly log: MessageLog<Kept>
  private readonly after: number
  private readonly memoryOf: (bytes: number) => number
  private readonly onEnd: () => void
  private readonly floor: number
  private readonly entries: Array<Omit<LogEntry<Kept>, "log" | "at">> = []
  private index: number
  private memory = 0
  private isTooMuch = false
  /** Whether they lead to the first entry that is remembered. */
  private meets = false

  /** They begin after the entry with a number. `onEnd` is called at the end. */
  constructor(log: MessageLog<Kept>, after: number, memoryOf: (bytes: number) => number, onEnd: () => void) {
    this.log = log
    this.after = this.index = after
    this.memoryOf = memoryOf
    this.onEnd = onEnd
    this.floor = log.floor
  }

  /** Takes the next entry. */
  readonly take: OnEntry = (position, message, bytes) => {
    const { entries, floor, log } = this
    const index = ++this.index
    if (index > floor) {
      const { first } = log
      if (first?.position === index && first.message.position === position) this.meets = true
      return
    }
    if (message === undefined || this.isTooMuch) return
    const memory = this.memoryOf(bytes)
    this.memory += memory
    if (this.memory > log.room) {
      this.isTooMuch = true
      entries.length = 0
      return
    }
    entries.push({ position: index, message: { position, message, bytes }, rooms: [], except: [], bytes: memory })
  }

  /** Takes the entries over if all were read, and nothing has changed meanwhile. */
  end(isComplete: boolean): void {
    this.onEnd()
    const { after, entries, floor, isTooMuch, log, meets } = this
    const { first } = log
    if (!isComplete || !meets || isTooMuch || first === undefined || log.floor !== floor) return
    // Positions tell the time of another clock.
    const ahead = LogPosition.millisOf(first.message.position) - first.at
    log.prepend(after, entries, ({ position }) => LogPosition.millisOf(position) - ahead)
  }
}
