/**
 * HTTP long-polling: a GET request is held until there is something to send, POST requests bring packets in
 * (Engine.IO protocol 4, "HTTP long-polling").
 *
 * @since 0.1.0
 */
import type { SessionCloseReason } from "../DisconnectReason.ts"
import type { HttpExchange } from "./EngineRequest.ts"
import * as HandshakeError from "./HandshakeError.ts"
import { refuse } from "./internal/httpResponses.ts"
import type { PollingFormat } from "./internal/pollingFormat.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "./internal/timerWheel.ts"
import type { OutboundMessage } from "./OutboundMessage.ts"
import type { ServerTransport, TransportSink } from "./Transport.ts"

/**
 * How long a closed session waits for the poll that takes its last packets, in milliseconds.
 */
const CLOSE_TIMEOUT = 30_000

/**
 * The polls that are released at once while the client changes to a WebSocket. The answer to its probe and that to its poll
 * come by different connections: the client may have polled again before it knows that it should not.
 */
const UPGRADING_RELEASES = 4

/** How long polls beyond that are held, in milliseconds: a client that goes on polling shall not spin. */
const UPGRADING_HOLD = 100

const POST_HEADERS = { "content-type": "text/html", "cache-control": "no-store" }

/**
 * @since 0.1.0
 * @category models
 */
export interface PollingOptions {
  /** The largest request body in bytes. */
  readonly maxPayload: number
  /** The largest number of packets in one request body. */
  readonly maxPacketsPerPayload: number
}

/**
 * @since 0.1.0
 * @category models
 */
export class PollingTransport implements ServerTransport {
  readonly name = "polling"
  private readonly sink: TransportSink
  private readonly options: PollingOptions
  private readonly wheel: TimerWheel
  private readonly format: PollingFormat
  bytesReceived = 0
  bytesSent = 0
  private queue: Array<string | Uint8Array> = []
  private queued = 0
  /** Whether anything that waits may be compressed. */
  private compressible = false
  private poll: HttpExchange | undefined
  private posting = false
  private flushing = false
  private upgrading = false
  private releases = 0
  private state: "open" | "closing" | "closed" = "open"
  private timer: WheelEntry | undefined

  /** @internal */
  constructor(sink: TransportSink, options: PollingOptions, wheel: TimerWheel, format: PollingFormat) {
    this.sink = sink
    this.format = format
    this.options = options
    this.wheel = wheel
  }

  get writable(): boolean {
    return this.state === "open" && this.poll !== undefined
  }

  get buffered(): number {
    return this.queued
  }

  /** Whether the session has closed it, and the client has still to be told. */
  get lingering(): boolean {
    return this.state === "closing"
  }

  sendPacket(packet: string): void {
    if (this.state !== "open") return
    this.enqueue(packet, packet.length)
    this.flushLater()
  }

  sendMessage(message: OutboundMessage): void {
    if (this.state !== "open") return
    if (message.compress) this.compressible = true
    if (message.text !== undefined) this.enqueue(message.text, message.text.length)
    if (message.attachments !== undefined) {
      for (const attachment of message.attachments) this.enqueue(attachment, attachment.byteLength)
    }
    this.flushLater()
  }

  sendBinary(bytes: Uint8Array): void {
    if (this.state !== "open") return
    this.enqueue(bytes, bytes.byteLength)
    this.flushLater()
  }

  /** Handles a request of the session. */
  onRequest(exchange: HttpExchange): void {
    switch (exchange.request.method) {
      case "GET":
        return this.onPoll(exchange)
      case "POST":
        return this.onPost(exchange)
      default:
        exchange.respond(500, {}, "")
    }
  }

  /** Releases the held poll: the client pauses polling only when no poll is under way. */
  beginUpgrade(): void {
    this.upgrading = true
    this.releases = 0
    this.releasePoll()
  }

  /** The client stays with polling after all. */
  cancelUpgrade(): void {
    this.upgrading = false
  }

  /** Ends the transport in favour of another one, and hands over what was not sent. */
  finishUpgrade(): ReadonlyArray<string | Uint8Array> {
    const rest = this.queue
    this.queue = []
    this.queued = 0
    this.releasePoll()
    this.end()
    return rest
  }

  close(): void {
    if (this.state !== "open") return
    this.state = "closing"
    this.after(CLOSE_TIMEOUT, () => this.end())
    if (this.poll !== undefined) this.flushClosing()
  }

  abort(): void {
    if (this.state === "closed") return
    const poll = this.poll
    this.poll = undefined
    if (poll !== undefined) this.respond(poll, ["1"], false)
    this.end()
  }

  /** The client has said that it goes: its held poll is released, nothing more is sent. */
  closeByPeer(): void {
    if (this.state === "closed") return
    this.queue = []
    this.queued = 0
    this.releasePoll()
    this.end()
  }

  private onPoll(exchange: HttpExchange): void {
    if (this.state === "closed") return refuse(exchange, HandshakeError.make(1, "the session has ended"))
    if (this.poll !== undefined) {
      exchange.respond(400, {}, "")
      return this.fail("transport error", "overlap of two polls")
    }
    this.poll = exchange
    exchange.onAbort(() => {
      if (this.poll !== exchange) return
      this.poll = undefined
      this.fail("transport error", "a poll was aborted")
    })
    if (this.state === "closing") this.flushClosing()
    else if (this.queue.length > 0) this.flush()
    else if (this.upgrading) {
      if (++this.releases <= UPGRADING_RELEASES) this.releasePoll()
      else this.after(UPGRADING_HOLD, () => this.upgrading && this.releasePoll())
    }
  }

  private onPost(exchange: HttpExchange): void {
    if (this.state === "closed") return refuse(exchange, HandshakeError.make(1, "the session has ended"))
    if (this.posting) {
      exchange.respond(400, {}, "")
      return this.fail("transport error", "overlap of two posts")
    }
    this.posting = true
    exchange.readBody(
      this.options.maxPayload,
      (body) => {
        this.posting = false
        this.bytesReceived += body.size
        const error = this.format.decode(
          body,
          exchange.request,
          { maxPackets: this.options.maxPacketsPerPayload },
          // Of a session that is closed here the client has only to say that it knows, or goes itself.
          (packet) => (this.state === "closing" && packet === "1" ? this.closeByPeer() : this.sink.onPacket(packet)),
          (bytes) => this.sink.onBinary(bytes)
        )
        if (error !== undefined) this.fail("parse error", error.message)
        exchange.respond(200, POST_HEADERS, "ok")
      },
      (failure) => {
        this.posting = false
        if (failure === "too large") exchange.respond(413, { connection: "close" }, "")
        else this.fail("transport error", "a post was aborted")
      }
    )
  }

  private fail(reason: SessionCloseReason, description: string): void {
    if (this.state === "open") this.sink.onTransportClose(this, reason, description)
    this.abort()
  }

  private enqueue(item: string | Uint8Array, size: number): void {
    this.queue.push(item)
    this.queued += size
  }

  private flushLater(): void {
    if (this.poll === undefined || this.flushing) return
    this.flushing = true
    // What is sent within one turn leaves as one payload.
    const { defer = queueMicrotask } = this.poll
    defer(() => {
      this.flushing = false
      if (this.poll !== undefined && this.queue.length > 0) this.flush()
    })
  }

  private flush(): void {
    const poll = this.poll!
    const packets = this.queue
    const compress = this.compressible
    this.poll = undefined
    this.queue = []
    this.queued = 0
    this.compressible = false
    this.respond(poll, packets, compress)
  }

  private respond(poll: HttpExchange, packets: ReadonlyArray<string | Uint8Array>, compress: boolean): void {
    const { body, contentType } = this.format.encode(packets, poll.request)
    const headers = { "content-type": contentType, "cache-control": "no-store" }
    this.bytesSent += poll.respond(200, headers, body, compress)
  }

  /**
   * Messages first, the close packet with the next poll: clients handle a close packet before the messages that stand in the
   * same payload, and a DISCONNECT among them would be lost.
   */
  private flushClosing(): void {
    if (this.queue.length > 0) return this.flush()
    this.queue.push("1")
    this.flush()
    this.end()
  }

  private releasePoll(): void {
    if (this.poll === undefined) return
    if (this.queue.length === 0) this.queue.push("6")
    this.flush()
  }

  private after(millis: number, action: () => void): void {
    this.stopTimer()
    this.timer = { bucket: IDLE, onDeadline: action }
    this.wheel.schedule(this.timer, millis)
  }

  private stopTimer(): void {
    if (this.timer !== undefined) this.wheel.cancel(this.timer)
    this.timer = undefined
  }

  private end(): void {
    if (this.state === "closed") return
    this.state = "closed"
    this.queue = []
    this.queued = 0
    this.stopTimer()
    this.sink.onTransportReleased(this)
  }
}
