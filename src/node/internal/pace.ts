/**
 * How much of a server's time a connection gets that sends more than others leave capacity for. It
 * is given a few messages per turn of the event loop in any case, so that others wait for these at
 * the most. While others talk, too, it is given no more than a part of the time, beyond a burst: a
 * processor that is busy all the time makes everybody wait. The time counts that messages take until
 * their handlers end or wait for something.
 *
 * A long message cannot be interrupted. Beside short ones, those of all connections have that part
 * of the time together: they take turns, so that nobody waits for more than one of them.
 */

/** The messages that one connection is given in one turn. */
export const TURN_MESSAGES = 24

/** The time after which its turn is over though these were fewer, in milliseconds. */
const TURN_TIME = 0.25

/**
 * A message that takes longer, in milliseconds, has its pause right after it: a large one may be the
 * only one that a turn brings, and the next turn would bring the next.
 */
const LONG_TIME = 1

/**
 * The bytes of a message from which on it is not short, and its time is taken also of a connection
 * that has never sent too much in a turn.
 */
export const LARGE_MESSAGE = 16 * 1024

/**
 * What a message counts for at the least, and each byte of it, in milliseconds: reading it is not in
 * its handler's time, nor is the garbage that it leaves, for which everybody waits when it is
 * collected.
 */
const MIN_TIME = 0.02
const BYTE_TIME = 4e-6

/** Whether a message has its pause right after it, by its time in milliseconds and its bytes. */
export const isLong = (time: number, bytes: number): boolean => time >= LONG_TIME || bytes * BYTE_TIME >= LONG_TIME

/** The part of the time that it is given while others talk: with the least, 12.5 messages per millisecond. */
const SHARE = 0.25

/** The time that it is given without a pause, though others talk, in milliseconds. */
const BURST = 1

/**
 * The shortest pause, which is as short as a timer can be, and the longest, in milliseconds: a third
 * of a second that one message takes is made up for.
 */
const MIN_PAUSE = 1
const MAX_PAUSE = 1_000

/** The longest pause for long messages of several connections, which take turns. Pongs wait, too. */
const MAX_SHARED_PAUSE = 5_000

/** How long those count as talking who did, in milliseconds. */
const MEMORY = 50

/** The connection that spoke last, and how often that was another one than before. */
let speaker: object | undefined
let changes = 0

/** How many messages were short, whoever sent them. */
let short = 0

/** A connection has brought a message of so many bytes. */
export const speak = (connection: object, bytes: number): void => {
  if (bytes < LARGE_MESSAGE) short++
  if (speaker === connection) return
  speaker = connection
  changes++
}

/** A closed connection need not be remembered. */
export const leave = (connection: object): void => {
  if (speaker === connection) speaker = undefined
}

/**
 * The part of the time that long messages are given beside short ones, of all connections together:
 * none of them can be interrupted, and several in a row would make the others wait for all of them.
 */
export class LongMessages {
  /** When those that were handled have had their part. */
  private end = -Infinity

  /** One has taken so long, up to now. Gives the pause before the same connection's next one. */
  add(time: number, now: number): number {
    this.end = Math.max(this.end, now - time) + time / SHARE
    return Math.min(MAX_SHARED_PAUSE, this.end - now)
  }
}

const everybody = new LongMessages()

/** What is kept of a connection that has sent more than is taken in one turn. */
export class Pace {
  private readonly long: LongMessages
  private left = BURST
  private last = -Infinity
  private seen = changes
  private seenShort = short
  private beside = -Infinity
  private besideShort = -Infinity
  /** What messages have taken since the last pause, and in this turn. */
  private taken = 0
  private takenInTurn = 0
  /** A message has taken so long that a pause is due, whether there are more or not. */
  isDue = false
  /** Whether there have been more messages in a turn than are taken in one, rather than a long one. */
  isHasty = false

  constructor(long = everybody) {
    this.long = long
  }

  beginTurn(): void {
    this.takenInTurn = 0
  }

  /** A message of so many bytes has taken so many milliseconds. */
  took(time: number, bytes = 0): void {
    // Bytes count where they are many: what is smaller shows in its time.
    const weight = bytes * BYTE_TIME
    const counted = Math.max(time, MIN_TIME, weight >= LONG_TIME ? weight : 0)
    this.taken += counted
    this.takenInTurn += counted
    if (isLong(time, bytes)) this.isDue = true
  }

  /** Whether its turn is over, however few its messages were. */
  get isOver(): boolean {
    return this.takenInTurn >= TURN_TIME
  }

  /**
   * A turn's messages were taken. The pause that is due before the next of them, in milliseconds; 0
   * if it is only the others' turn.
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
    // What it saves is bounded, not what it is given while its messages are handled.
    const saved = Math.min(BURST, this.left + (now - this.last - taken) * SHARE)
    this.left = saved - taken * (1 - SHARE)
    this.last = now
    this.taken = 0
    this.isDue = false
    // Nobody could speak while the messages were handled. A debt is paid by one pause.
    const since = now - taken - MEMORY
    const isAlone = this.beside < since
    this.left = Math.max(this.left, isAlone ? 0 : -MAX_PAUSE * SHARE)
    if (this.left >= 0) return 0
    const pause = Math.max(MIN_PAUSE, -this.left / SHARE)
    return isDue && this.besideShort >= since ? Math.max(pause, this.long.add(taken, now)) : pause
  }
}
