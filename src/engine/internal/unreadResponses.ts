import type { HttpExchange, ResponseWatcher } from "../EngineRequest.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "../TimerWheel.ts"

/**
 * The responses of a session that its client has not taken. A client may send a poll over one
 * connection after the other and read none of them: their bytes count until they have left, and one
 * that is not taken in time loses its connection.
 */
export class UnreadResponses {
  /** The bytes that have not left. */
  bytes = 0
  private count = 0
  private readonly wheel: TimerWheel
  private readonly timeout: number
  private readonly onTaken: () => void
  /** Those that did not leave at once. */
  private slow: Set<Unread> | undefined

  /** `timeout` is the time that a client has to take a response, in milliseconds. */
  constructor(wheel: TimerWheel, timeout: number, onTaken: () => void) {
    this.wheel = wheel
    this.timeout = timeout
    this.onTaken = onTaken
  }

  /** A response of so many bytes was handed over. */
  add(exchange: HttpExchange, size: number): void {
    if (exchange.watch === undefined) return
    this.count++
    this.bytes += size
    exchange.watch(new Unread(this, exchange, size))
  }

  get isEmpty(): boolean {
    return this.count === 0
  }

  /** Nobody waits for them any more. */
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
