/**
 * Limits the time of a connection that sends more than others leave time for.
 *
 * Such a connection gets a few messages in each turn of the event loop, so that a message of
 * another connection waits only for these. While other connections are active, it gets at most a
 * part of the time, beyond a burst: a processor that is always busy makes everyone wait. The time
 * of a message lasts until its handler ends or suspends.
 *
 * A long message cannot be interrupted. While other connections send short messages, the long
 * messages of all connections share that part of the time: they take turns, so that others wait for
 * one of them at most.
 *
 * There is no option to turn this off: a slower connection pays one comparison per message, and
 * without it one client can take all of a server's time. `limits.rateLimit` also bounds packets,
 * but an application has to choose its number.
 *
 * Measured with `node test/bench/flood.ts`: 100 clients ask 50 times per second beside one that
 * sends as much as it can. Their p99 is within twice the value without a flood. With
 * `TURN_MESSAGES` and `TURN_TIME` at `Infinity`, and `isLong` always false, it is more than 29
 * times as long (on an idle machine). On a busy machine, the delay of the event loop (p99) is 4 ms
 * with it and 53 ms without; there the clients' questions were no longer answered within their
 * second.
 */

/** The number of messages that one connection gets in one turn. */
export const TURN_MESSAGES = 24

/** The time in milliseconds after which its turn is over, even after fewer messages. */
const TURN_TIME = 0.25

/**
 * A message that takes this long (in milliseconds) is followed by a pause at once. A large message
 * may be the only one of its turn, and the next turn would bring the next.
 */
const LONG_TIME = 1

/**
 * The size in bytes from which a message is not short. Its time is measured even on a connection
 * that has never sent too much in a turn.
 */
export const LARGE_MESSAGE = 16 * 1024

/**
 * The least cost of a message, and the cost of each of its bytes, in milliseconds. The handler's
 * time includes neither the reading nor the garbage of the message, which costs everyone a pause
 * for the collector.
 */
const MIN_TIME = 0.02
const BYTE_TIME = 4e-6

/**
 * Whether a message of this size (bytes) and time (milliseconds) is followed by a pause at once.
 */
export const isLong = (time: number, bytes: number): boolean => time >= LONG_TIME || bytes * BYTE_TIME >= LONG_TIME

/**
 * The part of the time that such a connection gets while others are active. It is 12.5 messages per
 * millisecond at their least cost.
 */
const SHARE = 0.25

/** The time in milliseconds that it gets without a pause while others are active. */
const BURST = 1

/**
 * The shortest pause, which is as short as a timer can be, and the longest, in milliseconds. The
 * longest pause makes up in full for a message of a third of a second.
 */
const MIN_PAUSE = 1
const MAX_PAUSE = 1_000

/**
 * The longest pause, in milliseconds, after a long message beside short ones: three times its time,
 * and more where long messages of several connections take turns. It delays pongs, too.
 */
const MAX_SHARED_PAUSE = 5_000

/** The time in milliseconds for which others count as active after a message. */
const MEMORY = 50

/**
 * The connection of the last message, and the number of changes from one connection to another.
 */
let latest: object | undefined
let changes = 0

/** The number of short messages of all connections. */
let short = 0

/** Their number at the last look of a connection that was new, and the time when it had grown. */
let knownShort = 0
let knownAt = -Infinity

/** Records a message of this many bytes. */
export const countMessage = (connection: object, bytes: number): void => {
  if (bytes < LARGE_MESSAGE) short++
  if (latest === connection) return
  latest = connection
  changes++
}

/** Forgets a connection that has ended, so that nothing refers to it. */
export const forget = (connection: object): void => {
  if (latest === connection) latest = undefined
}

/**
 * The account of the long messages of all connections. Beside short messages they share one part of
 * the time: several long messages in a row would make everyone wait for all of them.
 */
export class LongMessages {
  /** The time at which the shared part has paid for all messages so far. */
  private end = -Infinity

  /**
   * Adds a message that ends now and has taken this many milliseconds. Returns the pause before the
   * next message of its connection, in milliseconds.
   */
  add(time: number, now: number): number {
    this.end = Math.max(this.end, now - time) + time / SHARE
    return Math.min(MAX_SHARED_PAUSE, this.end - now)
  }

  /** The time until the shared part has paid for all messages so far, in milliseconds. */
  debt(now: number): number {
    return Math.max(0, this.end - now)
  }
}

const longMessages = new LongMessages()

/** The account of a connection that has sent more messages than one turn allows. */
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
  /** Whether one message has taken so long that a pause is due, even if no more have come. */
  isDue = false
  /** Whether a turn ended because of the number of its messages, and not because of a long one. */
  isHasty = false
  /** Whether there has been a long message. */
  hasLong = false
  /** Whether the first long message waits for those of others, and until when at most. */
  isEntering = false
  private entersBy: number | undefined

  constructor(long = longMessages) {
    this.long = long
  }

  /**
   * Makes the account of a connection that comes with a long message. Others have been active if
   * they were since the last such connection: a client may open one for each of its messages.
   */
  static amidOthers(now: number, long = longMessages): Pace {
    if (short !== knownShort) {
      knownShort = short
      knownAt = now
    }
    const pace = new Pace(long)
    pace.beside = pace.besideShort = knownAt
    return pace
  }

  /**
   * The pause before the first long message of a connection, in milliseconds; 0 when it may be
   * handled. Later ones wait after the message before them.
   */
  entryPause(now: number): number {
    this.entersBy ??= now + MAX_SHARED_PAUSE
    const pause = Math.max(0, Math.min(this.long.debt(now), this.entersBy - now))
    this.isEntering = pause > 0
    return pause
  }

  beginTurn(): void {
    this.takenInTurn = 0
  }

  /** Adds a message with its time in milliseconds and its size in bytes. */
  took(time: number, bytes = 0): void {
    // Bytes count only for large messages; the time covers small ones.
    const weight = bytes * BYTE_TIME
    const counted = Math.max(time, MIN_TIME, weight >= LONG_TIME ? weight : 0)
    this.taken += counted
    this.takenInTurn += counted
    if (isLong(time, bytes)) this.isDue = this.hasLong = true
  }

  /** Whether the turn is over. */
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
    // The bound applies to savings, not to the time that passes while its messages are handled.
    const saved = Math.min(BURST, this.left + (now - this.last - taken) * SHARE)
    this.left = saved - taken * (1 - SHARE)
    this.last = now
    this.taken = 0
    this.isDue = false
    // No other connection could be active while its messages were handled.
    const since = now - taken - MEMORY
    // One pause pays the whole debt.
    this.left = Math.max(this.left, this.beside < since ? 0 : -MAX_PAUSE * SHARE)
    if (this.left >= 0) return 0
    const pause = Math.max(MIN_PAUSE, -this.left / SHARE)
    return isDue && this.besideShort >= since ? Math.max(pause, this.long.add(taken, now)) : pause
  }
}
