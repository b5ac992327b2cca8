import { Pace, TURN_MESSAGES } from "../../internal/pace.ts"
import { takeTurn } from "../../internal/sharedTurns.ts"
import { now } from "../../internal/turn.ts"

/** The memory in bytes that the messages of all closed connections may take. */
const MAX_BYTES = 32 * 1024 * 1024

/** The memory of a closed connection with its session, and with the rest of its last read. */
const CONNECTION = 16 * 1024

/**
 * Handles up to this many messages of a closed connection. Returns their number. After the last one
 * it calls `end`.
 */
type Handle = (count: number) => number

/**
 * The messages that connections had sent before they closed. All such connections take turns like
 * one that sends too much: a client may open one for each of its bursts.
 */
export class LastMessages {
  /** The account of all of them. */
  readonly pace = new Pace()
  private readonly due = new Set<ClosedConnection>()
  private round: Iterator<ClosedConnection> = this.due.values()
  private bytes = 0
  private isWaiting = false

  /**
   * Takes a closed connection with this many bytes. Returns undefined if it has more than half of
   * the bytes that are left: a few large ones cannot take all of them.
   */
  take(bytes: number, handle: Handle): ClosedConnection | undefined {
    const all = bytes + CONNECTION
    if (this.bytes > 0 && all > (MAX_BYTES - this.bytes) / 2) return undefined
    this.bytes += all
    return new ClosedConnection(this, all, handle)
  }

  /** @internal */
  enter(connection: ClosedConnection): void {
    this.due.add(connection)
    this.wait()
  }

  /** @internal */
  remove(connection: ClosedConnection): void {
    this.due.delete(connection)
    this.bytes -= connection.bytes
  }

  private wait(): void {
    if (this.isWaiting) return
    this.isWaiting = true
    takeTurn(this.goOn, this.pace.next(now()))
  }

  private readonly goOn = (): void => {
    this.isWaiting = false
    this.pace.beginTurn()
    // An end counts as a message.
    for (let left = TURN_MESSAGES; left > 0 && this.due.size > 0 && !this.pace.isOver;) {
      left -= Math.max(1, this.next().handle(left))
    }
    if (this.due.size > 0) this.wait()
  }

  /** One after the other. There is at least one. */
  private next(): ClosedConnection {
    for (;;) {
      const { done, value } = this.round.next()
      if (done !== true) return value
      this.round = this.due.values()
    }
  }
}

/** A closed connection with messages that are not handled yet. */
export class ClosedConnection {
  readonly bytes: number
  readonly handle: Handle
  private readonly all: LastMessages

  constructor(all: LastMessages, bytes: number, handle: Handle) {
    this.all = all
    this.bytes = bytes
    this.handle = handle
  }

  /** Its own pause is over: it takes turns with the others from now on. */
  enter(): void {
    this.all.enter(this)
  }

  /** It has no messages any more. */
  end(): void {
    this.all.remove(this)
  }
}

/** Those of this process. */
export const lastMessages = new LastMessages()
