/**
 * Numbers on the messages between servers of this library, so that a receiver knows what it has
 * missed.
 *
 * @since 0.1.0
 */

/** The lanes that are remembered, of each side. */
const MAX_LANES = 10_000

/** The last number of a sender on a lane. */
interface Heard {
  readonly uid: string
  readonly lane: string
  last: number
  /** Whether it was needed since the hand has last passed it. */
  isUsed: boolean
  /** Its place in the ring. */
  place: number
}

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
 * A lane keeps the order of messages: it is a channel, or several channels of one connection. A
 * sender numbers the messages of each of its lanes without gaps, from 1. A receiver believes the
 * first number that it gets of a lane, be it a message's or a beat's, and a message's that is not
 * higher than the last: the sender has forgotten the lane, and begins it again.
 *
 * 10,000 lanes of others are remembered, each of one sender. Beyond that, one is forgotten that has
 * not been used for long: made-up senders do not displace those that send.
 *
 * @since 0.1.0
 * @category models
 */
export class Sequences {
  private readonly sent = new Map<string, Lane>()
  /** The lane of the last message that was sent, which is mostly that of the next one. */
  private current: Lane = { name: "", number: 0 }
  private readonly byLane = new Map<string, Map<string, Heard>>()
  private readonly bySender = new Map<string, Set<Heard>>()
  /** All that is remembered of others, and the hand that looks for one that is not used. */
  private readonly ring: Array<Heard> = []
  private hand = 0

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

  /**
   * Encodes the next message on a lane with its number. If that throws, nothing is sent, and the
   * next message has the number: others would miss it otherwise.
   */
  numbered<A>(name: string, encode: (number: number) => A): A {
    const number = this.next(name)
    try {
      return encode(number)
    } catch (error) {
      const lane = this.sent.get(name)
      // Encoding may have sent another message.
      if (lane?.number === number) lane.number--
      throw error
    }
  }

  /** The number of the last message on a lane of this server; 0 if there was none. */
  last(lane: string): number {
    return this.sent.get(lane)?.number ?? 0
  }

  /**
   * Takes the number of a received message. Returns how many before it have not come, and never
   * will.
   */
  observe(uid: string, lane: string, number: number): number {
    const heard = this.byLane.get(lane)?.get(uid)
    if (heard === undefined) return this.remember(uid, lane, number)
    const { last } = heard
    heard.last = number
    heard.isUsed = true
    return number <= last ? 0 : number - last - 1
  }

  /**
   * Takes the number of the last message that a server has sent on a lane, as its beat tells it.
   * Returns how many messages have not come.
   */
  settle(uid: string, lane: string, last: number): number {
    const heard = this.byLane.get(lane)?.get(uid)
    if (heard === undefined) return this.remember(uid, lane, last)
    heard.isUsed = true
    if (last <= heard.last) return 0
    const missed = last - heard.last
    heard.last = last
    return missed
  }

  /** This server no longer listens to a lane. */
  forgetLane(lane: string): void {
    for (const heard of this.byLane.get(lane)?.values() ?? []) this.forget(heard)
  }

  /** A server has left. */
  forgetSender(uid: string): void {
    for (const heard of this.bySender.get(uid) ?? []) this.forget(heard)
  }

  private remember(uid: string, lane: string, last: number): 0 {
    if (this.ring.length >= MAX_LANES) this.forget(this.unused())
    const heard: Heard = { uid, lane, last, isUsed: false, place: this.ring.length }
    this.ring.push(heard)
    const senders = this.byLane.get(lane)
    if (senders === undefined) this.byLane.set(lane, new Map([[uid, heard]]))
    else senders.set(uid, heard)
    const lanes = this.bySender.get(uid)
    if (lanes === undefined) this.bySender.set(uid, new Set([heard]))
    else lanes.add(heard)
    return 0
  }

  /** The next one that was not used since the hand has last passed it. */
  private unused(): Heard {
    const { ring } = this
    for (;;) {
      if (this.hand >= ring.length) this.hand = 0
      const heard = ring[this.hand++]!
      if (!heard.isUsed) return heard
      heard.isUsed = false
    }
  }

  private forget(heard: Heard): void {
    const { lane, place, uid } = heard
    // The last one takes its place.
    const last = this.ring.pop()!
    if (last !== heard) {
      this.ring[place] = last
      last.place = place
    }
    const senders = this.byLane.get(lane)!
    senders.delete(uid)
    if (senders.size === 0) this.byLane.delete(lane)
    const lanes = this.bySender.get(uid)!
    lanes.delete(heard)
    if (lanes.size === 0) this.bySender.delete(uid)
  }
}
