/**
 * The sessions of clients that have lost their connection, and may come back.
 *
 * @since 0.1.0
 */
import type { AwaySockets, LocalSocket, RoomChange, SelectionTarget, SocketDetails } from "../adapter/Adapter.ts"
import * as InMemoryAdapter from "../adapter/InMemoryAdapter.ts"
import { weightOf } from "../internal/rooms.ts"
import type { Sized } from "./DirectMessages.ts"
import type { RecoverySession } from "./RecoverySession.ts"

/**
 * The end of a session that cannot be recovered any more.
 *
 * - `left`: the client has left the namespace by itself.
 * - `kicked`: the server has disconnected the client, or has closed its connection for a fault,
 *   such as a limit that the client has exceeded.
 * - `expired`: the client did not come back in time.
 * - `refused`: the client came back, and was not admitted, or did not know what it had received.
 * - `overflow`: the server had to drop the session, or messages that the client has missed. Also if
 *   the connection was lost before the socket's builder was done.
 * - `auth expired`: the client's rights ended while it was away.
 *
 * @since 0.1.0
 * @category models
 */
export type SessionEndReason = "left" | "kicked" | "expired" | "refused" | "overflow" | "auth expired"

/**
 * The state of a session without a connection.
 *
 * - `waiting`: its client may ask for it.
 * - `claimed`: its client has asked for it, and is being admitted.
 * - `ended`: it was kicked meanwhile.
 */
type AwayState = "waiting" | "claimed" | "ended"

/**
 * The rights of a client without a connection. They may end its session.
 *
 * @since 0.1.0
 * @category models
 */
export interface AwayRights {
  /** The session has a connection again, or has ended. */
  stop(): void
}

/**
 * A session without a connection. It is a member of its rooms, so that changes of rooms, and kicks,
 * count while its client is away. Nothing is delivered to it: the log has what it misses.
 *
 * @since 0.1.0
 * @category models
 */
export class AwaySession<in out M extends Sized> implements LocalSocket {
  readonly session: RecoverySession<M>
  /** The data of its socket, as they were. */
  readonly data: Readonly<Record<string, unknown>>
  /** The time at which the connection ended, in milliseconds. */
  readonly since: number
  /** The time until which the client may come back, in milliseconds. */
  deadline = 0
  joined: Set<string> | undefined
  state: AwayState = "waiting"
  /** The weight of its rooms, and of those that it has left, when it began to wait. */
  weight = 0
  /** The rights of its client, if they are limited. */
  rights: AwayRights | undefined
  private readonly rooms: AwayRooms<M>

  constructor(
    rooms: AwayRooms<M>,
    session: RecoverySession<M>,
    data: Readonly<Record<string, unknown>>,
    since: number
  ) {
    this.rooms = rooms
    this.session = session
    this.data = data
    this.since = since
  }

  get id(): string {
    return this.session.sid
  }

  get details(): SocketDetails {
    throw new Error("a socket without a connection is not listed")
  }

  /** The weight of its rooms now. */
  get roomWeight(): number {
    let weight = 0
    for (const room of this.joined ?? []) weight += weightOf(room)
    return weight
  }

  /** Called for rooms that it was not in before. */
  enterRoom(room: string): boolean {
    const { session } = this
    if (this.roomWeight + weightOf(room) > this.rooms.maxRooms) return false
    session.memberships.join(room, this.rooms.position)
    return true
  }

  leaveRoom(room: string): void {
    // A session that comes back, or ends, leaves these rooms for those of its socket.
    if (this.rooms.has(this)) this.session.memberships.leave(room, this.rooms.position)
  }

  deliver(): void {}

  deliverForAck(): undefined {
    return undefined
  }

  disconnectUnsafe(): void {
    this.end("kicked")
  }

  /** Ends the session: its client cannot come back to it. */
  end(reason: SessionEndReason): void {
    if (this.state === "ended") return
    this.state = "ended"
    this.rights?.stop()
    this.rooms.onEnded(this, reason)
  }
}

/**
 * The parts of a namespace that its absent sessions use.
 *
 * @since 0.1.0
 * @category models
 */
export interface AwayHost<in out M extends Sized> {
  /** The name of the namespace. */
  readonly name: string
  /** The number of rooms that a session may be in. */
  readonly maxRooms: number
  /** The position of the latest message. */
  readonly position: number
  /** A session has ended without its client. */
  onEnded(away: AwaySession<M>, reason: SessionEndReason): void
}

/**
 * The absent sessions of one namespace, in their rooms.
 *
 * @since 0.1.0
 * @category models
 */
export class AwayRooms<in out M extends Sized> implements AwaySockets {
  private readonly host: AwayHost<M>
  private readonly sockets = new Map<string, AwaySession<M>>()
  private readonly adapter: InMemoryAdapter.InMemoryAdapter
  private onRoomChange: ((change: RoomChange) => void) | undefined

  constructor(host: AwayHost<M>) {
    const isWatching = () => this.onRoomChange !== undefined
    this.host = host
    this.adapter = new InMemoryAdapter.InMemoryAdapter({
      namespace: host.name,
      sockets: this.sockets,
      encode: nothing,
      encodeForAck: nothing,
      get watchesRooms() {
        return isWatching()
      },
      onRoomChange: (change) => this.onRoomChange?.(change),
      onServerEvent: () => {}
    })
  }

  get size(): number {
    return this.sockets.size
  }

  get maxRooms(): number {
    return this.host.maxRooms
  }

  get position(): number {
    return this.host.position
  }

  has(away: AwaySession<M>): boolean {
    return this.sockets.get(away.id) === away
  }

  hasRoom(room: string): boolean {
    return this.adapter.hasRoom(room)
  }

  /** The absent session of a socket's id. */
  get(sid: string): AwaySession<M> | undefined {
    return this.sockets.get(sid)
  }

  watchRooms(onChange: (change: RoomChange) => void): void {
    this.onRoomChange = onChange
  }

  /** Adds a session, in the rooms of its socket. */
  add(away: AwaySession<M>, rooms: ReadonlyArray<string>): void {
    this.sockets.set(away.id, away)
    if (rooms.length > 0) this.adapter.addUnsafe(away, rooms)
  }

  /** Takes a session out. */
  remove(away: AwaySession<M>): void {
    if (!this.has(away)) return
    this.sockets.delete(away.id)
    this.adapter.removeAllUnsafe(away)
  }

  /** A session of these has ended. */
  onEnded(away: AwaySession<M>, reason: SessionEndReason): void {
    this.remove(away)
    away.session.dispose()
    this.host.onEnded(away, reason)
  }

  joinUnsafe: SelectionTarget["joinUnsafe"] = (selection, rooms) => {
    if (this.sockets.size > 0) this.adapter.joinUnsafe(selection, rooms)
  }

  leaveUnsafe: SelectionTarget["leaveUnsafe"] = (selection, rooms) => {
    if (this.sockets.size > 0) this.adapter.leaveUnsafe(selection, rooms)
  }

  disconnectUnsafe: SelectionTarget["disconnectUnsafe"] = (selection, close) => {
    if (this.sockets.size > 0) this.adapter.disconnectUnsafe(selection, close)
  }
}

const nothing = (): never => {
  throw new Error("nothing is sent to a socket without a connection")
}

/** The rooms of all sessions together, for each session that there may be. */
const ROOMS = 20

/**
 * The absent sessions of all namespaces of a server, by their secrets. The one that has waited
 * longest leaves first: if there are too many, or if they are in more than twenty rooms each, all
 * of them together.
 *
 * @since 0.1.0
 * @category models
 */
export class AwaySessions<in out M extends Sized> {
  private readonly waiting = new Map<string, AwaySession<M>>()
  private readonly maxSessions: number
  private weight = 0

  constructor(maxSessions: number) {
    this.maxSessions = maxSessions
  }

  get size(): number {
    return this.waiting.size
  }

  private get isTooMuch(): boolean {
    const { maxSessions, waiting, weight } = this
    // One alone may be in more rooms.
    return waiting.size > maxSessions || (weight > ROOMS * maxSessions && waiting.size > 1)
  }

  /**
   * Adds a session, which waits until a time in milliseconds. Returns those that have to leave for
   * it; itself, if none may wait.
   */
  add(away: AwaySession<M>, deadline: number): ReadonlyArray<AwaySession<M>> {
    away.state = "waiting"
    away.deadline = deadline
    away.weight = away.roomWeight + away.session.memberships.pastWeight
    this.waiting.set(away.session.pid, away)
    this.weight += away.weight
    const left: Array<AwaySession<M>> = []
    while (this.isTooMuch) {
      const [oldest] = this.waiting.values()
      this.take(oldest!)
      left.push(oldest!)
    }
    return left
  }

  private take(away: AwaySession<M>): void {
    this.waiting.delete(away.session.pid)
    this.weight -= away.weight
  }

  /** The session of a secret, if it waits in this namespace. */
  claim(pid: string, rooms: AwayRooms<M>): AwaySession<M> | undefined {
    const away = this.waiting.get(pid)
    if (away === undefined || !rooms.has(away)) return undefined
    this.take(away)
    away.state = "claimed"
    return away
  }

  /** Forgets a session that has ended. */
  delete(away: AwaySession<M>): void {
    if (this.waiting.get(away.session.pid) === away) this.take(away)
  }

  /** Takes the sessions out whose clients have not come in time. */
  takeExpired(now: number): ReadonlyArray<AwaySession<M>> {
    const expired: Array<AwaySession<M>> = []
    for (const away of this.waiting.values()) {
      // Sessions wait for the same time, so they are in the order of their deadlines. One that was
      // claimed in vain begins to wait anew, after the others.
      if (away.deadline > now) break
      this.take(away)
      expired.push(away)
    }
    return expired
  }

  /** The earliest deadline. */
  get nextDeadline(): number | undefined {
    for (const { deadline } of this.waiting.values()) return deadline
    return undefined
  }
}
