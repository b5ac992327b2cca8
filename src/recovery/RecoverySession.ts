/**
 * The state of one client in one namespace, as far as it outlasts the client's connection.
 *
 * @since 0.1.0
 */
import { DirectMessages, type MessageTexts, type Sized } from "./DirectMessages.ts"
import { Memberships } from "./Memberships.ts"
import type { MessageLog } from "./MessageLog.ts"

/**
 * The reasons why a client does not get its session back, though it asks for it.
 *
 * - `unknown`: the server has never had such a session, or has forgotten that it had; or the client
 *   does not know what it has received, as something else has taken the place of its offset.
 * - `expired`: the client was away for longer than `maxDisconnection`, or its session has ended
 *   otherwise. Also if its connection was lost before its builder was done.
 * - `epoch`: the server, or the namespace, has begun anew since.
 * - `trimmed`: the server has dropped some of the messages that the client has missed.
 * - `overflow`: the client has missed more messages than it may get (`maxReplay`), or a message to
 *   it was dropped because it read too slowly (`outboxOverflow`).
 * - `refused`: the server has disconnected it while it was away, or it is another user now.
 * - `unavailable`: the sessions or messages that the servers of a cluster share could not be read.
 *
 * @since 0.1.0
 * @category models
 */
export type MissReason = "unknown" | "expired" | "epoch" | "trimmed" | "overflow" | "refused" | "unavailable"

/**
 * The most that one client may make a server keep, or send again.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionBounds {
  /** The number of messages for one client. */
  readonly maxReplay: number
  /** Their memory, in bytes. */
  readonly maxReplayBytes: number
  /** Whether messages to slow clients are dropped, though their connection stays. */
  readonly dropsMessages: boolean
}

/**
 * The memory that messages for single clients take, over all sessions of a server.
 *
 * @since 0.1.0
 * @category models
 */
export interface DirectBudget {
  bytes: number
  readonly maxBytes: number
}

/**
 * The session of one client in one namespace: its ids, its rooms over time, and the messages that
 * it may not have received.
 *
 * **Details**
 *
 * A broadcast lies once in the namespace's log, for all clients. A message for this client alone
 * lies here, until the client has confirmed it. A pong confirms all that was sent before its ping:
 * both travel in order, and a client handles a message before it reads the next.
 *
 * @since 0.1.0
 * @category models
 */
export class RecoverySession<in out M extends Sized> {
  /** The secret by which the client asks for its session. */
  readonly pid: string
  /** The id of its sockets. */
  readonly sid: string
  /**
   * The hash of the offset that the client has from an earlier session. Clients do not forget it:
   * until their first event they send it for this one.
   */
  readonly former: number
  readonly memberships = new Memberships()
  /**
   * The application has brought the client into its rooms. Before that, nobody knows what it has
   * missed, and nothing would bring it there after a recovery.
   */
  isBuilt = false
  /**
   * To be called if a message is dropped that the client should have received: it cannot be
   * recovered any more. `undefined` if none is ever dropped.
   */
  readonly onDropped: (() => void) | undefined
  private isIncomplete = false
  private readonly bounds: SessionBounds
  private readonly budget: DirectBudget
  /** The client has received everything up to here, or was not there yet. */
  private confirmed: number
  /** The broadcasts up to here that the client may have missed are among `found`. */
  private scanned: number
  private found: ReadonlyArray<number> = none
  /** Messages for the client alone up to here may be missing in `direct`. */
  private floor: number
  private readonly texts: MessageTexts<M> | undefined
  /** The messages for the client alone; `undefined` if there are none. */
  private direct: DirectMessages<M> | undefined
  /** The number of the oldest ping without an answer, and the latest position before it. */
  private ping = 0
  private pingedAt = 0

  constructor(
    pid: string,
    sid: string,
    start: number,
    former: number,
    bounds: SessionBounds,
    budget: DirectBudget,
    texts?: MessageTexts<M>
  ) {
    this.pid = pid
    this.sid = sid
    this.former = former
    this.confirmed = this.scanned = this.floor = start
    this.bounds = bounds
    this.budget = budget
    this.texts = texts
    this.onDropped = bounds.dropsMessages
      ? () => {
          this.isIncomplete = true
        }
      : undefined
  }

  /** Keeps a message that is sent to this client alone. */
  keep(position: number, message: M): void {
    const direct = (this.direct ??= new DirectMessages(this.texts))
    const { bounds, budget } = this
    budget.bytes += direct.add(position, message)
    while (
      direct.count > bounds.maxReplay ||
      direct.memory > bounds.maxReplayBytes ||
      (budget.bytes > budget.maxBytes && direct.count > 0)
    ) {
      // Several at once, as moving the rest takes time.
      const count = 1 + (direct.count >> 3)
      this.floor = direct.positionAt(count - 1)
      this.dropFirst(direct, count)
    }
  }

  /** The ping of a number was sent, after all messages up to `head`. */
  onPing(ping: number, head: number): void {
    // A later ping waits: the first answer says less, but never too much.
    if (this.ping !== 0) return
    this.ping = ping
    this.pingedAt = head
  }

  /** The ping of a number was answered. */
  onPong(ping: number): void {
    if (this.ping === 0 || ping < this.ping) return
    this.ping = 0
    this.confirm(this.pingedAt)
  }

  /** The connection has ended: its pings will not be answered. */
  onDisconnected(): void {
    this.ping = 0
  }

  private confirm(position: number): void {
    this.confirmed = position
    this.memberships.confirm(position)
    if (this.found.length > 0) this.remember(this.found.filter((found) => found > position))
    const { direct } = this
    if (direct === undefined) return
    const count = direct.countUpTo(position)
    if (count > 0) this.dropFirst(direct, count)
  }

  private remember(found: ReadonlyArray<number>): void {
    this.budget.bytes += POSITION * (found.length - this.found.length)
    this.found = found.length === 0 ? none : found
  }

  private dropFirst(direct: DirectMessages<M>, count: number): void {
    this.budget.bytes -= direct.dropFirst(count)
    if (direct.count === 0) this.direct = undefined
  }

  /**
   * The messages that the client has missed, in their order. `received` is the position up to which
   * the client says that it has received everything, if it knows one.
   */
  missed(log: MessageLog<M>, received: number): ReadonlyArray<M> | MissReason {
    if (this.isIncomplete) return "overflow"
    const from = Math.max(received, this.confirmed)
    if (from < this.floor) return "overflow"
    const unscanned = Math.max(from, this.scanned)
    if (unscanned < this.memberships.floor) return "overflow"
    if (unscanned < log.floor) return "trimmed"
    // It stands by its word: it will not get this again.
    if (from > this.confirmed) this.confirm(from)
    const { maxReplay, maxReplayBytes } = this.bounds
    const found = this.scan(log, unscanned)
    if (found.length + (this.direct?.count ?? 0) > maxReplay) return "overflow"
    if (found.length > 0 && found[0]! <= log.floor) return "trimmed"
    const missed = this.merge(log, found)
    let bytes = 0
    for (const { memory } of missed) bytes += memory
    return bytes > maxReplayBytes ? "overflow" : missed
  }

  /**
   * The broadcasts for this client after what it has received; those after a position were not
   * looked at before. A client that comes back again and again makes the server read each of them
   * once. There may be more than the client may get.
   */
  private scan(log: MessageLog<M>, after: number): ReadonlyArray<number> {
    const { budget, memberships, sid } = this
    const { maxReplay } = this.bounds
    const isIn = (room: string, position: number) => room === sid || memberships.wasIn(room, position)
    const found = this.found.slice()
    log.forEachAfter(after, ({ except, position, rooms }) => {
      if (rooms.length > 0 && !rooms.some((room) => isIn(room, position))) return true
      if (!except.some((room) => isIn(room, position))) found.push(position)
      return found.length <= maxReplay
    })
    const isKnown = found.length <= maxReplay && budget.bytes + POSITION * found.length <= budget.maxBytes
    if (isKnown) {
      this.scanned = log.head
      this.remember(found)
    }
    return found
  }

  /** Broadcasts of some positions, and the messages for this client alone, in their order. */
  private merge(log: MessageLog<M>, found: ReadonlyArray<number>): ReadonlyArray<M> {
    const { direct } = this
    const messages = direct?.toArray() ?? []
    if (found.length === 0) return messages
    const merged: Array<M> = []
    let next = 0
    for (const position of found) {
      while (next < messages.length && direct!.positionAt(next) < position) merged.push(messages[next++]!)
      merged.push(log.get(position)!.message)
    }
    while (next < messages.length) merged.push(messages[next++]!)
    return merged
  }

  /** Gives the memory of its messages back: the session has ended. */
  dispose(): void {
    this.budget.bytes -= this.direct?.memory ?? 0
    this.direct = undefined
    this.remember(none)
  }
}

/** The memory of a position. */
const POSITION = 8

/** All sessions without messages share it. */
const none: Array<never> = []
