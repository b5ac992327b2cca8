import { type Entry, type Frame, MAX_ENTRIES } from "./frames.ts"
import { Member, type Version } from "./members.ts"

/**
 * The parts of a state that are told at once: a broker, and other servers, take no more than so
 * much in a turn.
 */
const MAX_PARTS = 10

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
  /** Whether another server has asked for all members. */
  private isAsked = false
  /** The state that is being told. */
  private round: { readonly number: number; part: number; readonly members: Iterator<Member> } | undefined
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

  /** Begins to tell all members, or does so again when the round is over. */
  startState(): void {
    this.isAsked = true
  }

  /**
   * The next frames with all members, after those with the latest changes; none if nobody has
   * asked.
   */
  takeState(): ReadonlyArray<Frame> {
    if (this.round === undefined && !this.isAsked) return []
    const frames = Array.from(this.takeDeltas())
    const { clock, server: from } = this
    for (let i = 0; i < MAX_PARTS; i++) {
      if (this.round === undefined) {
        if (!this.isAsked) break
        this.isAsked = false
        // It goes on over the changes of the members: new ones come last.
        this.round = { number: this.rounds++, part: 0, members: this.members.values() }
      }
      const { members, number: round } = this.round
      const set: Array<Entry> = []
      let isLast = false
      while (set.length < MAX_ENTRIES && !isLast) {
        const next = members.next()
        if (next.done) isLast = true
        else set.push(entryOf(next.value))
      }
      frames.push({ type: "state", from, clock, round, part: this.round.part++, isLast, set })
      if (isLast) this.round = undefined
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
