/**
 * Transports: the interface between a session and the way in which its packets travel.
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
 * The names of the transports that this library's client speaks, as they stand in the `transport`
 * query parameter. A server may have others: see `Transports`.
 *
 * @since 0.1.0
 * @category models
 */
export type TransportName = "polling" | "websocket"

/**
 * The reason why a session closes its transport.
 *
 * - `server`: the session ends here. Everything that waits is sent first.
 * - `peer`: the client has sent a close packet. Nothing more is sent.
 * - `fault`: the client breaks the protocol, or the session has failed. Nothing is kept for a
 *   client that may never come back to take it.
 *
 * @since 0.1.0
 * @category models
 */
export type CloseCause = "server" | "peer" | "fault"

/**
 * The server's end of a transport. Its methods are synchronous and never throw, as the message path
 * needs them so.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerTransport {
  /** The name of its definition. */
  readonly name: string
  /** The receiver of its packets: the session, or an upgrade that is under way. */
  sink: TransportSink
  /** Whether a message that is sent now leaves within this turn of the event loop. */
  readonly writable: boolean
  /** The bytes that wait to be taken by the peer. */
  readonly buffered: number
  /** Whether more than `bytes` bytes wait, after data that waits only for company has been sent. */
  exceeds(bytes: number): boolean
  /** The bytes that have come in, and those that have been sent; see `EngineMetrics`. */
  readonly bytesReceived: number
  readonly bytesSent: number
  /** The outbox in which messages wait that may be dropped. Missing: everything waits elsewhere. */
  readonly outbox: Outbox | undefined
  /** Sends one Engine.IO packet in its text form. */
  sendPacket(packet: string): void
  /**
   * Sends a message. Returns false if it was dropped because its outbox has no capacity;
   * `onDropped` is then called, and also if it is dropped later.
   */
  sendMessage(message: OutboundMessage, onDropped?: () => void): boolean
  /** Stops reading until `resume`: what has come by then waits, and the rest is not read. */
  pause(): void
  resume(): void
  /** Handles another request of its session. Missing: the transport has a connection of its own. */
  onRequest?(exchange: HttpExchange): void
  /** Changes to another transport. Missing: sessions stay on this one. */
  readonly handover: Handover | undefined
  /**
   * It becomes the session's transport after an upgrade, and first sends what waits in the outbox
   * of the transport before it. It may keep that outbox as its own.
   */
  takeOver(waiting: Outbox): void
  /** Whether it was closed here, and the peer has still to be told: an upgrade may do that. */
  readonly isLingering: boolean
  /** Closes, and tells the peer. */
  close(cause: CloseCause): void
  /** Closes at once; what waits is lost. */
  abort(): void
  /**
   * The scope of its resources, if it has any: made by `TransportContext.fork`, and closed by the
   * session once the transport has released everything.
   */
  readonly scope?: Scope.Closeable
}

/**
 * The part of a transport that a session leaves when its client upgrades to another one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handover {
  /** The client has probed the new transport, and waits until nothing is under way on this one. */
  begin(): void
  /** The client stays after all. */
  cancel(): void
  /** Whether packets have come that are not handled yet. */
  readonly isBehind: boolean
  /** Calls back when every packet that has come is handled, whether reading is paused or not. */
  whenHandled(callback: () => void): void
  /** The session has left: the transport ends. Its outbox now belongs to the new one. */
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
  /** The transport has answered a request of its own protocol, as a ping of WebSocket. */
  onAnswered(): void
  /** The peer has taken some of what was waiting. */
  onDrain(): void
  /** The transport has ended, by the peer or by a failure. Called at most once. */
  onTransportClose(transport: ServerTransport, reason: SessionCloseReason, description?: string): void
  /** The transport has released everything that it held. Called exactly once, at the very end. */
  onTransportReleased(transport: ServerTransport): void
}

/**
 * The server's options that transports need; durations in milliseconds.
 *
 * @since 0.1.0
 * @category options
 */
export interface TransportOptions extends OutboxLimits {
  /** The largest message in bytes. */
  readonly maxPayload: number
  /** The largest number of packets in one request body. */
  readonly maxPacketsPerPayload: number
  /** The time that a client may take to read a response. */
  readonly pingTimeout: number
}

/**
 * The session, as the definition of a transport knows it.
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
 * How a transport gets to the server.
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
 * A transport that a server may have: its name, and the functions that make one for a session.
 *
 * **Details**
 *
 * `open` makes the transport of a new session. The session then sends its open packet; a transport
 * that comes by requests gets the request that opened it after that, by `onRequest`. `upgrade`
 * makes a candidate for a session that uses another transport: the client sends `2probe`, gets
 * `3probe`, and sends `5` to change over. A definition without `upgrade` cannot be changed to.
 *
 * See `Transports` for the way to add one to a server.
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
 * An accepted WebSocket, as a platform brings it. Its methods do not throw; after the end they do
 * nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebSocketChannel {
  /** The bytes that wait to be taken by the peer. */
  readonly buffered: number
  /** The bytes that its connection has read and written since the channel was made. */
  readonly bytesReceived: number
  readonly bytesSent: number
  /**
   * Sends a text message, compressed only if `compress` is not false and the connection compresses.
   */
  sendText(text: string, compress?: boolean): void
  sendBinary(bytes: Uint8Array, compress?: boolean): void
  /** Sends a message of many recipients; may keep its frames in `message.prepared`. */
  sendShared(message: OutboundMessage): void
  /**
   * Writes data that waits only for company; then `buffered` is what the peer does not take.
   * Default: nothing waits so.
   */
  flush?(): void
  /**
   * If it is set, called whenever some of the data sent since has been taken, and `buffered` is
   * less. Sessions that keep messages in an outbox of their own then send the next ones.
   */
  onWritten: (() => void) | undefined
  /**
   * Stops the frames until `resume`, also those that have been read already. An end that is noticed
   * meanwhile is told.
   */
  pause(): void
  /** Goes on, not before this turn of the event loop is over. */
  resume(): void
  /** Starts the closing handshake, after everything that is buffered. */
  close(): void
  /** Drops the connection. */
  terminate(): void
  /** The receiver of its frames. */
  receiver: WebSocketReceiver
}

/**
 * The receiver of what a WebSocket brings in.
 *
 * @since 0.1.0
 * @category models
 */
export interface WebSocketReceiver {
  onText(text: string): void
  onBinary(bytes: Uint8Array): void
  /** A ping has been answered, after everything that is buffered. Default: nothing is done. */
  onPing?(): void
  /**
   * The connection is closed. Called exactly once; `failure` is the fault that closed it, if any.
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
  /** `overflow`: the peer does not take the answers to its own pings. */
  readonly kind: "too large" | "invalid frame" | "overflow" | "error"
  readonly message: string
}
