/**
 * The time that one connection gets that sends more than others leave time for.
 *
 * In each turn of the event loop it gets a few messages, so that a message of another connection waits for these at the most. While
 * others talk, it gets no more than a part of the time, beyond a burst: a processor that is busy all the time makes everyone
 * wait. The time of a message lasts until its handler ends or waits for something.
 *
 * It stays on without an option: a connection that sends less than that pays a comparison per message, and without it one client
 * can take a server from all others. `limits.rateLimit` bounds packets as well, but an application has to choose its number.
 *
 * Measured with `node test/bench/flood.ts`: 100 clients ask 50 times per second beside one that sends as much as it can. Their p99 is
 * within twice that without a flood. With `TURN_MESSAGES` and `TURN_TIME` at `Infinity`, and `isLong` always false, it is more than 29
 * times as long (on a machine without other work). On one that is busy, the delay of the event loop (p99) is 4 ms with it and 53 ms
 * without, where the clients' questions were no longer answered within their second.
 */

/** The messages that one connection is given in one turn. */
export const TURN_MESSAGES = 24

/** The time after which its turn is over, however few these were, in milliseconds. */
const TURN_TIME = 0.25

/**
 * The time of a message after which the pause comes at once, in milliseconds. A large message may be the only one of its turn, and the
 * next turn would bring the next.
 */
const LONG_TIME = 1

/** The size of a message from which on its time is measured even on a connection that has never sent too much in a turn. */
export const LARGE_MESSAGE = 16 * 1024

/**
 * The least that a message counts for, and each byte of it, in milliseconds. Its handler's time includes neither its reading nor the
 * garbage that it leaves, which costs everyone a pause for the collector.
 */
const MIN_TIME = 0.02
const BYTE_TIME = 4e-6

/** Whether a message of so many bytes that has taken so many milliseconds has its pause right after it. */
export const isLong = (time: number, bytes: number): boolean => time >= LONG_TIME || bytes * BYTE_TIME >= LONG_TIME

/** The part of the time that it gets while others talk: 12.5 messages per millisecond, if these take the least. */
const SHARE = 0.25

/** The time that it gets without a pause while others talk, in milliseconds. */
const BURST = 1

/** The shortest pause, as short as a timer can be, and the longest, in milliseconds. */
const MIN_PAUSE = 1
const MAX_PAUSE = 25

/** The time for which others count as talking after a message, in milliseconds. */
const MEMORY = 50

/** The connection with the last message, and the number of times that it was another one than before. */
let speaker: object | undefined
let changes = 0

/** Tells that a connection has brought a message. */
export const speak = (connection: object): void => {
  if (speaker === connection) return
  speaker = connection
  changes++
}

/** Tells that a connection has ended, so that nothing refers to it. */
export const leave = (connection: object): void => {
  if (speaker === connection) speaker = undefined
}

/** The account of a connection that has sent more than one turn takes. */
export class Pace {
  private left = BURST
  private last = -Infinity
  private seen = changes
  private beside = -Infinity
  /** The time of messages since the last pause, and in this turn. */
  private taken = 0
  private takenInTurn = 0
  /** Whether a message has taken so long that a pause is due, even if no more have come. */
  isDue = false
  /** Whether a turn has brought more messages than it takes, rather than a long one. */
  isHasty = false

  beginTurn(): void {
    this.takenInTurn = 0
  }

  /** Adds a message: its milliseconds, and its bytes. */
  took(time: number, bytes = 0): void {
    // Bytes count where they are many. Fewer show in the time.
    const weight = bytes * BYTE_TIME
    const counted = Math.max(time, MIN_TIME, weight >= LONG_TIME ? weight : 0)
    this.taken += counted
    this.takenInTurn += counted
    if (isLong(time, bytes)) this.isDue = true
  }

  /** Whether its turn is over. */
  get isOver(): boolean {
    return this.takenInTurn >= TURN_TIME
  }

  /** Ends a turn. Returns the pause before the next messages, in milliseconds; 0 if the others only get their turn. */
  next(now: number): number {
    if (changes !== this.seen) {
      this.seen = changes
      this.beside = now
    }
    // The bound is on savings, not on the time that it gets while its messages are handled.
    const saved = Math.min(BURST, this.left + (now - this.last - this.taken) * SHARE)
    this.left = saved - this.taken * (1 - SHARE)
    this.last = now
    this.taken = 0
    this.isDue = false
    // One pause pays a debt.
    this.left = Math.max(this.left, now - this.beside > MEMORY ? 0 : -MAX_PAUSE * SHARE)
    return this.left < 0 ? Math.max(MIN_PAUSE, -this.left / SHARE) : 0
  }
}
