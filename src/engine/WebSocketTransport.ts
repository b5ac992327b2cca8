/**
 * The WebSocket transport: one frame per packet, binary messages as binary frames (Engine.IO protocol 4, "WebSocket").
 *
 * @since 0.1.0
 */
import type { SessionCloseReason } from "../DisconnectReason.ts"
import type { OutboundMessage } from "./OutboundMessage.ts"
import type {
  ServerTransport,
  TransportSink,
  WebSocketChannel,
  WebSocketFailure,
  WebSocketReceiver
} from "./Transport.ts"

/**
 * The bytes that may wait in a socket before a volatile packet is rather dropped: about one write's worth, more means that
 * the peer is behind.
 */
const WRITABLE_BELOW = 16 * 1024

const reasons: Record<WebSocketFailure["kind"], SessionCloseReason> = {
  "too large": "payload too large",
  "invalid frame": "parse error",
  error: "transport error"
}

/**
 * @since 0.1.0
 * @category models
 */
export class WebSocketTransport implements ServerTransport, WebSocketReceiver {
  readonly name = "websocket"
  private readonly channel: WebSocketChannel
  private readonly sink: TransportSink
  private closed = false

  constructor(channel: WebSocketChannel, sink: TransportSink) {
    this.channel = channel
    this.sink = sink
    channel.receiver = this
  }

  get writable(): boolean {
    return !this.closed && this.channel.buffered < WRITABLE_BELOW
  }

  get buffered(): number {
    return this.channel.buffered
  }

  sendPacket(packet: string): void {
    if (!this.closed) this.channel.sendText(packet)
  }

  sendMessage(message: OutboundMessage): void {
    if (this.closed) return
    if (message.shared) return this.channel.sendShared(message)
    if (message.text !== undefined) this.channel.sendText(message.text)
    if (message.attachments !== undefined) {
      for (const attachment of message.attachments) this.channel.sendBinary(attachment)
    }
  }

  sendBinary(bytes: Uint8Array): void {
    if (!this.closed) this.channel.sendBinary(bytes)
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.channel.close()
  }

  abort(): void {
    this.closed = true
    this.channel.terminate()
  }

  onText(text: string): void {
    if (this.closed) return
    if (text.length === 0) return this.refuse("empty packet")
    this.sink.onPacket(text)
  }

  onBinary(bytes: Uint8Array): void {
    if (!this.closed) this.sink.onBinary(bytes)
  }

  onClose(failure: WebSocketFailure | undefined): void {
    if (!this.closed) {
      this.closed = true
      if (failure === undefined) this.sink.onTransportClose(this, "transport close")
      else this.sink.onTransportClose(this, reasons[failure.kind], failure.message)
    }
    this.sink.onTransportReleased(this)
  }

  private refuse(description: string): void {
    this.sink.onTransportClose(this, "parse error", description)
    this.close()
  }
}
