import type { Member } from "./members.ts"

/** The reception of all members of a server, in parts. */
export interface Reception {
  readonly round: number
  /** The number of the next part. */
  part: number
  /** The clock of what has come so far. */
  clock: number
  /** The time at which the last part came. */
  at: number
  /** The members that have come. The others are not there any more. */
  readonly ids: Set<number>
}

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
  reception: Reception | undefined

  constructor(id: string, now: number) {
    this.id = id
    this.heardAt = now
  }
}
