/**
 * The WebSocket transport: one frame per packet, binary messages as binary frames (Engine.IO
 * protocol 4, "WebSocket").
 *
 * @since 0.1.0
 */
import type { SessionCloseReason } from "../DisconnectReason.ts"
import { encodeBinaryText } from "../protocol/EnginePacket.ts"
import * as V3 from "../protocol/EnginePacketV3.ts"
import { isProtocolError } from "../protocol/ProtocolError.ts"
import type { EngineRevision } from "./EngineRequest.ts"
import { ownBytes } from "./internal/ownBytes.ts"
import type { OutboundMessage } from "./OutboundMessage.ts"
import type { Outbox } from "./Outbox.ts"
import type {
  CloseCause,
  ServerTransport,
  TransportContext,
  TransportDefinition,
  TransportSink,
  WebSocketChannel,
  WebSocketFailure,
  WebSocketReceiver
} from "./Transport.ts"

/**
 * The bytes that may wait in a socket before a volatile packet is dropped: about one write. If more
 * bytes wait, the peer is slow.
 */
const WRITABLE_UP_TO = 16 * 1024

/**
 * The bytes that a socket gets while more wait in the outbox: enough to keep a connection busy.
 */
const SOCKET_SHARE = 64 * 1024

/** The server goes away (RFC 6455, 7.4.1). */
const GOING_AWAY = 1001

const reasons: Record<WebSocketFailure["kind"], SessionCloseReason> = {
  "too large": "payload too large",
  "invalid frame": "parse error",
  overflow: "outbox overflow",
  "inbound overflow": "inbound overflow",
  error: "transport error"
}

/**
 * The form of binary messages in frames: plain, after their type (Engine.IO 3), or as base64 for
 * clients that cannot read bytes.
 */
interface FrameForm {
  readonly revision: EngineRevision
  readonly base64: boolean
}

// Shared by all connections.
const V3_BYTES: FrameForm = { revision: 3, base64: false }
const V3_BASE64: FrameForm = { revision: 3, base64: true }
const V4_BYTES: FrameForm = { revision: 4, base64: false }
const V4_BASE64: FrameForm = { revision: 4, base64: true }

const formOf = ({ base64, revision }: TransportContext): FrameForm =>
  base64 ? (revision === 3 ? V3_BASE64 : V4_BASE64) : revision === 3 ? V3_BYTES : V4_BYTES

/** Sends a binary message in the form that the client reads. */
const sendBinary = (
  channel: WebSocketChannel,
  { base64, revision }: FrameForm,
  bytes: Uint8Array,
  compress?: boolean
): void => {
  if (base64) channel.sendText(revision === 3 ? V3.encodeBinaryText(bytes) : encodeBinaryText(bytes), compress)
  else channel.sendBinary(revision === 3 ? V3.encodeBinary(bytes) : bytes, compress)
}

/**
 * A WebSocket, as the server's end of a session.
 *
 * @since 0.1.0
 * @category models
 */
export class WebSocketTransport implements ServerTransport, WebSocketReceiver {
  readonly name = "websocket"
  sink: TransportSink
  private readonly channel: WebSocketChannel
  private readonly form: FrameForm
  /** Without an outbox all data waits in the socket, and cannot be taken back. */
  outbox: Outbox | undefined
  private readonly share: number
  private closed = false

  /** @internal */
  constructor(context: TransportContext, channel: WebSocketChannel, sink: TransportSink) {
    const { maxOutbox, outboxOverflow } = context.options
    this.channel = channel
    this.sink = sink
    this.form = formOf(context)
    this.outbox = outboxOverflow === "disconnect" ? undefined : context.makeOutbox()
    this.share = Math.min(SOCKET_SHARE, maxOutbox)
    channel.receiver = this
    if (this.outbox !== undefined) channel.onWritten = () => this.onWritten()
  }

  /** Sessions stay on a WebSocket. */
  get handover(): undefined {
    return undefined
  }

  /** Its closing handshake tells the peer. */
  get isLingering(): boolean {
    return false
  }

  get isClosed(): boolean {
    return this.closed
  }

  get writable(): boolean {
    if (this.closed || (this.outbox !== undefined && !this.outbox.isEmpty)) return false
    return !this.exceeds(WRITABLE_UP_TO)
  }

  get buffered(): number {
    return this.outbox === undefined ? this.channel.buffered : this.channel.buffered + this.outbox.bytes
  }

  exceeds(bytes: number): boolean {
    if (this.buffered <= bytes) return false
    this.channel.flush?.()
    return this.buffered > bytes
  }

  get bytesReceived(): number {
    return this.channel.bytesReceived
  }

  get bytesSent(): number {
    return this.channel.bytesSent
  }

  sendPacket(packet: string): void {
    if (this.closed) return
    if (this.outbox !== undefined && this.mustWait(this.outbox)) this.outbox.offer(packet, this.channel.buffered)
    else this.channel.sendText(packet)
  }

  sendMessage(message: OutboundMessage, onDropped?: () => void): boolean {
    if (this.closed) return false
    if (this.outbox !== undefined && this.mustWait(this.outbox)) {
      return this.outbox.offer(message, this.channel.buffered, onDropped)
    }
    this.write(message)
    return true
  }

  takeOver(waiting: Outbox): void {
    if (this.outbox === undefined) return this.writeWaiting(waiting, Infinity)
    this.outbox = waiting
    this.writeWaiting(waiting, this.share)
  }

  pause(): void {
    this.channel.pause()
  }

  resume(): void {
    this.channel.resume()
  }

  close(_cause: CloseCause): void {
    if (this.closed) return
    this.closed = true
    if (this.outbox !== undefined) this.writeWaiting(this.outbox, Infinity)
    this.channel.close()
  }

  leave(): void {
    if (this.closed) return
    if (this.outbox !== undefined) this.writeWaiting(this.outbox, Infinity)
    this.channel.close(GOING_AWAY)
  }

  abort(): void {
    this.closed = true
    this.outbox?.clear()
    this.channel.terminate()
  }

  private mustWait(outbox: Outbox): boolean {
    return !outbox.isEmpty || this.exceeds(this.share - 1)
  }

  private onWritten(): void {
    const { closed, outbox } = this
    if (closed || outbox === undefined) return
    if (!outbox.isEmpty) this.writeWaiting(outbox, this.share)
    this.sink.onDrain()
  }

  /** Writes waiting messages until the socket holds `share` bytes. */
  private writeWaiting(outbox: Outbox, share: number): void {
    while (this.channel.buffered < share) {
      const waiting = outbox.shift()
      if (waiting === undefined) return
      if (typeof waiting.item === "string") this.channel.sendText(waiting.item)
      else this.write(waiting.item)
    }
  }

  private write(message: OutboundMessage): void {
    const { attachments, compress, text } = message
    // Such frames are the same for all clients.
    const isCommon = attachments === undefined || (this.form.revision === 4 && !this.form.base64)
    if (message.shared && isCommon) return this.channel.sendShared(message)
    if (text !== undefined) this.channel.sendText(text, compress)
    if (attachments !== undefined) {
      for (const attachment of attachments) sendBinary(this.channel, this.form, attachment, compress)
    }
  }

  onText(text: string): void {
    if (this.closed) return
    if (text.length === 0) return this.refuse("empty packet")
    this.sink.onPacket(text)
  }

  onBinary(bytes: Uint8Array): void {
    if (this.closed) return
    if (this.form.revision === 4) return this.sink.onBinary(ownBytes(bytes))
    const message = V3.decodeBinary(bytes)
    if (isProtocolError(message)) return this.refuse(message.message)
    this.sink.onBinary(ownBytes(message))
  }

  onPing(): void {
    if (!this.closed) this.sink.onAnswered()
  }

  onClose(failure: WebSocketFailure | undefined): void {
    this.outbox?.clear()
    if (!this.closed) {
      this.closed = true
      if (failure === undefined) this.sink.onTransportClose(this, "transport close")
      else this.sink.onTransportClose(this, reasons[failure.kind], failure.message)
    }
    this.sink.onTransportReleased(this)
  }

  private refuse(description: string): void {
    this.sink.onTransportClose(this, "parse error", description)
    this.close("fault")
  }
}

/**
 * WebSocket, for any server. Clients may open sessions over it, and upgrade to it.
 *
 * @since 0.1.0
 * @category definitions
 */
export const webSocket: TransportDefinition<WebSocketChannel> & { readonly carriage: "websocket" } = {
  name: "websocket",
  carriage: "websocket",
  open: (context, channel, sink) => new WebSocketTransport(context, channel, sink),
  upgrade: (context, channel, sink) => new WebSocketTransport(context, channel, sink)
}
