import type * as Scope from "effect/Scope"

import type { Member } from "./members.ts"

/** A socket's membership in a room, under a key. */
export interface Membership {
  readonly sid: string
  /** The name of its room and key, as {@link nameOf} gives it. */
  readonly name: string
  readonly member: Member
  /**
   * The scope of the latest call that has tracked it; `undefined` if its socket has disconnected.
   */
  owner: Scope.Closeable | undefined
}

/** Rooms and keys are any texts: the length of the room tells where the key begins. */
export const nameOf = (room: string, key: string): string => `${room.length}:${room}${key}`

/** The memberships of one socket. Most sockets have one, which needs no map. */
class Socket {
  private first: Membership | undefined
  private others: Map<string, Membership> | undefined
  /** The period in which it has begun members last, and their number. */
  private period = -1
  private begun = 0

  get size(): number {
    return (this.first === undefined ? 0 : 1) + (this.others?.size ?? 0)
  }

  get(name: string): Membership | undefined {
    return this.first?.name === name ? this.first : this.others?.get(name)
  }

  all(): ReadonlyArray<Membership> {
    const others = this.others === undefined ? [] : Array.from(this.others.values())
    return this.first === undefined ? others : [this.first, ...others]
  }

  begunIn(period: number): number {
    return this.period === period ? this.begun : 0
  }

  add(membership: Membership, period: number): void {
    this.begun = this.begunIn(period) + 1
    this.period = period
    if (this.size === 0) this.first = membership
    else (this.others ??= new Map<string, Membership>()).set(membership.name, membership)
  }

  remove(name: string): boolean {
    if (this.first?.name !== name) return this.others?.delete(name) === true
    this.first = undefined
    return true
  }
}

/** The memberships of this server's sockets. */
export class Memberships {
  private readonly sockets = new Map<string, Socket>()
  /** The sockets without members, which are kept until the period ends. */
  private readonly idle = new Set<string>()
  private period = 0

  get(sid: string, name: string): Membership | undefined {
    return this.sockets.get(sid)?.get(name)
  }

  /** The memberships of a socket in a room. */
  inRoom(sid: string, room: string): ReadonlyArray<Membership> {
    return (this.sockets.get(sid)?.all() ?? []).filter(({ member }) => member.room === room)
  }

  /** Whether a socket may begin another one. */
  hasCapacity(sid: string, max: number): boolean {
    const socket = this.sockets.get(sid)
    return socket === undefined ? max > 0 : socket.size < max && socket.begunIn(this.period) < max
  }

  add(membership: Membership): void {
    const { sid } = membership
    let socket = this.sockets.get(sid)
    if (socket === undefined) this.sockets.set(sid, (socket = new Socket()))
    socket.add(membership, this.period)
  }

  /**
   * Removes it; gives whether it was there. A socket that has ended will not begin members again:
   * its record need not stay until the end of the period.
   */
  remove({ name, owner, sid }: Membership): boolean {
    const socket = this.sockets.get(sid)
    if (socket === undefined) return false
    const isRemoved = socket.remove(name)
    if (socket.size > 0) return isRemoved
    if (owner === undefined) this.forget(sid)
    else this.idle.add(sid)
    return isRemoved
  }

  /** A socket has ended. */
  forget(sid: string): void {
    if (this.sockets.get(sid)?.size !== 0) return
    this.sockets.delete(sid)
    this.idle.delete(sid)
  }

  /** A period is over. */
  endPeriod(): void {
    this.period++
    for (const sid of this.idle) if (this.sockets.get(sid)?.size === 0) this.sockets.delete(sid)
    this.idle.clear()
  }
}
