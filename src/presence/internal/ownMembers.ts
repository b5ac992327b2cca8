import { type Entry, type Frame, MAX_ENTRIES } from "./frames.ts"
import { Member, type Version } from "./members.ts"

/** The reference of a member's version. */
export const refOf = (server: string, id: number, version: number): string =>
  `${server}.${id.toString(36)}.${version.toString(36)}`

/** The members of this server, and those of their changes that the other servers do not know. */
export class OwnMembers {
  /** The id of this server, a new one at each start. */
  readonly server: string
  private readonly members = new Set<Member>()
  /** The members that have changed since the last delta, and whether the others know them. */
  private readonly untold = new Map<Member, boolean>()
  private clock = 0
  private rounds = 0
  private ids = 0

  constructor(server: string) {
    this.server = server
  }

  get size(): number {
    return this.members.size
  }

  /** Whether there are changes that the other servers do not know. */
  get hasNews(): boolean {
    return this.untold.size > 0
  }

  /** The first version of a new member's metadata, or a later one of a member. */
  version(meta: unknown, encoded: Readonly<Record<string, unknown>>, of?: Member): Version {
    const number = of === undefined ? 0 : of.version.number + 1
    const ref = refOf(this.server, of?.id ?? this.ids, number)
    return { ref, number, meta, wire: { ...encoded, phx_ref: ref } }
  }

  add(room: string, key: string, version: Version): Member {
    const member = new Member(this.ids++, room, key, version)
    this.members.add(member)
    this.untold.set(member, false)
    return member
  }

  changed(member: Member): void {
    if (!this.untold.has(member)) this.untold.set(member, true)
  }

  remove(member: Member): void {
    this.members.delete(member)
    // The others need not hear of a member that has come and left between two deltas.
    if (this.untold.get(member) === false) this.untold.delete(member)
    else this.untold.set(member, true)
  }

  /** The frames with the changes since the last ones. */
  takeDeltas(): ReadonlyArray<Frame> {
    const frames: Array<Frame> = []
    let set: Array<Entry> = []
    let gone: Array<number> = []
    const end = () => {
      frames.push({ type: "delta", from: this.server, clock: ++this.clock, set, gone })
      set = []
      gone = []
    }
    for (const member of this.untold.keys()) {
      if (this.members.has(member)) set.push(entryOf(member))
      else gone.push(member.id)
      if (set.length === MAX_ENTRIES || gone.length === MAX_ENTRIES) end()
    }
    if (set.length + gone.length > 0) end()
    this.untold.clear()
    return frames
  }

  /** The frames with all members, after those with the latest changes. */
  takeState(): ReadonlyArray<Frame> {
    const frames = Array.from(this.takeDeltas())
    const { clock, server: from } = this
    const round = this.rounds++
    const entries = Array.from(this.members, entryOf)
    const parts = Math.max(1, Math.ceil(entries.length / MAX_ENTRIES))
    for (let part = 0; part < parts; part++) {
      const set = entries.slice(part * MAX_ENTRIES, (part + 1) * MAX_ENTRIES)
      frames.push({ type: "state", from, clock, round, part, parts, set })
    }
    return frames
  }

  get beat(): Frame {
    return { type: "beat", from: this.server, clock: this.clock }
  }

  get bye(): Frame {
    return { type: "bye", from: this.server }
  }

  /** Asks a server for all of its members, or every server if it is `*`. */
  want(of: string): Frame {
    return { type: "want", from: this.server, of }
  }
}

const entryOf = ({ id, key, room, version }: Member): Entry => {
  const { phx_ref: _, ...meta } = version.wire
  return [id, version.number, room, key, meta]
}
