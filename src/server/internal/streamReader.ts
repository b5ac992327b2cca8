import { IDLE, type TimerWheel, type WheelEntry } from "../../engine/TimerWheel.ts"
import type { ReadableLog, Watcher } from "../../streams/StreamLog.ts"
import type { EventData } from "./wire.ts"

/** The values of one message, and their bytes beyond the first one. */
const MAX_ITEMS = 256
const MAX_BYTES = 65_536

/** No more values are sent while so many bytes wait for the client. */
const MAX_BUFFERED = 65_536

/**
 * The pause before another look whether the client has read, in milliseconds: half of the time for
 * which it has not, so that a client that does not read at all costs little.
 */
const PAUSE = 10
const MAX_PAUSE = 320

/** The times since which connections have more than that waiting. Their readers take turns so. */
const stalls = new WeakMap<object, number>()

/** A socket, as the readers of streams use it. */
export interface ReadingSocket {
  readonly isConnected: boolean
  readonly connection: { readonly session: { readonly buffered: number } }
  /** Sends an event; throws if it cannot be encoded. Calls back if the outbox has dropped it. */
  sendEncoded(packet: EventData, onDropped: () => void): void
}

/** The readers of a server with something to send: they send it in the next turn, together. */
export class Flush {
  private dirty: Array<StreamReader> = []
  private readonly schedule: (task: () => void) => void

  constructor(schedule: (task: () => void) => void) {
    this.schedule = schedule
  }

  mark(reader: StreamReader): void {
    if (this.dirty.push(reader) === 1) this.schedule(this.run)
  }

  readonly run = (): void => {
    const { dirty } = this
    this.dirty = []
    for (const reader of dirty) reader.pump()
  }

  /** Sends everything that can be sent. */
  drain(): void {
    while (this.dirty.length > 0) this.run()
  }
}

interface Options {
  readonly socket: ReadingSocket
  readonly log: ReadableLog
  /** The name of the event with the values. */
  readonly event: string
  readonly mayHaveBinary: boolean
  readonly window: number | undefined
  readonly after: number
  /** The time before the first values, in milliseconds. */
  readonly delay: number
  readonly flush: Flush
  readonly wheel: TimerWheel
  /** It has sent everything, or cannot go on. */
  readonly onDone: (defect?: unknown) => void
}

/** A socket that reads a stream: it sends what comes, as fast as the client takes it. */
export class StreamReader implements WheelEntry, Watcher {
  bucket: number = IDLE
  private readonly options: Options
  private readonly unwatch: () => void
  /** The position of the next value to send. */
  private sent: number
  private acked: number
  private isMarked = false
  private isDone = false
  private readonly begins: number
  /** The bytes of a message, and the pause after a dropped one, until the client has read. */
  private bytes = MAX_BYTES
  private retry = PAUSE

  constructor(options: Options) {
    const { after, delay, log, wheel } = options
    this.options = options
    // A client that has read more than there is counts wrong.
    this.sent = this.acked = Math.min(after, log.length)
    this.unwatch = log.watch(this)
    log.reached(this.sent, this.sent)
    this.begins = wheel.now() + delay
    this.onChange()
  }

  /** There is something new. */
  onChange(): void {
    if (this.isMarked || this.isDone || this.bucket !== IDLE) return
    this.isMarked = true
    this.options.flush.mark(this)
  }

  /** The client has read up to here, perhaps over an earlier connection or by an earlier call. */
  onAck(at: number): void {
    this.acked = Math.max(this.acked, Math.min(at, this.options.log.length))
    this.sent = Math.max(this.sent, this.acked)
    this.options.log.reached(this.sent, this.acked)
    this.bytes = MAX_BYTES
    this.retry = PAUSE
    // It is reading, so that there is no need to wait.
    this.options.wheel.cancel(this)
    this.onChange()
  }

  onDeadline(): void {
    this.pump()
  }

  onDefect(defect: unknown): void {
    this.finish(defect)
  }

  /**
   * Sends one message, as large as the client can take. The next one is for the next turn: the
   * outbox may have dropped this one.
   */
  pump(): void {
    this.isMarked = false
    const { log, socket, wheel, window } = this.options
    if (this.isDone || this.bucket !== IDLE || !socket.isConnected) return
    const early = this.begins - wheel.now()
    if (early > 0) return wheel.schedule(this, early)
    if (socket.connection.session.buffered > MAX_BUFFERED) return this.waitForClient()
    stalls.delete(socket.connection)
    const from = Math.max(this.sent, log.start)
    const credit = window === undefined ? MAX_ITEMS : window - (this.sent - this.acked)
    const values = credit <= 0 ? [] : log.slice(from, this.most(credit), this.bytes)
    const next = from + values.length
    const isLast = log.end !== undefined && next === log.length
    if (values.length === 0 && !isLast) return
    this.sent = next
    if (!this.send(from, values, isLast) || isLast) return
    log.reached(next, this.acked)
    if (next < log.length) this.onChange()
  }

  private waitForClient(): void {
    const { socket, wheel } = this.options
    const now = wheel.now()
    const since = stalls.get(socket.connection) ?? now
    stalls.set(socket.connection, since)
    wheel.schedule(this, Math.min(MAX_PAUSE, Math.max(PAUSE, (now - since) / 2)))
  }

  /** Clients take a bounded number of attachments in a message. */
  private most(credit: number): number {
    return Math.min(credit, this.options.mayHaveBinary ? 1 : MAX_ITEMS)
  }

  private send(from: number, values: ReadonlyArray<unknown>, isLast: boolean): boolean {
    const { event, log, mayHaveBinary, socket } = this.options
    const items = { stream: log.id, from, values }
    const data = [event, isLast ? { ...items, end: log.end } : items]
    try {
      socket.sendEncoded({ data, mayHaveBinary }, () => this.onDropped(from))
    } catch (defect) {
      const failed = { stream: log.id, from, values: [], end: { _tag: "InternalError" } }
      socket.sendEncoded({ data: [event, failed], mayHaveBinary: false }, () => {})
      this.finish(defect)
      return false
    }
    if (isLast) this.finish()
    return true
  }

  /** The outbox had no capacity for a message. It may never fit: smaller ones follow later. */
  private onDropped(from: number): void {
    if (this.isDone) return
    this.sent = Math.min(this.sent, from)
    if (this.bucket !== IDLE) return
    this.options.wheel.schedule(this, this.retry)
    this.bytes = Math.max(1, this.bytes / 2)
    this.retry = Math.min(MAX_PAUSE, this.retry * 2)
  }

  private finish(defect?: unknown): void {
    this.close()
    this.options.onDone(defect)
  }

  /** Nothing is sent any more. */
  close(): void {
    this.isDone = true
    this.unwatch()
    this.options.wheel.cancel(this)
  }
}
