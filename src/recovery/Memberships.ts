/**
 * The rooms of one client over time.
 *
 * @since 0.1.0
 */

import { weightOf } from "../internal/rooms.ts"

/** The positions after which, and up to which, a client was in a room. */
interface Interval {
  readonly from: number
  readonly to: number
}

/** The number of intervals that have ended, and that one client may make a server keep. */
const MAX_PAST = 256

/** The same for their rooms, as they count: a room with a long name counts as several. */
const MAX_WEIGHT = 2 * MAX_PAST

/**
 * The rooms that a client is in, and those that it has left, each with positions of its namespace's
 * log. A message is for the client if the client was in a room of the message when the message was
 * sent: neither before it joined, nor after it left.
 *
 * **Details**
 *
 * At most 256 stays that have ended are kept, fewer if the names of their rooms are long. With
 * more, the earlier ones are forgotten, and `floor` says from which position on the rooms are
 * known.
 *
 * @since 0.1.0
 * @category models
 */
export class Memberships {
  private readonly joined = new Map<string, number>()
  private past: Map<string, Array<Interval>> | undefined
  private pastCount = 0
  /** The weight of the rooms that it has left, once for each stay. */
  pastWeight = 0
  /** The rooms are known for later positions than this. */
  floor = 0

  /** The client joins a room after the message at `position`. */
  join(room: string, position: number): void {
    if (!this.joined.has(room)) this.joined.set(room, position)
  }

  /** The client leaves a room after the message at `position`. */
  leave(room: string, position: number): void {
    const from = this.joined.get(room)
    if (from === undefined) return
    this.joined.delete(room)
    // Nothing was sent meanwhile.
    if (from >= position) return
    const weight = weightOf(room)
    if (this.pastCount === MAX_PAST || this.pastWeight + weight > MAX_WEIGHT) {
      this.forgetPast()
      this.floor = position
      return
    }
    const past = (this.past ??= new Map<string, Array<Interval>>())
    const interval = { from, to: position }
    const intervals = past.get(room)
    if (intervals === undefined) past.set(room, [interval])
    else intervals.push(interval)
    this.pastCount++
    this.pastWeight += weight
  }

  /** The client has received everything up to `position`: earlier stays are forgotten. */
  confirm(position: number): void {
    if (this.past === undefined) return
    for (const [room, intervals] of this.past) {
      const kept = intervals.filter(({ to }) => to > position)
      const forgotten = intervals.length - kept.length
      this.pastCount -= forgotten
      this.pastWeight -= forgotten * weightOf(room)
      if (kept.length === 0) this.past.delete(room)
      else this.past.set(room, kept)
    }
    if (this.pastCount === 0) this.past = undefined
  }

  /** Whether the client was in a room when the message at `position` was sent. */
  wasIn(room: string, position: number): boolean {
    const from = this.joined.get(room)
    if (from !== undefined && from < position) return true
    const intervals = this.past?.get(room)
    if (intervals === undefined) return false
    // They are in their order: a client may have made hundreds, for a log of a hundred thousand
    // messages.
    let low = 0
    let high = intervals.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (intervals[middle]!.to < position) low = middle + 1
      else high = middle
    }
    return low < intervals.length && intervals[low]!.from < position
  }

  /** The rooms that the client is in now. */
  get rooms(): Iterable<string> {
    return this.joined.keys()
  }

  private forgetPast(): void {
    this.past = undefined
    this.pastCount = this.pastWeight = 0
  }
}
