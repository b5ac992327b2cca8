/**
 * WebSockets with the standard interface, for an engine: those of Deno, of Cloudflare, and of
 * anything else that has `send`, `close` and events.
 *
 * @since 0.1.0
 */
import type { WebSocketChannel } from "../engine/Transport.ts"
import { charactersOf } from "../internal/cost.ts"
import { setImmediate, setTimeout } from "../internal/turn.ts"
import { utf8Length } from "../internal/utf8.ts"
import { type ChannelSettings, WebChannel } from "./internal/webChannel.ts"

/**
 * The parts of the standard WebSocket that an engine uses.
 *
 * @since 0.1.0
 * @category models
 */
export interface StandardWebSocket {
  /** 0 while it is connecting, 1 while it is open. */
  readonly readyState: number
  /**
   * The bytes that the platform has not sent. A platform that does not tell has sent everything.
   */
  readonly bufferedAmount?: number
  binaryType?: string
  send(data: string | Uint8Array<ArrayBuffer>): void
  close(code?: number): void
  addEventListener(type: string, listener: (event: any) => void): void
}

/**
 * The parts of a WebSocket of Bun's server that an engine uses. `BunSocketIoServer` makes channels
 * of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface BunWebSocket {
  /** The data that the request was upgraded with. */
  readonly data: any
  send(data: string | Uint8Array<ArrayBuffer>, compress?: boolean): number
  getBufferedAmount(): number
  close(code?: number, reason?: string): void
  terminate(): void
}

/**
 * The limits of a WebSocket that cannot be paused.
 *
 * @since 0.1.0
 * @category options
 */
export interface ChannelOptions {
  /**
   * The memory in bytes of messages that have come and wait for their session, because handlers are
   * slow or the client sends too much. A connection with more is closed with reason
   * `inbound overflow`. A text counts with two bytes for a character, and each message with its
   * objects. Default: 16,777,216.
   */
  readonly maxHeldBytes?: number
  /**
   * The largest message in bytes, for platforms that have no such limit themselves: a connection
   * with a larger one is closed with reason `payload too large`. Default: no limit.
   */
  readonly maxPayload?: number
  /**
   * Takes an error of the code that receives messages, which is a bug. Default: it is thrown away.
   */
  readonly onDefect?: (message: string, defect: unknown) => void
}

/**
 * The default of {@link ChannelOptions.maxHeldBytes}.
 *
 * @since 0.1.0
 * @category constants
 */
export const MAX_HELD_BYTES = 16 * 1024 * 1024

/**
 * Makes a channel of an open WebSocket. Pass it to the `accept` of `EngineServer.handleUpgrade`;
 * `WebEngine.makeHandler` does that by itself.
 *
 * **Details**
 *
 * The platform gets up to 256 KiB, or 2,048 messages, at a time. Everything else waits in the
 * channel, counts for `maxOutbox` with its objects, and is dropped at once when the session ends.
 *
 * **Gotchas**
 *
 * A connection that brings more than 12,000 messages in one turn of the event loop is closed with
 * reason `inbound overflow`; a binary one counts as four.
 *
 * A standard WebSocket cannot be paused, and cannot be dropped: `terminate` only starts the closing
 * handshake. If the peer never answers, the platform keeps the connection until the network gives
 * it up, and until then it counts for `maxConnections`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromStandard = (socket: StandardWebSocket, options: ChannelOptions = {}): WebSocketChannel => {
  const { maxPayload = Infinity, maxHeldBytes = MAX_HELD_BYTES, onDefect = () => {} } = options
  return new StandardChannel(socket, { maxHeld: maxHeldBytes, report: onDefect }, maxPayload)
}

const OPEN = 1

/** The bytes that the platform gets while more wait. */
const SHARE = 256 * 1024

/** The most memory of a message that the platform has, beside its bytes. */
const FRAME = 128

/** The objects of a message in the queue, in bytes: a text, or bytes with their memory. */
const TEXT_OBJECTS = 160
const BYTES_OBJECTS = 280

/**
 * The turns of the event loop in which a slow peer is looked at before a pause, and the pause (ms).
 */
const TURNS = 16
const PAUSE = 5

/** Deno gives each binary message memory outside of the heap. */
const BYTES_WEIGHT = 4

class StandardChannel extends WebChannel {
  onWritten: (() => void) | undefined
  protected readonly bytesWeight = BYTES_WEIGHT
  private readonly socket: StandardWebSocket
  private readonly maxPayload: number
  /** The messages that the platform does not have yet, with the memory that they count. */
  private queue: Array<readonly [data: string | Uint8Array, cost: number]> = []
  private queued = 0
  /** The messages that the platform has got since it had none. */
  private frames = 0
  private isWatching = false
  private turns = 0
  /** The code to close with, once everything is sent. */
  private closing: { readonly code: number | undefined } | undefined

  constructor(socket: StandardWebSocket, settings: ChannelSettings, maxPayload: number) {
    super(settings)
    this.socket = socket
    this.maxPayload = maxPayload
    socket.binaryType = "arraybuffer"
    socket.addEventListener("message", ({ data }: { readonly data: string | ArrayBuffer }) =>
      this.onData(typeof data === "string" ? data : new Uint8Array(data))
    )
    socket.addEventListener("close", () => this.onClose())
    // Some platforms tell of a failure by this event alone.
    socket.addEventListener("error", ({ message }: { readonly message?: string }) => {
      this.failure ??= { kind: "error", message: message ?? "the WebSocket failed" }
      if (socket.readyState > OPEN) this.onClose()
    })
  }

  get buffered(): number {
    return this.queued + this.unsent
  }

  /** Whether the platform has its share: of bytes, or of messages. */
  private get isFull(): boolean {
    const { unsent } = this
    if (unsent === 0) this.frames = 0
    return unsent + this.frames * FRAME >= SHARE
  }

  /** The bytes that the platform has not sent. */
  private get unsent(): number {
    return this.socket.bufferedAmount ?? 0
  }

  private onData(data: string | Uint8Array): void {
    // Fewer characters than that may still be more bytes, up to three for each.
    const size = typeof data === "string" && data.length * 3 > this.maxPayload ? utf8Length(data) : data.length
    if (size > this.maxPayload) return this.fail("too large", `more than ${this.maxPayload} bytes`)
    this.take(data)
  }

  protected send(data: string | Uint8Array, size: number): void {
    if (this.socket.readyState !== OPEN || this.closing !== undefined) return
    if (this.queue.length > 0 || this.isFull) {
      const cost = typeof data === "string" ? TEXT_OBJECTS + charactersOf(data, size) : BYTES_OBJECTS + size
      this.queue.push([data, cost])
      this.queued += cost
    } else this.transmit(data)
    if (this.queue.length > 0 || this.onWritten !== undefined) this.watch()
  }

  private transmit(data: string | Uint8Array): void {
    this.frames++
    try {
      // A typed array may be a view of shared memory, which is none here.
      this.socket.send(data as string | Uint8Array<ArrayBuffer>)
    } catch {
      // It has ended, and says so by its events.
    }
  }

  /** Looks again in the next turn, or after a pause if the peer is slow. */
  private watch(): void {
    if (this.isWatching) return
    this.isWatching = true
    const look = () => {
      this.isWatching = false
      this.onLook()
    }
    if (this.turns++ < TURNS) setImmediate(look)
    else setTimeout(look, PAUSE)
  }

  private onLook(): void {
    const before = this.unsent
    let sent = 0
    for (const [data, cost] of this.queue) {
      if (this.isFull) break
      this.queued -= cost
      sent++
      this.transmit(data)
    }
    if (sent > 0) this.queue = this.queue.slice(sent)
    if (sent > 0 || before === 0) this.turns = 0
    if (this.queue.length > 0 || (this.onWritten !== undefined && before > 0)) this.watch()
    else if (this.closing !== undefined) this.finish(this.closing.code)
    if (sent > 0 || before === 0) this.onWritten?.()
  }

  close(code?: number): void {
    if (this.receiver.isClosed === true) this.letGo()
    // The closing handshake has to be read.
    this.resume()
    if (this.closing !== undefined) return
    this.closing = { code }
    if (this.queue.length === 0) this.finish(code)
  }

  terminate(): void {
    this.drop()
    this.letGo()
  }

  protected drop(code?: number): void {
    this.queue = []
    this.queued = 0
    this.closing = { code }
    this.finish(code)
  }

  private finish(code: number | undefined): void {
    try {
      this.socket.close(code)
    } catch {
      // Some platforms accept fewer codes.
      this.socket.close()
    }
  }
}
