import { IDLE, type TimerWheel, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { EngineSession } from "../../engine/EngineSession.ts"
import { costOf } from "../../internal/cost.ts"
import type { ResolvedServerOptions } from "../ServerOptions.ts"

/**
 * What an event costs that waits, in bytes, beside its arguments: a handler that is suspended is a fiber with what it has on
 * its stack.
 */
const EVENT = 1_024

/** What an event costs that waits in a stream, beside its payload. */
const STREAMED = 128

/** The cost of an event that waits, from its name and arguments. */
export const costOfEvent = (data: ReadonlyArray<unknown>): number => EVENT + costOf(data)

/** The cost of an event that waits in a stream. */
export const costOfStreamed = (data: ReadonlyArray<unknown>): number => STREAMED + costOf(data)

/**
 * The events of one connection, on all of its sockets, whose handlers are not done: how many they are and what they cost. It
 * pauses reading from a client whose events come faster than that.
 *
 * What a handler waits for may be something that the client sends: then nothing would ever go on. So reading is not paused
 * while an acknowledgement of the client is awaited, on any of its sockets, and a pause during which no handler gets done
 * ends after `pauseTimeout`; there is none again before the backlog is down to `reading.resumeAt`. In both cases
 * `maxPendingEvents` and `maxPendingBytes` are the bound.
 */
export class Backlog implements WheelEntry {
  bucket: number = IDLE
  /** Packets that wait for their socket's handlers to be built. */
  unready = 0
  /** Events whose handlers are not done. */
  private events = 0
  /** What these cost, and what waits in streams. */
  private bytes = 0
  private isPaused = false
  /** Pausing has not helped. */
  private isFutile = false
  /** Whether anything was done since the last look. */
  private hasProgress = false
  private readonly options: ResolvedServerOptions
  private readonly wheel: TimerWheel
  private readonly client: { readonly session: EngineSession; readonly awaitsAck: boolean }

  constructor(
    client: { readonly session: EngineSession; readonly awaitsAck: boolean },
    options: ResolvedServerOptions,
    wheel: TimerWheel
  ) {
    this.options = options
    this.wheel = wheel
    this.client = client
  }

  /** Whether there are as many events as there may be. */
  get isFull(): boolean {
    return this.events >= this.options.maxPendingEvents
  }

  /** An event waits for its handler, or the handler has been suspended. */
  enter(cost: number): void {
    this.events++
    this.hold(cost)
  }

  /** One of those is done. */
  leave(cost: number): void {
    this.events--
    this.release(cost)
  }

  /** A payload waits in a stream. */
  hold(cost: number): void {
    this.bytes += cost
    const { maxPendingBytes } = this.options
    // One that is larger than all of it gets through alone.
    if (this.bytes > maxPendingBytes && this.bytes > cost) {
      const description = `more than ${maxPendingBytes} bytes of events whose handlers are not done`
      return this.client.session.closeUnsafe("inbound overflow", description)
    }
    if (this.isPaused || !this.isHigh || this.isFutile || this.client.awaitsAck) return
    this.isPaused = true
    this.hasProgress = false
    this.wheel.schedule(this, this.options.pauseTimeout)
    this.client.session.pauseUnsafe()
  }

  /** One of those was read. */
  release(cost: number): void {
    this.bytes -= cost
    this.hasProgress = true
    if (!this.isLow) return
    this.isFutile = false
    this.resume()
  }

  /** Half of the bytes that may wait, or so many events: from there on the client waits rather than its events. */
  private get isHigh(): boolean {
    return this.events >= this.options.pauseReadingAt || this.bytes * 2 >= this.options.maxPendingBytes
  }

  private get isLow(): boolean {
    return this.events <= this.options.resumeReadingAt && this.bytes * 4 <= this.options.maxPendingBytes
  }

  /** Somebody waits for an acknowledgement of the client. */
  onAwaiting(): void {
    this.resume()
  }

  onDeadline(): void {
    if (this.hasProgress) {
      this.hasProgress = false
      return this.wheel.schedule(this, this.options.pauseTimeout)
    }
    this.isFutile = true
    this.resume()
  }

  /** The connection has ended. */
  close(): void {
    this.isPaused = false
    this.isFutile = true
    this.wheel.cancel(this)
  }

  private resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    this.wheel.cancel(this)
    this.client.session.resumeUnsafe()
  }
}
