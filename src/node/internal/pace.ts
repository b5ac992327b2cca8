/**
 * How much of a server's time one connection gets that sends more than others leave room for. It is given a few messages per turn of
 * the event loop in any case, so that whoever comes meanwhile waits for these at the most. While others talk, too, it is given
 * no more than so many per millisecond, beyond a burst: a processor that is busy all the time makes everybody wait.
 */

/** The messages that one connection is given in one turn. */
export const TURN_MESSAGES = 24

/** The messages that a connection is given without a pause, though others talk. */
const BURST = 256

/** How long a pause is, in milliseconds: as short as a timer can be. In that time a connection earns another turn's messages. */
const PAUSE = 1

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

  /** A turn's messages were taken. The pause that is due before the next of them, in milliseconds; 0 if it is only the others' turn. */
  next(now: number): number {
    if (changes !== this.seen) {
      this.seen = changes
      this.beside = now
    }
    this.left = Math.min(BURST, this.left + ((now - this.last) * TURN_MESSAGES) / PAUSE) - TURN_MESSAGES
    this.last = now
    if (now - this.beside > MEMORY) this.left = Math.max(0, this.left)
    return this.left < 0 ? PAUSE : 0
  }
}
