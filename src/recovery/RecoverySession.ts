/**
 * The state of one client in one namespace, as far as it outlasts the client's connection.
 *
 * @since 0.1.0
 */
import { Memberships } from "./Memberships.ts"
import type { MessageLog } from "./MessageLog.ts"

/**
 * The reasons why a client does not get its session back, though it asks for it.
 *
 * - `unknown`: the server has never had such a session, or has forgotten that it had.
 * - `expired`: the client was away for longer than `maxDisconnection`, or its session has ended
 *   otherwise.
 * - `epoch`: the server, or the namespace, has begun anew since.
 * - `trimmed`: the server has dropped some of the messages that the client has missed.
 * - `overflow`: the client has missed more messages than it may get (`maxReplay`).
 * - `refused`: the server has disconnected it while it was away.
 *
 * @since 0.1.0
 * @category models
 */
export type MissReason = "unknown" | "expired" | "epoch" | "trimmed" | "overflow" | "refused"

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
 * A message in memory.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sized {
  /** Its memory, in bytes. */
  readonly memory: number
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
  readonly memberships = new Memberships()
  private readonly bounds: SessionBounds
  private readonly budget: DirectBudget
  /** The client has received everything up to here, or was not there yet. */
  private confirmed: number
  /** The broadcasts up to here that the client may have missed are among `messages`. */
  private scanned: number
  /** Messages up to here may be missing in `messages`. */
  private floor: number
  private positions: Array<number> = none
  private messages: Array<M> = none
  private bytes = 0
  /** The number of the oldest ping without an answer, and the latest position before it. */
  private ping = 0
  private pingedAt = 0
  /** The latest position when its last connection ended. */
  private endedAt = 0

  constructor(pid: string, sid: string, start: number, bounds: SessionBounds, budget: DirectBudget) {
    this.pid = pid
    this.sid = sid
    this.confirmed = this.scanned = this.floor = start
    this.bounds = bounds
    this.budget = budget
  }

  /** Keeps a message that is sent to this client alone. */
  keep(position: number, message: M): void {
    this.add(position, message)
    const { bounds, budget } = this
    while (
      this.messages.length > bounds.maxReplay ||
      this.bytes > bounds.maxReplayBytes ||
      (budget.bytes > budget.maxBytes && this.messages.length > 0)
    ) {
      // Several at once, as moving the rest takes time.
      const count = 1 + (this.messages.length >> 3)
      this.floor = this.positions[count - 1]!
      this.dropFirst(count)
    }
  }

  private add(position: number, message: M): void {
    if (this.messages === none) {
      this.messages = []
      this.positions = []
    }
    this.positions.push(position)
    this.messages.push(message)
    this.bytes += message.memory
    this.budget.bytes += message.memory
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

  /** The connection has ended, after the message at `head`: its pings will not be answered. */
  onDisconnected(head: number): void {
    this.ping = 0
    this.endedAt = head
  }

  private confirm(position: number): void {
    this.confirmed = position
    this.memberships.confirm(position)
    const { positions } = this
    let count = 0
    while (count < positions.length && positions[count]! <= position) count++
    if (count > 0) this.dropFirst(count)
  }

  private dropFirst(count: number): void {
    const { messages } = this
    let freed = 0
    for (let i = 0; i < count; i++) freed += messages[i]!.memory
    if (count === messages.length) this.positions = this.messages = none
    else {
      this.positions.splice(0, count)
      messages.splice(0, count)
    }
    this.bytes -= freed
    this.budget.bytes -= freed
  }

  /**
   * The messages that the client has missed, in their order. `received` is the position up to which
   * the client says that it has received everything: 0 for nothing. It is `undefined` if the client
   * says something that no message has told it. Then it is certain only what was sent without a
   * connection.
   */
  missed(log: MessageLog<M>, received: number | undefined): ReadonlyArray<M> | MissReason {
    const from = Math.max(received ?? 0, this.confirmed)
    if (from < this.floor || from < this.memberships.floor) return "overflow"
    const unscanned = Math.max(from, this.scanned)
    if (unscanned < log.floor) return "trimmed"
    if (!this.scan(log, unscanned)) return "overflow"
    const first = this.positions.findIndex((position) => position > from)
    if (first >= 0 && received === undefined && this.positions[first]! <= this.endedAt) return "unknown"
    const missed = first < 0 ? none : this.messages.slice(first)
    let bytes = 0
    for (const { memory } of missed) bytes += memory
    const { maxReplay, maxReplayBytes } = this.bounds
    return missed.length > maxReplay || bytes > maxReplayBytes ? "overflow" : missed
  }

  /**
   * Adds the broadcasts for this client after a position to its messages: a client that comes back
   * again and again makes the server read each broadcast once.
   */
  private scan(log: MessageLog<M>, after: number): boolean {
    const { memberships, sid } = this
    const isIn = (room: string, position: number) => room === sid || memberships.wasIn(room, position)
    const positions: Array<number> = []
    const found: Array<M> = []
    const { maxReplay } = this.bounds
    log.forEachAfter(after, ({ except, message, position, rooms }) => {
      if (rooms.length > 0 && !rooms.some((room) => isIn(room, position))) return true
      if (except.some((room) => isIn(room, position))) return true
      positions.push(position)
      found.push(message)
      return found.length <= maxReplay
    })
    if (found.length > maxReplay) return false
    this.scanned = log.head
    if (found.length === 0) return true
    const direct = { positions: this.positions, messages: this.messages }
    this.budget.bytes -= this.bytes
    this.bytes = 0
    this.positions = this.messages = none
    let next = 0
    for (let i = 0; i <= found.length; i++) {
      const position = positions[i] ?? Infinity
      for (; next < direct.positions.length && direct.positions[next]! < position; next++) {
        this.add(direct.positions[next]!, direct.messages[next]!)
      }
      if (i < found.length) this.add(position, found[i]!)
    }
    return true
  }

  /** Gives the memory of its messages back: the session has ended. */
  dispose(): void {
    this.budget.bytes -= this.bytes
    this.bytes = 0
    this.positions = this.messages = none
  }
}

/** All sessions without messages share it. */
const none: Array<never> = []
