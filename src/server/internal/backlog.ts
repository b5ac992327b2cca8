import { IDLE, type TimerWheel, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { EngineSession } from "../../engine/EngineSession.ts"
import { costOf } from "../../internal/cost.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import type { ResolvedServerOptions } from "../ServerOptions.ts"

/**
 * The cost of a waiting event beside its arguments, in bytes: a suspended handler is a fiber with a
 * stack.
 */
const EVENT = 1_024

/** The cost of an event that waits in a stream, beside its payload, in bytes. */
const STREAMED = 128

/** The cost of an event that waits, from its name and arguments. */
export const costOfEvent = (data: ReadonlyArray<unknown>): number => EVENT + costOf(data)

/** The cost of an event that waits in a stream. */
export const costOfStreamed = (data: ReadonlyArray<unknown>): number => STREAMED + costOf(data)

/**
 * The unhandled events of one connection, on all of its sockets: their number and their cost. It
 * pauses reading from a client that sends events faster than they are handled.
 *
 * A handler may wait for data from the client, and would wait forever if reading stayed paused. So
 * reading is not paused while an acknowledgement of the client is awaited, on any of its sockets. A
 * pause during which no handler ends is over after `pauseTimeout`; no other follows before the
 * backlog is down to `reading.resumeAt`. In both cases `maxPendingEvents` and `maxPendingBytes` are
 * the bound.
 *
 * Each `enter` needs its `leave`, each `hold` its `release`, and each `enterFull` its `leaveFull`:
 * a missed one pauses the connection forever. Only five owners call them: {@link Inbox}, `Gate`,
 * `Supervisor.start`, `AttachmentWatch` and the readers of events.
 */
export class Backlog implements WheelEntry {
  bucket: number = IDLE
  /** Packets that wait for their sockets' handlers to be built. */
  private unready = 0
  /** Events whose handlers have not ended. */
  private events = 0
  /** Their cost, and that of the payloads that wait in streams. */
  private bytes = 0
  /** The part of it that waits for attachments: a client that is not read could not send them. */
  private incomplete = 0
  /** Readers of its events that are full at the moment. */
  private full = 0
  private isPaused = false
  /** Pausing did not help. */
  private isFutile = false
  /** Whether any handler has ended since the last check. */
  private hasProgress = false
  /** Is called when no event is left, after the connection has ended. */
  private onEmpty: (() => void) | undefined
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

  /** Whether the number of packets that wait for handlers to be built is at its limit. */
  get hasTooManyUnready(): boolean {
    return this.unready >= this.options.maxPendingPackets
  }

  /** A packet waits for handlers to be built. */
  enterUnready(cost: number): void {
    this.unready++
    this.enter(cost)
  }

  /** It no longer waits. */
  leaveUnready(cost: number): void {
    this.unready--
    this.leave(cost)
  }

  /** The events that wait for their handlers, or whose handlers have been suspended. */
  get size(): number {
    return this.events
  }

  /** Whether the number of events is at its limit. */
  get isFull(): boolean {
    return this.events >= this.options.maxPendingEvents
  }

  /** An event waits for its handler, or the handler has been suspended. */
  enter(cost: number): void {
    this.events++
    this.hold(cost)
  }

  /** It no longer waits, or its handler has ended. */
  leave(cost: number): void {
    this.events--
    this.release(cost)
    if (this.events === 0 && this.onEmpty !== undefined) this.onEnd()
  }

  /** A payload waits in a stream. */
  hold(cost: number): void {
    this.bytes += cost
    const { bytesAlone, maxPendingBytes } = this.options
    // An event that is larger than the whole limit is accepted alone.
    if (this.bytes > maxPendingBytes && (this.bytes > cost || cost > bytesAlone)) {
      const description = `more than ${maxPendingBytes} bytes of events whose handlers are not done`
      return this.client.session.closeUnsafe("inbound overflow", description)
    }
    this.pauseIfHigh()
  }

  /** It was read. */
  release(cost: number): void {
    this.bytes -= cost
    this.onProgress()
  }

  /** The data of a packet waits for attachments. */
  holdIncomplete(cost: number): void {
    this.incomplete = cost
    this.hold(cost)
  }

  /** The attachments are there. */
  releaseIncomplete(cost: number): void {
    this.incomplete = 0
    this.release(cost)
  }

  /** Whether a payload may wait for a reader that must not make the client wait. */
  fits(cost: number): boolean {
    // A payload that is larger than the whole limit is accepted alone.
    return this.bytes === 0 || (this.bytes + cost) * 2 < this.options.maxPendingBytes
  }

  /** A reader is full: the client waits. */
  enterFull(): void {
    this.full++
    this.pauseIfHigh()
  }

  /** The reader has taken them. */
  leaveFull(): void {
    this.full--
    this.onProgress()
  }

  private pauseIfHigh(): void {
    if (this.isPaused || !this.isHigh || this.isFutile || this.client.awaitsAck) return
    this.isPaused = true
    this.hasProgress = false
    this.wheel.schedule(this, this.options.pauseTimeout)
    this.client.session.pauseUnsafe()
  }

  private onProgress(): void {
    this.hasProgress = true
    if (!this.isLow) return
    this.isFutile = false
    this.resume()
  }

  /**
   * The client waits from half of the allowed bytes on, from `pauseReadingAt` events on, and while
   * a reader is full.
   */
  private get isHigh(): boolean {
    const { maxPendingBytes, pauseReadingAt } = this.options
    return this.full > 0 || this.events >= pauseReadingAt || this.completeBytes * 2 >= maxPendingBytes
  }

  private get isLow(): boolean {
    if (this.full > 0) return false
    return this.events <= this.options.resumeReadingAt && this.completeBytes * 4 <= this.options.maxPendingBytes
  }

  private get completeBytes(): number {
    return this.bytes - this.incomplete
  }

  /** An acknowledgement of the client is awaited. */
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

  /**
   * The connection has ended, and its handlers were interrupted. While some of them do not end, it
   * keeps its place: what they hold would count for nobody.
   */
  keepPlace(): void {
    if (this.events > 0) this.onEmpty = this.client.session.keepPlace()
  }

  private onEnd(): void {
    const { onEmpty } = this
    this.onEmpty = undefined
    onEmpty?.()
  }

  private resume(): void {
    if (!this.isPaused) return
    this.isPaused = false
    this.wheel.cancel(this)
    this.client.session.resumeUnsafe()
  }
}

/**
 * An event that waits. Its namespace would keep the whole message in memory, or the request that
 * brought it.
 */
type Event = Pick<SocketPacket, "data" | "id">

/** An event that waits for the handlers to be built, and its cost meanwhile. */
interface Waiting extends Event {
  readonly cost: number
}

/**
 * The events of one socket that wait until its handlers are there, in the order of their arrival.
 */
export class Inbox {
  private readonly backlog: Backlog
  private waiting: Array<Waiting> = []

  constructor(backlog: Backlog) {
    this.backlog = backlog
  }

  add({ data, id }: Event): void {
    const cost = costOfEvent(data as ReadonlyArray<unknown>)
    this.waiting.push({ data, id, cost })
    this.backlog.enterUnready(cost)
  }

  /** Takes everything out. Each event has left the backlog by the time of its callback. */
  empty(take: (event: Event) => void): void {
    const { waiting } = this
    this.waiting = []
    for (const event of waiting) {
      this.backlog.leaveUnready(event.cost)
      take(event)
    }
  }
}
