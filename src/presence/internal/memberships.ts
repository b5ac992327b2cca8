import type * as Scope from "effect/Scope"

import type { Member } from "./members.ts"

/** The memberships of one socket. */
interface Socket {
  readonly members: Map<string, Membership>
  /** The members that it has begun in this period. */
  begun: number
}

/** A socket's membership in a room, under a key. */
export interface Membership {
  readonly sid: string
  readonly member: Member
  /**
   * The scope of the latest call that has tracked it; `undefined` if its socket has disconnected.
   */
  owner: Scope.Closeable | undefined
}

/** Rooms and keys are any texts: the length of the room tells where the key begins. */
const nameOf = (room: string, key: string): string => `${room.length}:${room}${key}`

/** The memberships of this server's sockets. */
export class Memberships {
  private readonly sockets = new Map<string, Socket>()
  /** The sockets that have begun members in this period. */
  private readonly active = new Map<string, Socket>()

  get(sid: string, room: string, key: string): Membership | undefined {
    return this.sockets.get(sid)?.members.get(nameOf(room, key))
  }

  /** The memberships of a socket in a room. */
  inRoom(sid: string, room: string): ReadonlyArray<Membership> {
    return Array.from(this.sockets.get(sid)?.members.values() ?? []).filter(({ member }) => member.room === room)
  }

  /** Whether a socket may begin another one. */
  hasCapacity(sid: string, max: number): boolean {
    const members = this.sockets.get(sid)?.members.size ?? 0
    return members < max && (this.active.get(sid)?.begun ?? 0) < max
  }

  add(membership: Membership): void {
    const { member, sid } = membership
    let socket = this.sockets.get(sid) ?? this.active.get(sid)
    if (socket === undefined) socket = { members: new Map(), begun: 0 }
    this.sockets.set(sid, socket)
    this.active.set(sid, socket)
    socket.begun++
    socket.members.set(nameOf(member.room, member.key), membership)
  }

  /** Removes it; gives whether it was there. */
  remove({ member, sid }: Membership): boolean {
    const members = this.sockets.get(sid)?.members
    if (members === undefined) return false
    const isRemoved = members.delete(nameOf(member.room, member.key))
    if (members.size === 0) this.sockets.delete(sid)
    return isRemoved
  }

  /**
   * A socket has ended, and will not begin members again: its record need not stay until the end of
   * the period.
   */
  forget(sid: string): void {
    if (!this.sockets.has(sid)) this.active.delete(sid)
  }

  /** A period is over. */
  endPeriod(): void {
    for (const socket of this.active.values()) socket.begun = 0
    this.active.clear()
  }
}
