/**
 * Rooms of one process, in memory.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

import type {
  Acknowledgement,
  Adapter,
  BroadcastFlags,
  BroadcastPacket,
  Host,
  LocalSocket,
  Selection,
  SocketDetails
} from "./Adapter.ts"

/**
 * Takes the answers to a broadcast that asks for acknowledgements.
 *
 * @since 0.1.0
 * @category models
 */
export interface Asker {
  readonly onAck: (acknowledgement: Acknowledgement) => void
  /** A recipient will not answer, because its client has left. */
  readonly onLeft?: () => void
  /** All recipients have answered or left. */
  readonly onEnd: () => void
}

/**
 * A broadcast that waits for acknowledgements.
 *
 * @since 0.1.0
 * @category models
 */
export interface Asked {
  /** The number of sockets that it was sent to. */
  readonly recipients: number
  /** Forgets the acknowledgements that have not come. */
  readonly cancel: () => void
}

/**
 * Makes the in-memory adapter of a namespace. A broadcast is encoded once, and delivered in the
 * emitting fiber: it keeps its order among the other emits of that fiber.
 *
 * **Gotchas**
 *
 * It reaches the sockets of this process only. `serverSideEmit` does nothing, as there is no other
 * server.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (host: Host): Effect.Effect<InMemoryAdapter> => Effect.sync(() => new InMemoryAdapter(host))

/**
 * The rooms of this process. Adapters for a cluster keep their own sockets in one: the methods that
 * end in `Unsafe` do the same as the effects, at once.
 *
 * @since 0.1.0
 * @category models
 */
export class InMemoryAdapter implements Adapter {
  // The loops below are plain, as they run once per recipient of every broadcast.
  private readonly host: Host
  private readonly members = new Map<string, Set<LocalSocket>>()

  constructor(host: Host) {
    this.host = host
  }

  join(socket: LocalSocket, rooms: ReadonlyArray<string>): Effect.Effect<void> {
    return Effect.sync(() => {
      const { order, sockets } = this.host
      order?.finish()
      // It may have ended meanwhile.
      if (order === undefined || sockets.has(socket.id)) this.addUnsafe(socket, rooms)
    })
  }

  leave(socket: LocalSocket, rooms: ReadonlyArray<string>): Effect.Effect<void> {
    return Effect.sync(() => {
      this.host.order?.finish()
      this.removeAll(socket, rooms)
    })
  }

  leaveAll(socket: LocalSocket): Effect.Effect<void> {
    return Effect.sync(() => this.removeAllUnsafe(socket))
  }

  removeAllUnsafe(socket: LocalSocket): void {
    const { joined } = socket
    if (joined === undefined) return
    socket.joined = undefined
    for (const room of joined) this.remove(socket, room)
  }

  broadcast(packet: BroadcastPacket, selection: Selection, flags: BroadcastFlags): Effect.Effect<void> {
    return Effect.sync(() => this.broadcastUnsafe(packet, selection, flags))
  }

  /** Throws on a packet that cannot be encoded. */
  broadcastUnsafe(packet: BroadcastPacket, selection: Selection, flags: BroadcastFlags): void {
    this.host.order?.finish()
    // A packet that cannot be encoded is a bug of the caller even if there are no recipients.
    const encoded = this.host.encode(packet, flags, selection)
    this.deliver(selection, (socket) => socket.deliver(encoded, flags))
  }

  /** Calls `f` once for every socket of the selection, in the order of all deliveries. */
  private deliver(selection: Selection, f: (socket: LocalSocket) => void): void {
    const { order } = this.host
    if (order === undefined) return this.forEach(selection, f)
    const excluded = this.excluded(selection.except)
    const recipients = this.recipients(selection.rooms)
    order.run(() => {
      // A loop within the loop goes on with the same iterator.
      for (const socket of recipients) if (!excluded?.has(socket)) f(socket)
    })
  }

  /** The members of any of the rooms, once each. */
  private recipients(rooms: ReadonlyArray<string>): Iterator<LocalSocket> & Iterable<LocalSocket> {
    if (rooms.length === 0) return this.host.sockets.values()
    const [room] = rooms
    const members = this.members.get(room!)
    if (rooms.length === 1 && members !== undefined && !this.host.sockets.has(room!)) return members.values()
    const sockets: Array<LocalSocket> = []
    this.forEach({ rooms, except: [] }, (socket) => sockets.push(socket))
    return sockets.values()
  }

  broadcastWithAck(
    packet: BroadcastPacket,
    selection: Selection,
    flags: BroadcastFlags
  ): Stream.Stream<Acknowledgement> {
    return Stream.callback<Acknowledgement>(
      (queue) =>
        Effect.acquireRelease(
          Effect.sync(
            () =>
              this.askUnsafe(packet, selection, flags, {
                onAck: (acknowledgement) => void Queue.offerUnsafe(queue, acknowledgement),
                onEnd: () => void Queue.endUnsafe(queue)
              }).cancel
          ),
          Effect.sync
        ),
      // The number of recipients bounds the buffer.
      { bufferSize: Infinity }
    )
  }

  /**
   * Sends a packet that asks for acknowledgements. Gives the number of its recipients, and the
   * function that forgets the missing acknowledgements. Throws on a packet that cannot be encoded.
   */
  askUnsafe(packet: BroadcastPacket, selection: Selection, flags: BroadcastFlags, asker: Asker): Asked {
    this.host.order?.finish()
    const { encoded, id } = this.host.encodeForAck(packet, flags)
    const forget: Array<() => void> = []
    // The loop counts as one, so that the end does not come before all recipients were asked.
    let awaited = 1
    const settle = () => {
      if (--awaited === 0) asker.onEnd()
    }
    this.deliver(selection, (socket) => {
      awaited++
      const cancel = socket.deliverForAck(encoded, id, flags, (args) => {
        if (args === undefined) asker.onLeft?.()
        else asker.onAck({ sid: socket.id, args })
        settle()
      })
      if (cancel === undefined) awaited--
      else forget.push(cancel)
    })
    settle()
    return {
      recipients: forget.length,
      cancel: () => {
        for (const cancel of forget) cancel()
      }
    }
  }

  count(selection: Selection): Effect.Effect<number> {
    return Effect.sync(() => this.countUnsafe(selection))
  }

  countUnsafe(selection: Selection): number {
    const { except, rooms } = selection
    if (except.length === 0 && rooms.length < 2) return this.sizeOf(rooms[0])
    let count = 0
    this.forEach(selection, () => count++)
    return count
  }

  /** The rooms that have members, without those of the sockets' own ids. */
  roomNames(): Iterable<string> {
    return this.members.keys()
  }

  /** Whether a socket is in a room. The room of a socket's own id counts. */
  hasRoom(room: string): boolean {
    return this.members.has(room) || this.host.sockets.has(room)
  }

  get rooms(): Effect.Effect<ReadonlyMap<string, number>> {
    return Effect.sync(() => {
      const sizes = new Map<string, number>()
      for (const [room, members] of this.members) sizes.set(room, members.size)
      return sizes
    })
  }

  localSockets(selection: Selection): Effect.Effect<ReadonlyArray<LocalSocket>> {
    return Effect.sync(() => this.selectUnsafe(selection))
  }

  fetchSockets(selection: Selection): Effect.Effect<ReadonlyArray<SocketDetails>> {
    return Effect.sync(() => this.fetchUnsafe(selection))
  }

  fetchUnsafe(selection: Selection): ReadonlyArray<SocketDetails> {
    return this.selectUnsafe(selection).map((socket) => socket.details)
  }

  // The next three act on the sockets that are in the selection now, because acting may change it.
  // They take one turn: otherwise a socket that ends in between would be put into rooms that it
  // never leaves.

  socketsJoin(selection: Selection, rooms: ReadonlyArray<string>): Effect.Effect<void> {
    return Effect.sync(() => this.joinUnsafe(selection, rooms))
  }

  joinUnsafe(selection: Selection, rooms: ReadonlyArray<string>): void {
    this.host.order?.finish()
    for (const socket of this.selectUnsafe(selection)) this.addUnsafe(socket, rooms)
    this.host.away?.joinUnsafe(selection, rooms)
  }

  socketsLeave(selection: Selection, rooms: ReadonlyArray<string>): Effect.Effect<void> {
    return Effect.sync(() => this.leaveUnsafe(selection, rooms))
  }

  leaveUnsafe(selection: Selection, rooms: ReadonlyArray<string>): void {
    this.host.order?.finish()
    for (const socket of this.selectUnsafe(selection)) this.removeAll(socket, rooms)
    this.host.away?.leaveUnsafe(selection, rooms)
  }

  disconnectSockets(selection: Selection, close: boolean): Effect.Effect<void> {
    return Effect.sync(() => this.disconnectUnsafe(selection, close))
  }

  disconnectUnsafe(selection: Selection, close: boolean): void {
    for (const socket of this.selectUnsafe(selection)) socket.disconnectUnsafe(close)
    this.host.away?.disconnectUnsafe(selection, close)
  }

  /** There is no other server. */
  serverSideEmit(): Effect.Effect<void> {
    return Effect.void
  }

  serverSideEmitWithAck(): Stream.Stream<ReadonlyArray<unknown>> {
    return Stream.empty
  }

  /**
   * Returns the number of sockets in a room, or in the namespace. Its cost does not depend on that
   * number.
   */
  private sizeOf(room: string | undefined): number {
    const { sockets } = this.host
    if (room === undefined) return sockets.size
    const members = this.members.get(room)
    const owner = sockets.get(room)
    return (members?.size ?? 0) + (owner === undefined || members?.has(owner) ? 0 : 1)
  }

  /**
   * Returns a copy of the sockets of a selection, without those that have ended and still have
   * rooms.
   */
  selectUnsafe(selection: Selection): Array<LocalSocket> {
    const sockets: Array<LocalSocket> = []
    this.forEach(selection, (socket) => {
      if (this.host.sockets.has(socket.id)) sockets.push(socket)
    })
    return sockets
  }

  addUnsafe(socket: LocalSocket, rooms: ReadonlyArray<string>): void {
    // A socket is always in the room of its own id, without an entry.
    for (const room of rooms) if (room !== socket.id) this.add(socket, room)
  }

  removeAll(socket: LocalSocket, rooms: ReadonlyArray<string>): void {
    for (const room of rooms) if (socket.joined?.delete(room)) this.remove(socket, room)
  }

  private add(socket: LocalSocket, room: string): void {
    const joined = (socket.joined ??= new Set())
    if (joined.has(room) || !socket.enterRoom(room)) return
    joined.add(room)
    const members = this.members.get(room)
    if (members === undefined) this.members.set(room, new Set([socket]))
    else members.add(socket)
    if (!this.host.watchesRooms) return
    if (members === undefined) this.host.onRoomChange({ _tag: "Created", room })
    this.host.onRoomChange({ _tag: "Joined", room, sid: socket.id })
  }

  private remove(socket: LocalSocket, room: string): void {
    const members = this.members.get(room)
    if (members === undefined || !members.delete(socket)) return
    socket.leaveRoom(room)
    if (members.size === 0) this.members.delete(room)
    if (!this.host.watchesRooms) return
    this.host.onRoomChange({ _tag: "Left", room, sid: socket.id })
    if (members.size === 0) this.host.onRoomChange({ _tag: "Deleted", room })
  }

  /** Calls `f` once for every socket of the selection. */
  private forEach({ except, rooms }: Selection, f: (socket: LocalSocket) => void): void {
    const excluded = this.excluded(except)
    if (rooms.length === 0) {
      for (const socket of this.host.sockets.values()) if (!excluded?.has(socket)) f(socket)
      return
    }
    // Only several rooms can hold a socket twice; the room of a socket's own id counts as one.
    let seen: Set<LocalSocket> | undefined
    for (const room of distinct(rooms)) {
      const members = this.members.get(room)
      const owner = this.host.sockets.get(room)
      if (seen === undefined && (rooms.length > 1 || (members !== undefined && owner !== undefined))) seen = new Set()
      if (members !== undefined) {
        for (const socket of members) {
          if (excluded?.has(socket) || seen?.has(socket)) continue
          seen?.add(socket)
          f(socket)
        }
      }
      if (owner !== undefined && !excluded?.has(owner) && !seen?.has(owner)) {
        seen?.add(owner)
        f(owner)
      }
    }
  }

  private excluded(except: ReadonlyArray<string>): Set<LocalSocket> | undefined {
    if (except.length === 0) return undefined
    const excluded = new Set<LocalSocket>()
    for (const room of distinct(except)) {
      const owner = this.host.sockets.get(room)
      if (owner !== undefined) excluded.add(owner)
      const members = this.members.get(room)
      if (members !== undefined) {
        for (const socket of members) excluded.add(socket)
      }
    }
    return excluded
  }
}

/**
 * A short list is as it is. In a long one of another server, a large room may be a million times.
 */
const distinct = (rooms: ReadonlyArray<string>): Iterable<string> => (rooms.length < 16 ? rooms : new Set(rooms))
