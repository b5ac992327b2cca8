/** One version of a member: a new one with each update. */
export interface Version {
  /** Its reference, which is unique among all servers. */
  readonly ref: string
  /** The number of the version: later ones have higher numbers. */
  readonly number: number
  /** The metadata as the application sees them. */
  readonly meta: unknown
  /** The encoded metadata, with the reference. */
  readonly wire: Readonly<Record<string, unknown>>
}

/**
 * Whether a text may be a key. Clients have keys as names in objects, and one of those is no name.
 */
export const isKey = (text: string): boolean => text !== "" && text !== "__proto__"

/** One presence of a key in a room. Its server alone decides about it. */
export class Member {
  /** Unique among the members of its server. */
  readonly id: number
  readonly room: string
  readonly key: string
  version: Version
  isShown = false

  constructor(id: number, room: string, key: string, version: Version) {
    this.id = id
    this.room = room
    this.key = key
    this.version = version
  }
}

/** A member that is there from now on. */
export interface Join {
  readonly member: Member
  readonly version: Version
  /** Whether it is the first one of its key. */
  readonly isFirst: boolean
}

/** A member that is not there any more. */
export interface Leave {
  readonly member: Member
  readonly version: Version
  /** Whether it was the last one of its key. */
  readonly isLast: boolean
}

/** A member with other metadata than before. */
export interface Update {
  readonly member: Member
  readonly before: Version
  readonly version: Version
}

/** The difference between two publications of a room. */
export interface Difference {
  readonly revision: number
  readonly joined: ReadonlyArray<Join>
  readonly left: ReadonlyArray<Leave>
  readonly updated: ReadonlyArray<Update>
}

/** The members of a room that are shown, and what has changed since its last publication. */
export class Room {
  readonly name: string
  readonly keys = new Map<string, Set<Member>>()
  connections = 0
  /** The members that have changed, with the version that was published last, if one was. */
  readonly changed = new Map<Member, Version | undefined>()
  /** The number of the last publication. */
  revision = 0
  /** The time from which on the next publication may be made. */
  dueAt = -Infinity
  /** The number of readers, for whom the room stays when it is empty. */
  readers = 0

  constructor(name: string) {
    this.name = name
  }

  get isUnused(): boolean {
    return this.connections === 0 && this.changed.size === 0 && this.readers === 0
  }

  show(member: Member): void {
    let members = this.keys.get(member.key)
    if (members === undefined) this.keys.set(member.key, (members = new Set()))
    members.add(member)
    this.connections++
    this.note(member, undefined, member.version)
  }

  hide(member: Member): void {
    const members = this.keys.get(member.key)!
    members.delete(member)
    if (members.size === 0) this.keys.delete(member.key)
    this.connections--
    this.note(member, member.version, undefined)
  }

  /** A change: of several ones in a row, the first and the last version count. */
  note(member: Member, before: Version | undefined, now: Version | undefined): void {
    const { changed } = this
    const published = changed.has(member) ? changed.get(member) : before
    if (published === now) changed.delete(member)
    else changed.set(member, published)
  }

  /** Publishes what has changed; `undefined` if nothing has. Its cost is that of the changes. */
  publish(revision: number): Difference | undefined {
    const { changed } = this
    if (changed.size === 0) return undefined
    // How many of a key have come and left: the keys' numbers before can be told from it.
    const balance = new Map<string, number>()
    for (const [{ isShown, key }, before] of changed) {
      const change = (isShown ? 1 : 0) - (before === undefined ? 0 : 1)
      balance.set(key, (balance.get(key) ?? 0) + change)
    }
    const joined: Array<Join> = []
    const left: Array<Leave> = []
    const updated: Array<Update> = []
    const firsts = new Set<string>()
    const lasts = new Set<string>()
    for (const [member, before] of changed) {
      const { isShown, key, version } = member
      const here = this.keys.get(key)?.size ?? 0
      if (isShown && before !== undefined) updated.push({ member, before, version })
      else if (isShown) {
        const isFirst = here === balance.get(key) && !firsts.has(key)
        firsts.add(key)
        joined.push({ member, version, isFirst })
      } else left.push({ member, version: before!, isLast: false })
    }
    // The last one of a key that has left is marked: the order of changes is that of the map.
    for (let i = left.length - 1; i >= 0; i--) {
      const { key } = left[i]!.member
      if (this.keys.has(key) || lasts.has(key)) continue
      lasts.add(key)
      left[i] = { ...left[i]!, isLast: true }
    }
    changed.clear()
    this.revision = revision
    return { revision, joined, left, updated }
  }

  /** The members as they were published last, by key. Its cost is that of the whole room. */
  published(): Map<string, Array<Version>> {
    const { changed } = this
    const published = new Map<string, Array<Version>>()
    const add = (key: string, version: Version) => {
      const versions = published.get(key)
      if (versions === undefined) published.set(key, [version])
      else versions.push(version)
    }
    for (const [key, members] of this.keys) {
      for (const member of members) if (!changed.has(member)) add(key, member.version)
    }
    for (const [{ key }, before] of changed) if (before !== undefined) add(key, before)
    return published
  }
}

/** The rooms with members. */
export class Rooms {
  private readonly rooms = new Map<string, Room>()
  /** The rooms with changes that are not published. */
  readonly changed = new Set<Room>()
  /**
   * The rooms that may be unused. They keep their pace until their next publication would be due.
   */
  private readonly idle = new Set<Room>()
  /** The time between two publications of a room, in milliseconds. */
  private readonly period: number
  private revisions = 0

  constructor(period: number) {
    this.period = period
  }

  get(name: string): Room | undefined {
    return this.rooms.get(name)
  }

  getOrCreate(name: string): Room {
    let room = this.rooms.get(name)
    if (room === undefined) this.rooms.set(name, (room = new Room(name)))
    return room
  }

  /** Shows a member, or its new version. */
  show(member: Member, version: Version = member.version): Room {
    const room = this.getOrCreate(member.room)
    const { version: before } = member
    member.version = version
    if (member.isShown) room.note(member, before, version)
    else {
      member.isShown = true
      room.show(member)
    }
    return this.noted(room)
  }

  /**
   * Hides a member. With a time, the leave waits for a period from then on, if nothing else has
   * happened in the room for one: a key that comes back meanwhile has left and joined in one
   * difference.
   */
  hide(member: Member, now?: number): Room | undefined {
    const room = this.rooms.get(member.room)
    if (!member.isShown || room === undefined) return undefined
    if (now !== undefined && room.changed.size === 0 && now >= room.dueAt) room.dueAt = now + this.period
    member.isShown = false
    room.hide(member)
    return this.noted(room)
  }

  private noted(room: Room): Room {
    if (room.changed.size > 0) this.changed.add(room)
    else this.changed.delete(room)
    this.released(room)
    return room
  }

  /** Publishes the changes of a room, if it is time. */
  publish(room: Room, now: number): Difference | undefined {
    if (now < room.dueAt) return undefined
    const difference = room.publish(this.revisions + 1)
    if (difference === undefined) return undefined
    this.revisions++
    room.dueAt = now + this.period
    this.changed.delete(room)
    this.released(room)
    return difference
  }

  /** A room has lost a member, a change or a reader. */
  released(room: Room): void {
    if (!room.isUnused) return
    if (room.dueAt === -Infinity) this.rooms.delete(room.name)
    else this.idle.add(room)
  }

  /** Forgets the rooms that are not used any more. */
  sweep(now: number): void {
    for (const room of this.idle) {
      if (room.isUnused && now < room.dueAt) continue
      this.idle.delete(room)
      if (room.isUnused) this.rooms.delete(room.name)
    }
  }
}
