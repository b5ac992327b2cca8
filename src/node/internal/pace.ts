/**
 * How much of a server's time one connection gets that sends more than others leave room for. It is given a few messages per turn of
 * the event loop in any case, so that whoever comes meanwhile waits for these at the most. While others talk, too, it is given
 * no more than a part of the time, beyond a burst: a processor that is busy all the time makes everybody wait. What counts is the
 * time that messages take until their handlers end or wait for something.
 */

/** The messages that one connection is given in one turn. */
export const TURN_MESSAGES = 24

/** The time after which its turn is over though these were fewer, in milliseconds. */
const TURN_TIME = 0.25

/**
 * A message that takes longer, in milliseconds, has its pause right after it: a large one may be the only one that a turn brings, and
 * the next turn would bring the next.
 */
const LONG_TIME = 1

/** The bytes of a message from which on its time is taken also of a connection that has never sent too much in a turn. */
export const LARGE_MESSAGE = 16 * 1024

/**
 * What a message counts for at the least, and each byte of it, in milliseconds: reading it is not in its handler's time, nor is the
 * garbage that it leaves, and what that costs everybody is a pause for the collector.
 */
const MIN_TIME = 0.02
const BYTE_TIME = 4e-6

/** Whether a message of so many bytes that has taken so many milliseconds has its pause right after it. */
export const isLong = (time: number, bytes: number): boolean => time >= LONG_TIME || bytes * BYTE_TIME >= LONG_TIME

/** The part of the time that it is given while others talk: with the least, 12.5 messages per millisecond. */
const SHARE = 0.25

/** The time that it is given without a pause, though others talk, in milliseconds. */
const BURST = 1

/** The shortest pause, which is as short as a timer can be, and the longest, in milliseconds. */
const MIN_PAUSE = 1
const MAX_PAUSE = 25

/** How long those count as talking who did, in milliseconds. */
const MEMORY = 50

/** The connection that spoke last, and how often that was another one than before. */
let speaker: object | undefined
let changes = 0

/** A connection has brought a message. */
export const speak = (connection: object): void => {
  if (speaker === connection) return
  speaker = connection
  changes++
}

/** A connection that has gone need not be remembered. */
export const leave = (connection: object): void => {
  if (speaker === connection) speaker = undefined
}

/** What is kept of a connection that has sent more than is taken in one turn. */
export class Pace {
  private left = BURST
  private last = -Infinity
  private seen = changes
  private beside = -Infinity
  /** What messages have taken since the last pause, and in this turn. */
  private taken = 0
  private takenInTurn = 0
  /** A message has taken so long that a pause is due, whether there are more or not. */
  isDue = false
  /** Whether there have been more messages in a turn than are taken in one, rather than a long one. */
  isHasty = false

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

  /** A turn's messages were taken. The pause that is due before the next of them, in milliseconds; 0 if it is only the others' turn. */
  next(now: number): number {
    if (changes !== this.seen) {
      this.seen = changes
      this.beside = now
    }
    // What it saves is bounded, not what it is given while its messages are handled.
    const saved = Math.min(BURST, this.left + (now - this.last - this.taken) * SHARE)
    this.left = saved - this.taken * (1 - SHARE)
    this.last = now
    this.taken = 0
    this.isDue = false
    // A debt is paid by one pause.
    this.left = Math.max(this.left, now - this.beside > MEMORY ? 0 : -MAX_PAUSE * SHARE)
    return this.left < 0 ? Math.max(MIN_PAUSE, -this.left / SHARE) : 0
  }
}
