/**
 * Numbers on the messages between servers of this library, so that a receiver knows what it has
 * missed.
 *
 * @since 0.1.0
 */

/** The lanes that are remembered, of each side. The one that has been silent for longest is forgotten. */
const MAX_LANES = 10_000

/** A lane of this server, and the number of its last message. */
interface Lane {
  readonly name: string
  number: number
}

/**
 * The numbers that one namespace of one server sends and receives.
 *
 * **Details**
 *
 * A lane is what keeps the order of messages: a channel, or several channels of one connection. A
 * sender numbers the messages of each of its lanes without gaps, from 1. A receiver believes the
 * first number that it gets of a lane, be it a message's or a beat's, and a message's that is not
 * higher than the last: the sender has forgotten the lane, and begins it again.
 *
 * @since 0.1.0
 * @category models
 */
export class Sequences {
  private readonly sent = new Map<string, Lane>()
  /** The lane of the last message that was sent, which is mostly that of the next one. */
  private current: Lane = { name: "", number: 0 }
  /** The last number of each sender, by lane. */
  private readonly heard = new Map<string, Map<string, number>>()
  private currentHeard = ""
  private heardCount = 0

  /** The number of the next message on a lane of this server. */
  next(name: string): number {
    const { current } = this
    if (current.name === name && current.number > 0) return ++current.number
    const lane = this.sent.get(name) ?? { name, number: 0 }
    if (lane.number > 0) this.sent.delete(name)
    else if (this.sent.size >= MAX_LANES) this.sent.delete(this.sent.keys().next().value!)
    // At the end: it is not the next one to be forgotten.
    this.sent.set(name, lane)
    this.current = lane
    return ++lane.number
  }

  /** The number of the last message on a lane of this server; 0 if there was none. */
  last(lane: string): number {
    return this.sent.get(lane)?.number ?? 0
  }

  /** Takes the number of a received message. Returns how many before it have not come, and never will. */
  observe(uid: string, lane: string, number: number): number {
    const last = this.hear(uid, lane, number)
    return last === undefined || number <= last ? 0 : number - last - 1
  }

  /**
   * Takes the number of the last message that a server has sent on a lane, as its beat tells it.
   * Returns how many messages have not come.
   */
  settle(uid: string, lane: string, last: number): number {
    const heard = this.heard.get(lane)?.get(uid)
    if (heard !== undefined && last <= heard) return 0
    this.hear(uid, lane, last)
    return heard === undefined ? 0 : last - heard
  }

  /** This server no longer listens to a lane. */
  forgetLane(lane: string): void {
    this.heardCount -= this.heard.get(lane)?.size ?? 0
    this.heard.delete(lane)
  }

  /** A server has left. */
  forgetSender(uid: string): void {
    for (const [lane, senders] of this.heard) {
      if (!senders.delete(uid)) continue
      this.heardCount--
      if (senders.size === 0) this.heard.delete(lane)
    }
  }

  /** Remembers a number. Returns the one before it. */
  private hear(uid: string, lane: string, number: number): number | undefined {
    let senders = this.heard.get(lane)
    const last = senders?.get(uid)
    if (last === undefined) {
      if (this.heardCount >= MAX_LANES) this.forgetOldest()
      this.heardCount++
    }
    senders ??= new Map()
    senders.set(uid, number)
    if (last !== undefined && lane === this.currentHeard) return last
    this.currentHeard = lane
    // At the end: it is not the next one to be forgotten.
    this.heard.delete(lane)
    this.heard.set(lane, senders)
    return last
  }

  private forgetOldest(): void {
    const [lane, senders] = this.heard.entries().next().value!
    senders.delete(senders.keys().next().value!)
    if (senders.size === 0) this.heard.delete(lane)
    this.heardCount--
  }
}
