/**
 * Numbers on the messages between servers of this library, so that a receiver knows what it has
 * missed.
 *
 * @since 0.1.0
 */

/** The lanes that a sender and a receiver remember. They forget the one that they have known for longest. */
const MAX_LANES = 10_000

/**
 * What a received number says.
 *
 * @since 0.1.0
 * @category models
 */
export type Observation =
  /** It is the next one, or the first one that is heard of its lane. */
  | { readonly _tag: "Next" }
  /** This many messages before it have not come, and never will. */
  | { readonly _tag: "Gap"; readonly missed: number }
  /** It has come before. */
  | { readonly _tag: "Repeated" }

const NEXT: Observation = { _tag: "Next" }
const REPEATED: Observation = { _tag: "Repeated" }

/**
 * The numbers that one namespace of one server sends and receives.
 *
 * **Details**
 *
 * A lane is what keeps the order of messages: a channel, or several channels of one connection. A
 * sender numbers the messages of each of its lanes without gaps, from 1. A receiver believes the
 * first number that it gets of a lane, be it a message's or a beat's. Number 1 is always believed:
 * the sender has forgotten the lane, and begins it again.
 *
 * @since 0.1.0
 * @category models
 */
export class Sequences {
  private readonly sent = new Map<string, number>()
  private readonly heard = new Map<string, number>()

  /** The number of the next message on a lane of this server. */
  next(lane: string): number {
    const number = (this.sent.get(lane) ?? 0) + 1
    if (number === 1) makeRoom(this.sent)
    this.sent.set(lane, number)
    return number
  }

  /** The number of the last message on a lane of this server; 0 if there was none. */
  last(lane: string): number {
    return this.sent.get(lane) ?? 0
  }

  /** Forgets a lane of this server. It begins again with 1. */
  forget(lane: string): void {
    this.sent.delete(lane)
  }

  /** Takes the number of a received message. */
  observe(uid: string, lane: string, number: number): Observation {
    const key = `${uid} ${lane}`
    const last = this.heard.get(key)
    if (last === undefined) makeRoom(this.heard)
    if (last === undefined || number === 1) {
      this.heard.set(key, number)
      return NEXT
    }
    if (number <= last) return REPEATED
    this.heard.set(key, number)
    return number === last + 1 ? NEXT : { _tag: "Gap", missed: number - last - 1 }
  }

  /**
   * Takes the number of the last message that a server has sent on a lane, as its beat tells it.
   * Gives the number of messages that have not come.
   */
  settle(uid: string, lane: string, last: number): number {
    const key = `${uid} ${lane}`
    const heard = this.heard.get(key)
    if (heard === undefined) makeRoom(this.heard)
    else if (last <= heard) return 0
    this.heard.set(key, last)
    return heard === undefined ? 0 : last - heard
  }

  /** Forgets the lanes of a server that has left. */
  forgetSender(uid: string): void {
    for (const key of this.heard.keys()) if (key.startsWith(`${uid} `)) this.heard.delete(key)
  }
}

const makeRoom = (lanes: Map<string, number>): void => {
  if (lanes.size >= MAX_LANES) lanes.delete(lanes.keys().next().value!)
}
