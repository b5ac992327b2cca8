import type { PresentSocket } from "../PresenceModel.ts"

/**
 * The members that the states for one socket may have together between two ticks, and in a tick, if
 * there are several.
 */
const BUDGET = 1_000

/** The members in the states of one room that are encoded between two ticks. */
const ROOM_BUDGET = 10_000

/** The rooms whose states a socket waits for, at most. */
const MAX_WAITING = 1_000

/** Rooms, each with the ids of the sockets that get its state. */
export type Recipients = ReadonlyMap<string, ReadonlySet<string>>

/**
 * Paces the states of rooms that sockets get. A state costs as much as its room is large, and a
 * client may enter rooms, and join the namespace anew, as often as it likes. Small states come at
 * once, others at the next tick. The sockets that get one room's state together share its encoded
 * form.
 */
export class StateQueue {
  /** The members in the states since the last tick, by socket. */
  private readonly spent = new Map<string, number>()
  /** The same by room. A state that several sockets share counts once. */
  private readonly encoded = new Map<string, number>()
  /** The states that were asked for, and not looked at yet. */
  private asked: Array<readonly [socket: PresentSocket, room: string]> = []
  private readonly waiting = new Map<PresentSocket, Set<string>>()

  get isAsked(): boolean {
    return this.asked.length > 0
  }

  /** A socket wants the state of a room. */
  ask(socket: PresentSocket, room: string): void {
    this.asked.push([socket, room])
  }

  /** The states of those that were asked for that are sent at once. The others wait for a tick. */
  atOnce(sizeOf: (room: string) => number): Recipients {
    const next = new Map<string, Set<string>>()
    const { asked } = this
    this.asked = []
    for (const [socket, room] of asked) {
      if (!isIn(socket, room)) continue
      const ids = next.get(room)
      const size = sizeOf(room)
      const spent = this.spent.get(socket.id) ?? 0
      const encoded = ids === undefined ? (this.encoded.get(room) ?? 0) : 0
      if (spent + size > BUDGET || encoded + size > ROOM_BUDGET) {
        this.wait(socket, room)
        continue
      }
      // An empty state is not free, either.
      this.spent.set(socket.id, spent + size + 1)
      if (ids === undefined) this.encoded.set(room, encoded + size + 1)
      add(next, room, socket.id)
    }
    return next
  }

  private wait(socket: PresentSocket, room: string): void {
    let rooms = this.waiting.get(socket)
    if (rooms === undefined) this.waiting.set(socket, (rooms = new Set()))
    if (rooms.size < MAX_WAITING) rooms.add(room)
  }

  /** A socket has ended. */
  forget(socket: PresentSocket): void {
    this.spent.delete(socket.id)
    this.waiting.delete(socket)
  }

  /** The states that are sent at a tick. */
  next(sizeOf: (room: string) => number): Recipients {
    this.spent.clear()
    this.encoded.clear()
    const next = new Map<string, Set<string>>()
    for (const [socket, rooms] of this.waiting) {
      let spent = 0
      for (const room of rooms) {
        const size = sizeOf(room) + 1
        if (spent > 0 && spent + size > BUDGET) break
        rooms.delete(room)
        if (!isIn(socket, room)) continue
        spent += size
        add(next, room, socket.id)
      }
      if (rooms.size === 0 || !socket.connected) this.waiting.delete(socket)
      if (spent > 0) this.spent.set(socket.id, spent)
    }
    return next
  }
}

const isIn = (socket: PresentSocket, room: string): boolean => socket.connected && socket.rooms.has(room)

const add = (recipients: Map<string, Set<string>>, room: string, id: string): void => {
  const ids = recipients.get(room)
  if (ids === undefined) recipients.set(room, new Set([id]))
  else ids.add(id)
}
