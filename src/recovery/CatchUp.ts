/**
 * The messages that a client has missed, found in the log that the servers of a cluster share.
 *
 * @since 0.1.0
 */
import type { LogSelection } from "./MessageLog.ts"
import type { MissReason } from "./RecoverySession.ts"
import * as LogPosition from "../adapter/LogPosition.ts"
import type { From, OnEntry, Place, SharedMessage } from "../adapter/SharedLog.ts"
import type { Checkpoint, StoredSession } from "../adapter/StoredSession.ts"

/**
 * The bounds of what one client may cost.
 *
 * @since 0.1.0
 * @category models
 */
export interface CatchUpBounds {
  /** The number of messages for one client. */
  readonly maxReplay: number
  /** Their size, in bytes. */
  readonly maxReplayBytes: number
  /** The number of entries that are looked at. */
  readonly maxScan: number
}

/**
 * A message that a client has missed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Missed {
  readonly position: string
  readonly message: SharedMessage & { readonly _tag: "Broadcast" }
}

/**
 * The messages that a client has missed, its rooms now, and the last place that it has confirmed.
 *
 * @since 0.1.0
 * @category models
 */
export interface CaughtUp {
  readonly missed: ReadonlyArray<Missed>
  readonly rooms: ReadonlyArray<string>
  readonly checkpoint: Checkpoint
}

/**
 * Follows the log from the last confirmed place of a session to the present: the rooms of the
 * client, and the messages for it.
 *
 * **Details**
 *
 * Entries up to the place in which the server was at first are read again (`take`). Those that come
 * meanwhile wait (`hold`) until `finish`, which is called in the turn in which the socket is a
 * member again: nothing can be missing, and nothing comes twice.
 *
 * Every entry of the log is counted: if some of them are not there any more, the number differs
 * from that of the places.
 *
 * @since 0.1.0
 * @category models
 */
export class CatchUp {
  readonly session: StoredSession
  /** The place in which the server was at first. */
  readonly start: Place
  /** Reading begins after this place. */
  readonly after: From
  /** The client has received everything up to here. */
  readonly received: string
  private readonly bounds: CatchUpBounds
  private readonly rooms: Set<string>
  private readonly missed: Array<Missed> = []
  private readonly held: Array<Parameters<OnEntry>> = []
  /** The entry that has to be the first one: an official server does not count entries. */
  private first: string | undefined
  /** The number of entries that were taken, and of those up to the last one that was looked at. */
  private scanned = 0
  /** The number of calls of `take`: its cost. */
  taken = 0
  private counted = 0
  private bytes = 0
  private last: string
  /**
   * The place that the client has confirmed: the position, its rooms, and the number of entries up
   * to there.
   */
  private confirmed: { readonly position: string; readonly rooms: ReadonlyArray<string>; readonly count: number }
  private isPast = false
  private reason: MissReason | undefined

  /** `offset` is the position that the client names, if it is one. */
  constructor(session: StoredSession, offset: string | undefined, start: Place, bounds: CatchUpBounds) {
    const { checkpoint, rooms } = session
    this.session = session
    this.start = start
    this.bounds = bounds
    this.rooms = new Set(checkpoint?.rooms ?? rooms)
    if (checkpoint !== undefined) {
      this.after = checkpoint
      // Entries that others have had may be missing since, and counting does not show it.
      if (checkpoint.era !== start.era) this.reason = "trimmed"
      this.received =
        offset !== undefined && LogPosition.compare(offset, checkpoint.position) > 0 ? offset : checkpoint.position
    } else if (offset === undefined) {
      this.after = start
      this.received = start.position
      this.reason = "unknown"
    } else {
      this.after = { position: LogPosition.before(offset) }
      this.received = this.first = offset
    }
    this.last = this.after.position
    this.confirmed = { position: this.last, rooms: [...this.rooms], count: 0 }
  }

  /** Whether it is known already that the client begins anew. */
  get isOver(): boolean {
    return this.reason !== undefined
  }

  /** The client begins anew, for a reason. */
  fail(reason: MissReason): void {
    this.reason ??= reason
    this.held.length = this.missed.length = 0
  }

  /** Takes the next entry of those up to the start. */
  readonly take: OnEntry = (position, message, bytes, index) => {
    this.taken++
    if (this.first !== undefined) {
      // Clients have offsets from events of their own namespace alone.
      if (position !== this.first || message?._tag !== "Broadcast") this.fail("trimmed")
      this.first = undefined
    }
    this.follow(position, message, bytes)
    // Those of other namespaces may have been passed over.
    this.scanned = index === undefined ? this.scanned + 1 : index - (this.after.index ?? 0)
    this.counted = this.scanned
  }

  /** Keeps an entry that comes while those before are read. */
  readonly hold: OnEntry = (position, message, bytes) => {
    if (this.reason !== undefined) return
    if (this.held.length >= this.bounds.maxScan) return this.fail("overflow")
    this.held.push([position, message, bytes])
  }

  /** Everything up to the start was taken. It is `whole` if none can be missing. */
  onRead(isWhole: boolean): void {
    const { checkpoint } = this.session
    if (this.first !== undefined) return this.fail("trimmed")
    if (isWhole && checkpoint !== undefined) this.scanned = this.start.index - checkpoint.index
    if (checkpoint !== undefined && this.start.index - checkpoint.index !== this.scanned) this.fail("trimmed")
  }

  /** Returns what the client has missed up to now, or why it begins anew. */
  finish(): CaughtUp | MissReason {
    for (const [position, message, bytes] of this.held) this.follow(position, message, bytes)
    if (!this.isPast) this.confirm()
    if (this.reason !== undefined) return this.reason
    const { count, position, rooms } = this.confirmed
    const checkpoint = { ...this.start, position, index: this.start.index - (this.scanned - count), rooms }
    return { missed: this.missed, rooms: [...this.rooms], checkpoint }
  }

  /** The entries up to the last one are confirmed by what the client says. */
  private confirm(): void {
    // Those that were held are not counted.
    if (LogPosition.compare(this.last, this.start.position) > 0) return
    this.confirmed = { position: this.last, rooms: [...this.rooms], count: this.counted }
  }

  private follow(position: string, message: SharedMessage | undefined, bytes: number): void {
    if (this.reason !== undefined) return
    if (!this.isPast && LogPosition.compare(position, this.received) > 0) {
      this.isPast = true
      this.confirm()
    }
    this.last = position
    if (message !== undefined) this.act(position, message, bytes)
  }

  private act(position: string, message: SharedMessage, bytes: number): void {
    const { session } = this
    switch (message._tag) {
      case "Enter":
      case "Exit":
        return message.sid === session.sid ? this.change(message._tag === "Enter", message.rooms) : undefined
      case "Join":
      case "Leave":
        return this.matches(message.selection) ? this.change(message._tag === "Join", message.rooms) : undefined
      case "Disconnect":
        return this.matches(message.selection) ? this.fail("refused") : undefined
      case "Broadcast": {
        const { atOnce, direct, flags, selection } = message
        if (!this.isPast || atOnce || flags.volatile) return
        if (direct ? selection.rooms[0] !== session.sid : !this.matches(selection)) return
        this.missed.push({ position, message })
        this.bytes += bytes
        const { maxReplay, maxReplayBytes } = this.bounds
        if (this.missed.length > maxReplay || this.bytes > maxReplayBytes) this.fail("overflow")
        return
      }
      case "Taken":
        return
    }
  }

  private change(isJoin: boolean, names: ReadonlyArray<string>): void {
    for (const room of names) {
      if (!isJoin) this.rooms.delete(room)
      else if (room !== this.session.sid) this.rooms.add(room)
    }
  }

  private matches({ except, rooms }: LogSelection): boolean {
    return (rooms.length === 0 || rooms.some(this.isIn)) && !except.some(this.isIn)
  }

  private readonly isIn = (room: string): boolean => room === this.session.sid || this.rooms.has(room)
}
