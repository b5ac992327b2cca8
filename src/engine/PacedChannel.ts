/**
 * The receiving part of a WebSocket that edges share: messages take turns with those of other
 * connections, and wait while a session has paused.
 *
 * @since 0.1.0
 */
import { Deque } from "../internal/deque.ts"
import { countMessage, forget, isLong, LARGE_MESSAGE, Pace, TURN_MESSAGES } from "../internal/pace.ts"
import { takeTurn } from "../internal/sharedTurns.ts"
import { now } from "../internal/turn.ts"
import * as Turn from "../internal/turn.ts"
import { type ClosedConnection, lastMessages } from "./internal/lastMessages.ts"
import type { WebSocketFailure, WebSocketReceiver } from "./Transport.ts"

/**
 * A WebSocket whose messages take turns. An edge adds sending, and says how reading stops.
 *
 * **Details**
 *
 * The edge calls `onMessage` for each message, `onPing` and `onPong` for frames that are none, and
 * `onClose` at the end. A message is handled at once, unless the session has paused or the
 * connection has sent more than fits into one turn of the event loop. Then `stopReading` is called,
 * and later messages wait until `startReading`. An edge whose platform cannot stop reading bounds
 * the messages that wait: it overrides `hold`, `onTaken`, `heldBytes`, and `letGo`, which drops
 * them. After the end they go on to take turns, with those of all connections that have ended. The
 * receiver learns of the end after them, or as soon as it has closed the connection itself: an edge
 * says so with `letGo`.
 *
 * @since 0.1.0
 * @category models
 */
export abstract class PacedChannel<Data extends string | Uint8Array> {
  receiver: WebSocketReceiver = beforeTheFirst
  /**
   * Messages that came after reading was stopped. While this list exists, every message goes
   * through it.
   */
  private held: Deque<Held<Data>> | undefined
  /** The session has paused reading. */
  private isPaused = false
  /** Other connections have their turn; then this one continues. */
  private isYielding = false
  private turn = -1
  /** The number of messages in this turn. */
  protected messages = 0
  /** Set once the connection has sent more messages than one turn allows. */
  private pace: Pace | undefined
  /** The fault that ends the connection. */
  protected failure: WebSocketFailure | undefined
  /** Set while the connection has ended, and messages wait that came before. */
  private closed: ClosedConnection | undefined

  /** Makes the platform stop reading, if it can. */
  protected abstract stopReading(): void
  /** Makes the platform read again. */
  protected abstract startReading(): void
  /** Brings a message to the receiver. */
  protected abstract handOver(data: Data, isBinary: boolean): void
  /** Ends the connection after an error of the receiver, which is a bug. */
  protected abstract onDefect(defect: unknown): void

  /** A message has come. */
  onMessage(data: Data, isBinary: boolean): void {
    this.beginTurn()
    countMessage(this, data.length)
    if (isLong(0, data.length) && this.pace?.hasLong !== true) this.enter()
    if ((++this.messages > TURN_MESSAGES || this.pace?.isOver) && this.held === undefined) this.yield(true)
    if (this.held !== undefined) {
      if (this.receiver.isClosed !== true) this.hold(data, isBinary)
    } else {
      this.receive(data, isBinary)
      if (this.pace?.isDue && this.held === undefined) this.yield(true)
    }
  }

  /** The peer has sent a ping, which the platform has answered. */
  onPing(): void {
    this.onPong()
    this.receiver.onPing?.()
  }

  /** The peer has sent a pong, for which nobody has asked. Pings take their turns here, too. */
  onPong(): void {
    this.beginTurn()
    this.pace?.took(0)
    if (++this.messages > TURN_MESSAGES && this.held === undefined) this.yield(true)
  }

  /**
   * The connection is closed. Messages that came before the end are delivered before it, unless the
   * session has paused.
   */
  onClose(): void {
    forget(this)
    if (this.isPaused || this.heldCount === 0 || this.receiver.isClosed === true) return this.end()
    this.closed = lastMessages.take(this.heldBytes, (count) => this.deliverLast(count))
    if (this.closed !== undefined) return this.isYielding ? undefined : this.goOnAfter(0)
    this.failure ??= { kind: "inbound overflow", message: "too much of closed connections waited to be handled" }
    this.end()
  }

  pause(): void {
    this.isPaused = true
    this.stop()
  }

  resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    // The caller may be in the middle of a dispatch, so resume later.
    this.yield()
  }

  /** Keeps a message until its turn. */
  protected hold(data: Data, isBinary: boolean): void {
    this.held!.push(isBinary ? [data] : data)
  }

  /** Whether messages wait for their turn, or would. */
  protected get isHolding(): boolean {
    return this.held !== undefined
  }

  /** The number of messages that wait. */
  protected get heldCount(): number {
    return this.held?.size ?? 0
  }

  /** The most memory that the held messages take, in bytes. */
  protected get heldBytes(): number {
    let bytes = 0
    for (let i = 0; i < this.heldCount; i++) bytes += HELD_OBJECTS + dataOf(this.held!.at(i)).length
    return bytes
  }

  /** Nobody takes the messages that wait: this side has closed or dropped the connection. */
  protected letGo(): void {
    this.held?.clear()
    if (this.closed !== undefined) this.end()
  }

  /** A message that has waited is handled now. */
  protected onTaken(_data: Data): void {}

  /** Begins the turn of the event loop, unless it has begun. */
  protected beginTurn(): void {
    if (this.turn === Turn.turn) return
    this.turn = Turn.turn
    this.messages = 0
    this.pace?.beginTurn()
    this.onTurn()
    Turn.awaitTurnEnd()
  }

  /** Whether a turn of this connection has ended because of the number of its messages. */
  protected get isHasty(): boolean {
    return this.pace?.isHasty === true
  }

  /** A turn has begun. */
  protected onTurn(): void {}

  /** Gives others their turn, before the next message of this connection. */
  protected yield(hasManyMessages = false): void {
    this.stop()
    if (this.isYielding) return
    let pause = 0
    if (hasManyMessages) {
      const pace = (this.pace ??= new Pace())
      if (this.messages > TURN_MESSAGES) pace.isHasty = true
      pause = pace.next(now())
    }
    this.goOnAfter(pause)
  }

  /** The first long message waits for those of other connections. */
  private enter(): void {
    const began = now()
    this.pace ??= Pace.amidOthers(began)
    const pause = this.pace.entryPause(began)
    if (pause === 0 || this.held !== undefined) return
    this.stop()
    if (!this.isYielding) this.goOnAfter(pause)
  }

  private goOnAfter(pause: number): void {
    this.isYielding = true
    takeTurn(() => {
      this.isYielding = false
      this.goOn()
    }, pause)
  }

  private receive(data: Data, isBinary: boolean): void {
    const began = this.pace !== undefined || data.length >= LARGE_MESSAGE ? now() : 0
    try {
      this.handOver(data, isBinary)
    } catch (defect) {
      this.onDefect(defect)
    }
    if (began === 0) return
    const time = now() - began
    if (this.pace === undefined && !isLong(time, data.length)) return
    this.pace ??= Pace.amidOthers(now())
    this.pace.took(time, data.length)
  }

  private stop(): void {
    if (this.held !== undefined) return
    this.held = new Deque()
    this.stopReading()
  }

  private goOn(): void {
    const { closed, pace } = this
    if (this.held === undefined) return
    // Others were first when the time came.
    const pause = pace?.isEntering === true ? pace.entryPause(now()) : 0
    if (pause > 0) return this.goOnAfter(pause)
    if (closed !== undefined) {
      this.pace = lastMessages.pace
      return closed.enter()
    }
    this.beginTurn()
    this.deliver(TURN_MESSAGES - this.messages)
    if (this.isPaused || this.closed !== undefined || this.held === undefined) return
    if (this.held.size > 0 || this.pace?.isDue) return this.yield(true)
    this.held = undefined
    this.startReading()
  }

  /**
   * Delivers held messages: up to this number, for one turn's time, or until the session pauses.
   * Returns their number.
   */
  private deliver(count: number): number {
    const { held } = this
    if (held === undefined) return 0
    let n = 0
    // The rest may be dropped meanwhile.
    while (n < count && held.size > 0 && !this.isPaused) {
      const message = held.shift()
      const data = dataOf(message)
      n++
      this.onTaken(data)
      this.receive(data, message !== data)
      if (this.pace?.isOver) break
    }
    this.messages += n
    return n
  }

  /** Delivers up to this number of the messages that came before the end, and then the end. */
  private deliverLast(count: number): number {
    const delivered = this.deliver(count)
    if (this.closed !== undefined && (this.isPaused || this.heldCount === 0)) this.end()
    return delivered
  }

  /** The receiver learns of the end. */
  private end(): void {
    this.held = undefined
    this.closed?.end()
    this.closed = undefined
    try {
      this.receiver.onClose(this.failure)
    } catch (defect) {
      this.onDefect(defect)
    }
  }
}

/** A message that waits: a text as it is, so that a flood of these makes no objects, or bytes. */
type Held<Data> = Data | readonly [bytes: Data]

const dataOf = <Data extends string | Uint8Array>(message: Held<Data>): Data =>
  Array.isArray(message) ? message[0] : (message as Data)

/** The objects of a message that waits, in bytes. */
const HELD_OBJECTS = 280

const beforeTheFirst: WebSocketReceiver = { onText() {}, onBinary() {}, onClose() {} }
