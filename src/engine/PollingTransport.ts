/**
 * HTTP long-polling: a GET request is held until there is something to send, POST requests bring packets in
 * (Engine.IO protocol 4, "HTTP long-polling").
 *
 * @since 0.1.0
 */
import type { SessionCloseReason } from "../DisconnectReason.ts"
import type { HttpExchange } from "./EngineRequest.ts"
import * as HandshakeError from "./HandshakeError.ts"
import { Arrivals } from "./internal/arrivals.ts"
import { refuse } from "./internal/httpResponses.ts"
import { microtask } from "./internal/microtask.ts"
import { type Outbox, packetsOf } from "./internal/outbox.ts"
import type { PollingFormat } from "./internal/pollingFormat.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "./TimerWheel.ts"
import { UnreadResponses } from "./internal/unreadResponses.ts"
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
  /** How long a client may take to read a response, in milliseconds. */
  readonly pingTimeout: number
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
  private readonly outbox: Outbox
  private readonly unread: UnreadResponses
  private readonly arrivals: Arrivals
  /** Stands for the session where it is remembered that it has spoken, which may be for longer than it lives. */
  private readonly voice = {}
  private poll: HttpExchange | undefined
  /** A request that brings packets: it is answered when all of them are handled, and until then the client sends no other. */
  private post: HttpExchange | undefined
  /** Whether its body has come. */
  private posted = false
  private flushing = false
  private upgrading = false
  private upgraded = false
  private releases = 0
  private state: "open" | "closing" | "closed" = "open"
  private timer: WheelEntry | undefined
  private isReleased = false

  /** @internal */
  constructor(sink: TransportSink, options: PollingOptions, wheel: TimerWheel, format: PollingFormat, outbox: Outbox) {
    this.sink = sink
    this.format = format
    this.options = options
    this.wheel = wheel
    this.outbox = outbox
    this.arrivals = new Arrivals((packet) => this.receive(packet))
    this.unread = new UnreadResponses(wheel, options.pingTimeout, () => {
      if (this.state === "closed") this.release()
      else this.sink.onDrain()
    })
  }

  get writable(): boolean {
    return this.state === "open" && this.poll !== undefined
  }

  get buffered(): number {
    return this.outbox.bytes + this.unread.bytes
  }

  exceeds(bytes: number): boolean {
    return this.buffered > bytes
  }

  /** Whether the session has closed it, and the client has still to be told. */
  get lingering(): boolean {
    return this.state === "closing"
  }

  sendPacket(packet: string): void {
    if (this.state !== "open") return
    this.outbox.offer(packet, 0)
    this.flushLater()
  }

  sendMessage(message: OutboundMessage, onDropped?: () => void): boolean {
    if (this.state !== "open") return false
    const isTaken = this.outbox.offer(message, this.unread.bytes, onDropped)
    this.flushLater()
    return isTaken
  }

  pause(): void {
    this.arrivals.pause()
  }

  resume(): void {
    this.arrivals.resume()
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

  /** Whether requests have brought something that is not handled yet. */
  get isBehind(): boolean {
    return this.arrivals.isPending
  }

  /** Calls back when everything is handled that requests have brought: it comes before what another transport brings. */
  whenHandled(callback: () => void): void {
    this.arrivals.drain(callback)
  }

  /** Ends the transport in favour of another one, to which what was not sent is left. */
  finishUpgrade(): void {
    const { poll } = this
    this.poll = undefined
    if (poll !== undefined) this.respond(poll, ["6"], false)
    this.upgraded = true
    // A client that has changed over has read its last poll.
    this.unread.destroy()
    this.end()
  }

  close(): void {
    if (this.state !== "open") return
    this.state = "closing"
    this.arrivals.stopPausing()
    this.after(CLOSE_TIMEOUT, () => this.end())
    if (this.poll !== undefined) this.flushClosing()
  }

  abort(): void {
    if (this.state === "closed") return this.unread.destroy()
    const poll = this.poll
    this.poll = undefined
    if (poll !== undefined) this.respond(poll, ["1"], false)
    this.unread.destroy()
    this.end()
  }

  /** The client has said that it goes: its held poll is released, nothing more is sent. */
  closeByPeer(): void {
    if (this.state === "closed") return
    this.outbox.clear()
    this.releasePoll()
    this.unread.destroy()
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
    else if (!this.outbox.isEmpty) this.flush()
    else if (this.upgrading) {
      if (++this.releases <= UPGRADING_RELEASES) this.releasePoll()
      else this.after(UPGRADING_HOLD, () => this.upgrading && this.releasePoll())
    }
  }

  private onPost(exchange: HttpExchange): void {
    if (this.state === "closed") return refuse(exchange, HandshakeError.make(1, "the session has ended"))
    if (this.post !== undefined) {
      exchange.respond(400, {}, "")
      return this.fail("transport error", "overlap of two posts")
    }
    this.post = exchange
    this.posted = false
    exchange.readBody(
      this.options.maxPayload,
      (body) => {
        if (this.post !== exchange) return refuse(exchange, HandshakeError.make(1, "the session has ended"))
        this.posted = true
        this.bytesReceived += body.size
        exchange.speak?.(this.voice, body.size)
        const packets: Array<string | Uint8Array> = []
        const add = (packet: string | Uint8Array) => void packets.push(packet)
        const limits = { maxPackets: this.options.maxPacketsPerPayload }
        const error = this.format.decode(body, exchange.request, limits, add, add)
        // Those before the first that is none are handled.
        const onHandled = () => {
          if (error !== undefined) this.fail("parse error", error.message)
          this.accept()
        }
        this.arrivals.take(packets, exchange.makePacer && (() => exchange.makePacer!(this.voice)), onHandled)
        if (this.post === exchange) exchange.onAbort(() => this.fail("transport error", "a post was aborted"))
      },
      (failure) => {
        if (this.post !== exchange) return
        this.post = undefined
        if (failure === "too large") exchange.respond(413, { connection: "close" }, "")
        else this.fail("transport error", "a post was aborted")
      }
    )
  }

  /** Answers the request whose packets were handled, or will not be. */
  private accept(): void {
    const { post } = this
    this.post = undefined
    post?.respond(200, POST_HEADERS, "ok")
  }

  private receive(packet: string | Uint8Array): void {
    if (typeof packet !== "string") this.sink.onBinary(packet)
    // Of a session that is closed here the client has only to say that it knows, or goes itself.
    else if (packet === "1" && this.state === "closing") this.closeByPeer()
    else this.sink.onPacket(packet)
  }

  private fail(reason: SessionCloseReason, description: string): void {
    if (this.state === "open") this.sink.onTransportClose(this, reason, description)
    this.abort()
  }

  private flushLater(): void {
    if (this.poll === undefined || this.flushing) return
    this.flushing = true
    // What is sent within one turn leaves as one payload.
    const { defer = microtask } = this.poll
    defer(() => {
      this.flushing = false
      if (this.poll !== undefined && !this.outbox.isEmpty) this.flush()
    })
  }

  private flush(): void {
    const poll = this.poll!
    this.poll = undefined
    const packets: Array<string | Uint8Array> = []
    let compressible = false
    for (const waiting of this.outbox.takeAll()) {
      packets.push(...packetsOf(waiting))
      if (typeof waiting.item !== "string" && waiting.item.compress) compressible = true
    }
    this.respond(poll, packets, compressible)
    this.sink.onDrain()
  }

  private respond(poll: HttpExchange, packets: ReadonlyArray<string | Uint8Array>, compress: boolean): void {
    const { body, contentType } = this.format.encode(packets, poll.request)
    const headers = { "content-type": contentType, "cache-control": "no-store" }
    const size = poll.respond(200, headers, body, compress)
    this.bytesSent += size
    this.unread.add(poll, size)
  }

  /**
   * Messages first, the close packet with the next poll: clients handle a close packet before the messages that stand in the
   * same payload, and a DISCONNECT among them would be lost.
   */
  private flushClosing(): void {
    if (!this.outbox.isEmpty) return this.flush()
    this.outbox.offer("1", 0)
    this.flush()
    this.end()
  }

  private releasePoll(): void {
    if (this.poll === undefined) return
    if (this.outbox.isEmpty) this.outbox.offer("6", 0)
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
    if (!this.upgraded) this.outbox.clear()
    this.arrivals.drop()
    if (this.posted) this.accept()
    // A body that has not come by now may never come.
    else this.post?.destroy?.()
    this.post = undefined
    this.stopTimer()
    this.release()
  }

  private release(): void {
    if (this.isReleased || !this.unread.isEmpty) return
    this.isReleased = true
    this.sink.onTransportReleased(this)
  }
}
