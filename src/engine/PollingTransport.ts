/**
 * HTTP long-polling: a GET request is held until there is something to send; POST requests bring
 * packets in (Engine.IO protocol 4, "HTTP long-polling").
 *
 * @since 0.1.0
 */
import type { SessionCloseReason } from "../DisconnectReason.ts"
import type { HttpExchange } from "./EngineRequest.ts"
import * as HandshakeError from "./HandshakeError.ts"
import { microtask } from "./internal/microtask.ts"
import { format3, format4, type PollingFormat } from "./internal/pollingFormat.ts"
import { Posts } from "./internal/posts.ts"
import { UnreadResponses } from "./internal/unreadResponses.ts"
import type { OutboundMessage } from "./OutboundMessage.ts"
import { type Outbox, packetsOf } from "./Outbox.ts"
import { IDLE, type TimerWheel, type WheelEntry } from "./TimerWheel.ts"
import type {
  CloseCause,
  Handover,
  ServerTransport,
  TransportContext,
  TransportDefinition,
  TransportSink
} from "./Transport.ts"

/**
 * The time for which a closed session waits for the poll that takes its last packets, in
 * milliseconds.
 */
const CLOSE_TIMEOUT = 30_000

/**
 * The number of polls that are released at once during an upgrade. The answers to the probe and to
 * the poll take different connections, so the client may have polled again before it knows that it
 * should not.
 */
const UPGRADING_RELEASES = 4

/**
 * The time for which later polls are held, in milliseconds, so that a client that goes on polling
 * does not spin.
 */
const UPGRADING_HOLD = 100

/**
 * The number of messages in one response. Many messages leave with several polls, so that other
 * clients have their turns between them.
 */
const RESPONSE_MESSAGES = 5_000

/** The state of a poll-based transport. */
type State =
  | "open"
  /** The server has closed it, and the client has not taken the last packets. */
  | "closing"
  /** The same for a drain: packets of requests that are on their way are still taken. */
  | "leaving"
  /** A drain has closed it, and the client knows. Packets that are on their way are still taken. */
  | "told"
  /** It has ended. The client may not have read the last responses. */
  | "closed"
  /** It holds no resources. */
  | "released"

/**
 * Long-polling, as the server's end of a session.
 *
 * @since 0.1.0
 * @category models
 */
export class PollingTransport implements ServerTransport, Handover {
  readonly name = "polling"
  sink: TransportSink
  private readonly wheel: TimerWheel
  private readonly format: PollingFormat
  bytesSent = 0
  readonly outbox: Outbox
  private readonly unread: UnreadResponses
  private readonly posts: Posts
  private poll: HttpExchange | undefined
  private flushing = false
  /** The number of polls that were released since an upgrade began, if there is one. */
  private releases: number | undefined
  private state: State = "open"
  private timer: WheelEntry | undefined

  /** @internal */
  constructor({ base64, options, revision, wheel }: TransportContext, sink: TransportSink, outbox: Outbox) {
    this.sink = sink
    this.wheel = wheel
    this.format = revision === 4 ? format4 : format3(base64)
    this.outbox = outbox
    this.posts = new Posts(this, options, this.format)
    this.unread = new UnreadResponses(wheel, options.pingTimeout, () => {
      if (this.state === "closed") this.release()
      else this.sink.onDrain()
    })
  }

  get writable(): boolean {
    return this.state === "open" && this.poll !== undefined
  }

  get bytesReceived(): number {
    return this.posts.bytes
  }

  get buffered(): number {
    return this.outbox.bytes + this.unread.bytes
  }

  exceeds(bytes: number): boolean {
    return this.buffered > bytes
  }

  get isLingering(): boolean {
    return this.state === "closing" || this.state === "leaving"
  }

  private get isEnded(): boolean {
    return this.state === "closed" || this.state === "released"
  }

  get handover(): Handover {
    return this
  }

  /** Clients never change to polling, so there are no messages to take over. */
  takeOver(_waiting: Outbox): void {}

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
    this.posts.arrivals.pause()
  }

  resume(): void {
    this.posts.arrivals.resume()
  }

  onRequest(exchange: HttpExchange): void {
    switch (exchange.request.method) {
      case "GET":
        return this.onPoll(exchange)
      case "POST":
        if (!this.isEnded) return this.posts.take(exchange)
        return HandshakeError.respond(exchange, HandshakeError.make(1, "the session has ended"))
      default:
        exchange.respond(500, {}, "")
    }
  }

  /** Releases the held poll: the client waits until it has no open poll. */
  begin(): void {
    this.releases = 0
    this.releasePoll()
  }

  cancel(): void {
    this.releases = undefined
  }

  get isBehind(): boolean {
    return this.posts.arrivals.isPending
  }

  whenHandled(callback: () => void): void {
    this.posts.arrivals.drain(callback)
  }

  finish(): void {
    const { poll } = this
    this.poll = undefined
    if (poll !== undefined) this.respond(poll, ["6"], false)
    // The outbox belongs to the other transport now.
    if (!this.isEnded) this.stop()
    // A client that has upgraded has read its last poll.
    this.unread.destroy()
  }

  close(cause: CloseCause): void {
    if (cause === "peer") return this.closeByPeer()
    // A client that breaks the protocol may never poll again.
    if (cause === "fault") return this.abort()
    if (this.state !== "open") return
    this.state = "closing"
    this.posts.arrivals.stopPausing()
    this.after(CLOSE_TIMEOUT, () => this.end())
    if (this.poll !== undefined) this.flushClosing()
  }

  leave(): void {
    if (this.state !== "open") return
    this.state = "leaving"
    if (this.poll !== undefined) this.flushClosing()
  }

  abort(): void {
    if (this.isEnded) return this.unread.destroy()
    // The client has its last packets, or takes them at the moment.
    if (this.state === "told") return this.end()
    const poll = this.poll
    this.poll = undefined
    if (poll !== undefined) this.respond(poll, ["1"], false)
    this.unread.destroy()
    this.end()
  }

  /**
   * The client has sent a close packet: its held poll is released, and no more packets are sent.
   */
  private closeByPeer(): void {
    if (this.isEnded) return
    this.outbox.clear()
    this.releasePoll()
    this.unread.destroy()
    this.end()
  }

  private onPoll(exchange: HttpExchange): void {
    if (this.isEnded || this.state === "told")
      return HandshakeError.respond(exchange, HandshakeError.make(1, "the session has ended"))
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
    exchange.onRelease?.(() => {
      if (this.poll === exchange) this.releasePoll()
    })
    if (this.isLingering) this.flushClosing()
    else if (!this.outbox.isEmpty) this.flush()
    else if (this.releases !== undefined) {
      if (++this.releases <= UPGRADING_RELEASES) this.releasePoll()
      else this.after(UPGRADING_HOLD, () => this.releases !== undefined && this.releasePoll())
    }
  }

  /** Takes a packet of a POST request. @internal */
  receive(packet: string | Uint8Array): void {
    if (typeof packet !== "string") this.sink.onBinary(packet)
    // Once the server has closed the session, the only packet it accepts is the client's own close.
    else if (packet === "1" && this.state === "closing") this.closeByPeer()
    else this.sink.onPacket(packet)
  }

  /** @internal */
  fail(reason: SessionCloseReason, description: string): void {
    if (this.state === "open") this.sink.onTransportClose(this, reason, description)
    this.abort()
  }

  private flushLater(): void {
    if (this.poll === undefined || this.flushing) return
    this.flushing = true
    // All packets of one turn leave as one payload.
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
    for (const waiting of this.outbox.take(RESPONSE_MESSAGES)) {
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
   * Sends the messages, and the close packet with the next poll: clients handle a close packet
   * before the messages of the same payload, so a DISCONNECT among them would be lost.
   */
  private flushClosing(): void {
    if (!this.outbox.isEmpty) return this.flush()
    this.outbox.offer("1", 0)
    this.flush()
    if (this.state !== "leaving") return this.end()
    this.state = "told"
    this.sink.onTransportClose(this, "transport close")
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

  /** Ends; waiting data is lost. */
  private end(): void {
    if (this.isEnded) return
    this.outbox.clear()
    this.stop()
  }

  private stop(): void {
    this.state = "closed"
    this.posts.end()
    this.stopTimer()
    this.release()
  }

  private release(): void {
    if (this.state !== "closed" || !this.unread.isEmpty) return
    this.state = "released"
    this.sink.onTransportReleased(this)
  }
}

/**
 * Long-polling, for any server. By default sessions start with it, and may change to another
 * transport.
 *
 * @since 0.1.0
 * @category definitions
 */
export const polling: TransportDefinition<HttpExchange> & { readonly carriage: "request" } = {
  name: "polling",
  carriage: "request",
  open: (context, _exchange, sink) => new PollingTransport(context, sink, context.makeOutbox())
}
