import type { Entry, Frame } from "./frames.ts"
import type { Member } from "./members.ts"

/** A part of the members of a server that have come so far, in a state of several frames. */
interface Assembly {
  readonly clock: number
  readonly round: number
  readonly entries: Array<Entry>
  next: number
}

type State = Extract<Frame, { readonly type: "state" }>

/** Another server, as far as this one has heard of it. */
export class RemoteServer {
  readonly id: string
  readonly members = new Map<number, Member>()
  /** The clock up to which its members are known; `undefined` if some of its changes are not. */
  clock: number | undefined
  /** The time at which its last frame came, in milliseconds. */
  heardAt: number
  /** Whether it has been silent for so long that its members are not shown. */
  isDown = false
  /** The time at which it was asked for all of its members. */
  askedAt = -Infinity
  private assembly: Assembly | undefined

  constructor(id: string, now: number) {
    this.id = id
    this.heardAt = now
  }

  /** The number of entries that wait for the rest of a state. */
  get assembling(): number {
    return this.assembly?.entries.length ?? 0
  }

  abandon(): void {
    this.assembly = undefined
  }

  /**
   * Takes a part of a state, up to a number of further entries. Gives all entries after the last part. A state
   * with a missing part is abandoned: this server asks again.
   */
  assemble({ clock, part, parts, round, set }: State, capacity: number): ReadonlyArray<Entry> | undefined {
    if (part === 0) this.assembly = { clock, round, entries: [], next: 0 }
    const { assembly } = this
    if (assembly === undefined) return undefined
    const { entries } = assembly
    const isNext = assembly.clock === clock && assembly.round === round && assembly.next === part
    if (!isNext || set.length > capacity) return this.abandon() as undefined
    for (const entry of set) entries.push(entry)
    assembly.next++
    if (assembly.next < parts) return undefined
    this.assembly = undefined
    return entries
  }
}
