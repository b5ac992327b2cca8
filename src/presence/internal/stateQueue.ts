import type { PresentSocket } from "../PresenceModel.ts"

/** The members that the states for one socket may have together in a tick, if there are several. */
const BUDGET = 1_000

/** The rooms whose states a socket waits for, at most. */
const MAX_WAITING = 1_000

/**
 * Paces the states of rooms that sockets get. A state costs as much as its room is large, and a
 * client may enter rooms as often as it likes: a socket gets small states at once, and others at
 * the next tick, when all sockets that wait for one room share its encoded state.
 */
export class StateQueue {
  private readonly spent = new Map<string, number>()
  private readonly waiting = new Map<PresentSocket, Set<string>>()

  /** Whether a socket may get a state of so many members at once. */
  take(socket: PresentSocket, size: number): boolean {
    const spent = this.spent.get(socket.id) ?? 0
    if (spent + size > BUDGET) return false
    // An empty state is not free, either.
    this.spent.set(socket.id, spent + size + 1)
    return true
  }

  /** The socket waits for the state of a room. */
  wait(socket: PresentSocket, room: string): void {
    let rooms = this.waiting.get(socket)
    if (rooms === undefined) this.waiting.set(socket, (rooms = new Set()))
    if (rooms.size < MAX_WAITING) rooms.add(room)
  }

  /** A socket has ended. */
  forget(socket: PresentSocket): void {
    this.spent.delete(socket.id)
    this.waiting.delete(socket)
  }

  /** The rooms whose states are sent now, each with the ids of the sockets that get it. */
  next(sizeOf: (room: string) => number): ReadonlyMap<string, ReadonlyArray<string>> {
    this.spent.clear()
    const next = new Map<string, Array<string>>()
    for (const [socket, rooms] of this.waiting) {
      let spent = 0
      for (const room of rooms) {
        const size = sizeOf(room) + 1
        if (spent > 0 && spent + size > BUDGET) break
        rooms.delete(room)
        if (!socket.connected || !socket.rooms.has(room)) continue
        spent += size
        const ids = next.get(room)
        if (ids === undefined) next.set(room, [socket.id])
        else ids.push(socket.id)
      }
      if (rooms.size === 0 || !socket.connected) this.waiting.delete(socket)
      if (spent > 0) this.spent.set(socket.id, spent)
    }
    return next
  }
}
