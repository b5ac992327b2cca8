import type { SessionCloseReason } from "../../DisconnectReason.ts"
import type { HttpExchange } from "../EngineRequest.ts"
import * as HandshakeError from "../HandshakeError.ts"
import type { TransportOptions } from "../Transport.ts"
import { Arrivals } from "./arrivals.ts"
import type { PollingFormat } from "./pollingFormat.ts"

const HEADERS = { "content-type": "text/html", "cache-control": "no-store" }

/** The transport that the packets are for. */
interface Receiver {
  receive(packet: string | Uint8Array): void
  fail(reason: SessionCloseReason, description: string): void
}

/**
 * The requests of a session that bring packets, one after the other: each is answered once its
 * packets are handled.
 */
export class Posts {
  /** The bytes of all bodies. */
  bytes = 0
  readonly arrivals: Arrivals
  private readonly receiver: Receiver
  private readonly options: TransportOptions
  private readonly format: PollingFormat
  /** Represents the session where turns are counted. That record may outlive the session. */
  private readonly sender = {}
  /** The request whose body has not come yet. Then no packets are being handled. */
  private reading: HttpExchange | undefined
  /** The request whose packets are being handled. */
  private handling: HttpExchange | undefined

  constructor(receiver: Receiver, options: TransportOptions, format: PollingFormat) {
    this.receiver = receiver
    this.options = options
    this.format = format
    this.arrivals = new Arrivals((packet) => receiver.receive(packet))
  }

  take(exchange: HttpExchange): void {
    if (this.reading !== undefined || this.handling !== undefined) {
      exchange.respond(400, {}, "")
      return this.receiver.fail("transport error", "overlap of two posts")
    }
    this.reading = exchange
    exchange.readBody(
      this.options.maxPayload,
      (body) => {
        if (this.reading !== exchange)
          return HandshakeError.respond(exchange, HandshakeError.make(1, "the session has ended"))
        this.reading = undefined
        this.handling = exchange
        this.bytes += body.size
        exchange.countReceived?.(this.sender, body.size)
        const packets: Array<string | Uint8Array> = []
        const add = (packet: string | Uint8Array) => void packets.push(packet)
        const limits = { maxPackets: this.options.maxPacketsPerPayload }
        const makePacer = exchange.makePacer && (() => exchange.makePacer!(this.sender))
        const decode = () => this.format.decode(body, exchange.request, limits, add, add)
        const error = this.arrivals.decode(body.size, makePacer, decode)
        // Packets before the first malformed one are handled.
        const onHandled = () => {
          if (error !== undefined) this.receiver.fail("parse error", error.message)
          this.accept()
        }
        this.arrivals.take(packets, makePacer, onHandled)
        if (this.handling === exchange) {
          exchange.onAbort(() => this.receiver.fail("transport error", "a post was aborted"))
        }
      },
      (failure) => {
        if (this.reading !== exchange) return
        this.reading = undefined
        if (failure === "too large") exchange.respond(413, { connection: "close" }, "")
        else this.receiver.fail("transport error", "a post was aborted")
      }
    )
  }

  /** The session has ended: nothing is handled any more. */
  end(): void {
    this.arrivals.drop()
    this.accept()
    // The body may never come.
    this.reading?.destroy?.()
    this.reading = undefined
  }

  /** Answers the request whose packets are handled, or will never be handled. */
  private accept(): void {
    const { handling } = this
    this.handling = undefined
    handling?.respond(200, HEADERS, "ok")
  }
}
