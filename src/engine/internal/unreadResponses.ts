import type { HttpExchange, ResponseWatcher } from "../EngineRequest.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "../TimerWheel.ts"

/**
 * The responses that the client of a session has not read. A client may send polls over one
 * connection after the other and read none of the responses. Their bytes count until they have
 * left, and a response that is not read in time loses its connection.
 */
export class UnreadResponses {
  /** The bytes that have not left. */
  bytes = 0
  private count = 0
  private readonly wheel: TimerWheel
  private readonly timeout: number
  private readonly onTaken: () => void
  /** The responses that did not leave at once. */
  private slow: Set<Unread> | undefined

  /** `timeout` is the time limit for a client to read a response, in milliseconds. */
  constructor(wheel: TimerWheel, timeout: number, onTaken: () => void) {
    this.wheel = wheel
    this.timeout = timeout
    this.onTaken = onTaken
  }

  /** Adds a response of this many bytes. */
  add(exchange: HttpExchange, size: number): void {
    if (exchange.watch === undefined) return
    this.count++
    this.bytes += size
    exchange.watch(new Unread(this, exchange, size))
  }

  get isEmpty(): boolean {
    return this.count === 0
  }

  /** No client will read them any more. */
  destroy(): void {
    for (const unread of this.slow ?? []) unread.onDeadline()
  }

  /** @internal */
  onSlow(unread: Unread): void {
    ;(this.slow ??= new Set()).add(unread)
    this.wheel.schedule(unread, this.timeout)
  }

  /** @internal */
  onGone(unread: Unread): void {
    this.count--
    this.bytes -= unread.size
    this.slow?.delete(unread)
    this.wheel.cancel(unread)
    this.onTaken()
  }
}

class Unread implements WheelEntry, ResponseWatcher {
  bucket: number = IDLE
  readonly size: number
  private readonly responses: UnreadResponses
  private readonly exchange: HttpExchange

  constructor(responses: UnreadResponses, exchange: HttpExchange, size: number) {
    this.responses = responses
    this.exchange = exchange
    this.size = size
  }

  onWaiting(): void {
    this.responses.onSlow(this)
  }

  onGone(): void {
    this.responses.onGone(this)
  }

  onDeadline(): void {
    this.exchange.destroy?.()
  }
}
