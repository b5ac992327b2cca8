/**
 * What a session needs of a transport, and what a transport tells its session.
 *
 * @since 0.1.0
 */
import type { SessionCloseReason } from "../DisconnectReason.ts"
import type { OutboundMessage } from "./OutboundMessage.ts"

/**
 * The transports' names, as they stand in the `transport` query parameter.
 *
 * @since 0.1.0
 * @category models
 */
export type TransportName = "polling" | "websocket"

/**
 * The server's end of a transport. Its methods are synchronous and never throw, as the message path needs them.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerTransport {
  readonly name: TransportName
  /** Whether what is sent now leaves within this turn of the event loop. */
  readonly writable: boolean
  /** The number of bytes that wait to be taken by the peer. */
  readonly buffered: number
  /** Whether more than so many bytes wait, once the peer has been given what only waits to leave with more. */
  exceeds(bytes: number): boolean
  /** The bytes that have come in, and that have been sent; see `EngineMetrics`. */
  readonly bytesReceived: number
  readonly bytesSent: number
  /** Sends one Engine.IO packet in its text form. */
  sendPacket(packet: string): void
  /** Sends a message, if its outbox has room for it. Whether it has; `onDropped` is called if not, or not any more later. */
  sendMessage(message: OutboundMessage, onDropped?: () => void): boolean
  /** Nothing comes in until `resume`: what has come by then waits, and the rest is left where it is. */
  pause(): void
  resume(): void
  /** Sends what is buffered, tells the peer, and closes. */
  close(): void
  /** Closes at once; what is buffered is lost. */
  abort(): void
}

/**
 * Where a transport's packets go: the session.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransportSink {
  /** One Engine.IO packet in its text form, not empty. */
  onPacket(packet: string): void
  /** A binary message. */
  onBinary(bytes: Uint8Array): void
  /** The peer asks for an answer of the transport's own, which has been given: a ping of WebSocket's. */
  onAnswered(): void
  /** Some of what was waiting has been taken by the peer. */
  onDrain(): void
  /** The transport has ended, by the peer or by a failure. Called at most once. */
  onTransportClose(transport: ServerTransport, reason: SessionCloseReason, description?: string): void
  /** The transport has given back everything it held, whoever closed it. Called exactly once. */
  onTransportReleased(transport: ServerTransport): void
}

/**
 * An accepted WebSocket, as a platform brings it. Its methods do not throw; after the end they do nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebSocketChannel {
  readonly buffered: number
  /** The bytes that its connection has read and written since the channel is there. */
  readonly bytesReceived: number
  readonly bytesSent: number
  /** Sends a text message, compressed only if `compress` is not false and the connection does compress. */
  sendText(text: string, compress?: boolean): void
  sendBinary(bytes: Uint8Array, compress?: boolean): void
  /** Sends a message of many recipients; may keep its frames in `message.prepared`. */
  sendShared(message: OutboundMessage): void
  /** Writes what waits to leave with more: then `buffered` is what the peer does not take. Default: nothing waits so. */
  flush?(): void
  /**
   * If it is set, called whenever something of what was sent since has been taken, and `buffered` is less. Sessions that keep what
   * waits in an outbox of their own send the next of it then.
   */
  onWritten: (() => void) | undefined
  /** Stops the frames, those that have been read already included, until `resume`. An end that is noticed meanwhile is told. */
  pause(): void
  /** Goes on, not before this turn of the event loop is over. */
  resume(): void
  /** Starts the closing handshake behind what is buffered. */
  close(): void
  /** Drops the connection. */
  terminate(): void
  /** Where frames go from now on. */
  receiver: WebSocketReceiver
}

/**
 * What a WebSocket brings in.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebSocketReceiver {
  onText(text: string): void
  onBinary(bytes: Uint8Array): void
  /** A ping has been answered, behind what is buffered. Default: nothing is done about it. */
  onPing?(): void
  /** The connection is gone. Called exactly once; `failure` says what was wrong, if anything was. */
  onClose(failure: WebSocketFailure | undefined): void
}

/**
 * @since 0.1.0
 * @category models
 */
export interface WebSocketFailure {
  /** `overflow`: the peer does not take what it has asked for. */
  readonly kind: "too large" | "invalid frame" | "overflow" | "error"
  readonly message: string
}
