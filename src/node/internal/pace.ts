/**
 * The time that one connection gets that sends more than others leave time for.
 *
 * In each turn of the event loop it gets a few messages, so that a message of another connection
 * waits for these at the most. While others talk, it gets no more than a part of the time, beyond a
 * burst: a processor that is busy all the time makes everyone wait. The time of a message lasts
 * until its handler ends or waits for something.
 *
 * A long message cannot be interrupted. Beside short ones, those of all connections have that part
 * of the time together: they take turns, so that nobody waits for more than one of them.
 *
 * It stays on without an option: a connection that sends less than that pays a comparison per
 * message, and without it one client can take a server from all others. `limits.rateLimit` bounds
 * packets as well, but an application has to choose its number.
 *
 * Measured with `node test/bench/flood.ts`: 100 clients ask 50 times per second beside one that
 * sends as much as it can. Their p99 is within twice that without a flood. With `TURN_MESSAGES` and
 * `TURN_TIME` at `Infinity`, and `isLong` always false, it is more than 29 times as long (on a
 * machine without other work). On one that is busy, the delay of the event loop (p99) is 4 ms with
 * it and 53 ms without, where the clients' questions were no longer answered within their second.
 */

/** The messages that one connection is given in one turn. */
export const TURN_MESSAGES = 24

/** The time after which its turn is over, however few these were, in milliseconds. */
const TURN_TIME = 0.25

/**
 * The time of a message after which the pause comes at once, in milliseconds. A large message may
 * be the only one of its turn, and the next turn would bring the next.
 */
const LONG_TIME = 1

/**
 * The size of a message from which on it is not short, and its time is measured even on a
 * connection that has never sent too much in a turn.
 */
export const LARGE_MESSAGE = 16 * 1024

/**
 * The least that a message counts for, and each byte of it, in milliseconds. Its handler's time
 * includes neither its reading nor the garbage that it leaves, which costs everyone a pause for the
 * collector.
 */
const MIN_TIME = 0.02
const BYTE_TIME = 4e-6

/**
 * Whether a message of so many bytes that has taken so many milliseconds has its pause right after
 * it.
 */
export const isLong = (time: number, bytes: number): boolean => time >= LONG_TIME || bytes * BYTE_TIME >= LONG_TIME

/**
 * The part of the time that it gets while others talk: 12.5 messages per millisecond, if these take
 * the least.
 */
const SHARE = 0.25

/** The time that it gets without a pause while others talk, in milliseconds. */
const BURST = 1

/**
 * The shortest pause, as short as a timer can be, and the longest, in milliseconds: a message of a
 * third of a second is made up for in full.
 */
const MIN_PAUSE = 1
const MAX_PAUSE = 1_000

/**
 * The longest pause where long messages of several connections take turns. It delays pongs, too.
 */
const MAX_SHARED_PAUSE = 5_000

/** The time for which others count as talking after a message, in milliseconds. */
const MEMORY = 50

/**
 * The connection with the last message, and the number of times that it was another one than
 * before.
 */
let speaker: object | undefined
let changes = 0

/** The number of short messages, of all connections. */
let short = 0

/** Tells that a connection has brought a message of so many bytes. */
export const speak = (connection: object, bytes: number): void => {
  if (bytes < LARGE_MESSAGE) short++
  if (speaker === connection) return
  speaker = connection
  changes++
}

/** Tells that a connection has ended, so that nothing refers to it. */
export const leave = (connection: object): void => {
  if (speaker === connection) speaker = undefined
}

/**
 * The account of the long messages of all connections, which have their part of the time together
 * beside short ones: several of them in a row would make everyone wait for all of them.
 */
export class LongMessages {
  /** The time at which the messages so far have had their part. */
  private end = -Infinity

  /**
   * Adds a message that ends now: its milliseconds. Returns the pause before the next one of its
   * connection.
   */
  add(time: number, now: number): number {
    this.end = Math.max(this.end, now - time) + time / SHARE
    return Math.min(MAX_SHARED_PAUSE, this.end - now)
  }
}

const longMessages = new LongMessages()

/** The account of a connection that has sent more than one turn takes. */
export class Pace {
  private readonly long: LongMessages
  private left = BURST
  private last = -Infinity
  private seen = changes
  private seenShort = short
  private beside = -Infinity
  private besideShort = -Infinity
  /** The time of messages since the last pause, and in this turn. */
  private taken = 0
  private takenInTurn = 0
  /** Whether a message has taken so long that a pause is due, even if no more have come. */
  isDue = false
  /** Whether a turn has brought more messages than it takes, rather than a long one. */
  isHasty = false

  constructor(long = longMessages) {
    this.long = long
  }

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

  /**
   * Ends a turn. Returns the pause before the next messages, in milliseconds; 0 if the others only
   * get their turn.
   */
  next(now: number): number {
    const { isDue, taken } = this
    if (changes !== this.seen) {
      this.seen = changes
      this.beside = now
    }
    if (short !== this.seenShort) {
      this.seenShort = short
      this.besideShort = now
    }
    // The bound is on savings, not on the time that it gets while its messages are handled.
    const saved = Math.min(BURST, this.left + (now - this.last - taken) * SHARE)
    this.left = saved - taken * (1 - SHARE)
    this.last = now
    this.taken = 0
    this.isDue = false
    // Nobody could talk while its messages were handled.
    const since = now - taken - MEMORY
    // One pause pays a debt.
    this.left = Math.max(this.left, this.beside < since ? 0 : -MAX_PAUSE * SHARE)
    if (this.left >= 0) return 0
    const pause = Math.max(MIN_PAUSE, -this.left / SHARE)
    return isDue && this.besideShort >= since ? Math.max(pause, this.long.add(taken, now)) : pause
  }
}
