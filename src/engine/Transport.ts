/**
 * Transports: the interface between a session and the carrier of its packets.
 *
 * @since 0.1.0
 */
import type * as Scope from "effect/Scope"

import type { SessionCloseReason } from "../DisconnectReason.ts"
import type { EngineRevision, HttpExchange } from "./EngineRequest.ts"
import type { OutboundMessage } from "./OutboundMessage.ts"
import type { Outbox, OutboxLimits } from "./Outbox.ts"
import type { TimerWheel } from "./TimerWheel.ts"

/**
 * The names of the transports that this library's client speaks, as in the `transport` query
 * parameter. A server may have others: see `Transports`.
 *
 * @since 0.1.0
 * @category models
 */
export type TransportName = "polling" | "websocket"

/**
 * The reason why a session closes its transport.
 *
 * - `server`: the server ends the session. All waiting data is sent first.
 * - `peer`: the client has sent a close packet. Nothing more is sent.
 * - `fault`: the client breaks the protocol, or the session has failed. Nothing is kept for a
 *   client that may never come back.
 *
 * @since 0.1.0
 * @category models
 */
export type CloseCause = "server" | "peer" | "fault"

/**
 * The server's end of a transport. Its methods are synchronous and never throw, to keep the message
 * path fast.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerTransport {
  /** The name of its definition. */
  readonly name: string
  /** The receiver of its packets: the session, or an upgrade in progress. */
  sink: TransportSink
  /** Whether a message that is sent now leaves within this turn of the event loop. */
  readonly writable: boolean
  /** The bytes that wait for the peer to read them, with the memory that holds them. */
  readonly buffered: number
  /**
   * Whether more than `bytes` bytes wait, after data that was only held back for batching has been
   * sent.
   */
  exceeds(bytes: number): boolean
  /** The bytes that have come in, and those that have been sent; see `EngineMetrics`. */
  readonly bytesReceived: number
  readonly bytesSent: number
  /** The outbox of messages that may be dropped. If it is missing, all data waits elsewhere. */
  readonly outbox: Outbox | undefined
  /** Sends one Engine.IO packet in its text form. */
  sendPacket(packet: string): void
  /**
   * Sends a message. Returns false if it was dropped because its outbox has no capacity.
   * `onDropped` is then called, and also if the message is dropped later.
   */
  sendMessage(message: OutboundMessage, onDropped?: () => void): boolean
  /**
   * Stops reading until `resume`: packets that have come by then wait, and the rest is not read.
   */
  pause(): void
  resume(): void
  /**
   * Handles another request of its session. Missing if the transport has a connection of its own.
   */
  onRequest?(exchange: HttpExchange): void
  /** Changes to another transport. Missing if sessions stay on this one. */
  readonly handover: Handover | undefined
  /**
   * Becomes the session's transport after an upgrade. It first sends the waiting messages from the
   * outbox of the previous transport. It may keep that outbox as its own.
   */
  takeOver(waiting: Outbox): void
  /**
   * Whether the server has closed it, and the peer was not told yet: an upgrade may still do that.
   */
  readonly isLingering: boolean
  /** Closes, and tells the peer. */
  close(cause: CloseCause): void
  /**
   * Closes as with cause `server`, for a drain: packets that the peer had sent before it knew still
   * come, until it has closed its side or `abort` is called. The transport calls `onTransportClose`
   * when the peer knows, and `onTransportReleased` as ever. If it is missing, `close` is called,
   * and the session ends at once.
   */
  leave?(): void
  /** Closes at once; waiting data is lost. */
  abort(): void
  /**
   * The scope of its resources, if it has some. `TransportContext.fork` makes it, and the session
   * closes it once the transport has released everything.
   */
  readonly scope?: Scope.Closeable
}

/**
 * The part of a transport that is used when its client upgrades to another one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handover {
  /**
   * The client has probed the new transport, and waits until nothing is in progress on this one.
   */
  begin(): void
  /** The client stays with this transport. */
  cancel(): void
  /** Whether received packets are still unhandled. */
  readonly isBehind: boolean
  /** Calls back when every received packet is handled, whether reading is paused or not. */
  whenHandled(callback: () => void): void
  /** The session has changed: this transport ends. Its outbox now belongs to the new one. */
  finish(): void
}

/**
 * The receiver of a transport's packets.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransportSink {
  /** One Engine.IO packet in its text form, not empty. */
  onPacket(packet: string): void
  /** A binary message. */
  onBinary(bytes: Uint8Array): void
  /** The transport has answered a request of its own protocol, such as a WebSocket ping. */
  onAnswered(): void
  /** The peer has read some of the waiting data. */
  onDrain(): void
  /** The transport has ended, because of the peer or a failure. Called at most once. */
  onTransportClose(transport: ServerTransport, reason: SessionCloseReason, description?: string): void
  /** The transport has released all resources. Called exactly once, at the very end. */
  onTransportReleased(transport: ServerTransport): void
}

/**
 * The options of the server that transports need; durations in milliseconds.
 *
 * @since 0.1.0
 * @category options
 */
export interface TransportOptions extends OutboxLimits {
  /** The largest message in bytes. */
  readonly maxPayload: number
  /** The largest number of packets in one request body. */
  readonly maxPacketsPerPayload: number
  /** The time limit for a client to read a response. */
  readonly pingTimeout: number
}

/**
 * The parts of a session that the definition of a transport uses.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransportContext {
  readonly options: TransportOptions
  /** The timer that all deadlines of the server share. */
  readonly wheel: TimerWheel
  readonly revision: EngineRevision
  /** Whether the client reads bytes only as base64. */
  readonly base64: boolean
  /** Makes an outbox with the server's limits, whose drops are counted. */
  makeOutbox(): Outbox
  /** Makes a scope for a transport, within that of its session. See `ServerTransport.scope`. */
  fork(): Scope.Closeable
}

/**
 * The ways in which a transport gets to the server.
 *
 * - `request`: as HTTP requests, each of which is answered: `EngineServer.handleRequest`.
 * - `websocket`: as a WebSocket: `EngineServer.handleUpgrade`.
 * - `connection`: as a connection of another kind: `EngineServer.handleConnection`.
 *
 * @since 0.1.0
 * @category models
 */
export type Carriage = "request" | "websocket" | "connection"

/**
 * A transport that a server may have: its name, and the functions that make it for a session.
 *
 * **Details**
 *
 * `open` makes the transport of a new session. The session then sends its open packet. After that,
 * a transport of requests gets the request that opened it, with `onRequest`. `upgrade` makes a
 * candidate for a session that uses another transport: the client sends `2probe`, gets `3probe`,
 * and sends `5` to change over. Sessions cannot change to a transport whose definition has no
 * `upgrade`.
 *
 * `Transports` adds one to a server.
 *
 * @since 0.1.0
 * @category models
 */
export interface TransportDefinition<in Carrier> {
  /** The value of the `transport` query parameter. */
  readonly name: string
  readonly carriage: Carriage
  readonly open: (context: TransportContext, carrier: Carrier, sink: TransportSink) => ServerTransport
  readonly upgrade?: (context: TransportContext, carrier: Carrier, sink: TransportSink) => ServerTransport
}

/**
 * Any definition of a transport.
 *
 * @since 0.1.0
 * @category models
 */
export type AnyTransport =
  | (TransportDefinition<HttpExchange> & { readonly carriage: "request" })
  | (TransportDefinition<WebSocketChannel> & { readonly carriage: "websocket" })
  | (TransportDefinition<never> & { readonly carriage: "connection" })

/**
 * An accepted WebSocket, as a platform provides it. Its methods do not throw; after the end they do
 * nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebSocketChannel {
  /** The bytes that wait for the peer to read them, with the memory that holds them. */
  readonly buffered: number
  /** The bytes that its connection has read and written since the channel was made. */
  readonly bytesReceived: number
  readonly bytesSent: number
  /**
   * Sends a text message, compressed only if `compress` is not false and the connection compresses.
   */
  sendText(text: string, compress?: boolean): void
  sendBinary(bytes: Uint8Array, compress?: boolean): void
  /** Sends a message with many recipients. It may keep the frames in `message.prepared`. */
  sendShared(message: OutboundMessage): void
  /**
   * Writes data that was only held back for batching. Then `buffered` is the data that the peer
   * does not read. Default: no data is held back.
   */
  flush?(): void
  /**
   * If it is set, it is called whenever the peer has read some of the data that was sent since, so
   * that `buffered` is less. Sessions that keep messages in an outbox then send the next ones.
   */
  onWritten: (() => void) | undefined
  /**
   * Holds back frames until `resume`, including those that have already been read. It still reports
   * an end that is noticed meanwhile.
   */
  pause(): void
  /** Delivers frames again, in a later turn of the event loop. */
  resume(): void
  /**
   * Starts the closing handshake, after all buffered data. `code` goes into the close frame (RFC
   * 6455, 7.4.1); without it the frame has none. Frames that come before the peer's own close frame
   * are still delivered.
   */
  close(code?: number): void
  /** Drops the connection. */
  terminate(): void
  /** The receiver of its frames. */
  receiver: WebSocketReceiver
}

/**
 * The receiver of a WebSocket's frames.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebSocketReceiver {
  /**
   * Whether it has closed the connection itself, so that it ignores frames. Default: it takes them
   * until `onClose`.
   */
  readonly isClosed?: boolean
  onText(text: string): void
  onBinary(bytes: Uint8Array): void
  /** A ping has been answered, after all buffered data. Default: does nothing. */
  onPing?(): void
  /**
   * The connection is closed, and everything that came before is delivered. Called exactly once;
   * `failure` is the fault that closed it, if any.
   */
  onClose(failure: WebSocketFailure | undefined): void
}

/**
 * The fault that closed a WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebSocketFailure {
  /**
   * - `overflow`: the peer does not read the answers to its own pings.
   * - `inbound overflow`: the platform cannot stop reading, and more messages wait for the session
   *   than it may hold, or come at once than others can wait for; or too much of connections that
   *   have closed waits to be handled.
   */
  readonly kind: "too large" | "invalid frame" | "overflow" | "inbound overflow" | "error"
  readonly message: string
}
