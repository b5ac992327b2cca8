/**
 * The counters of the engine, as Effect metrics. Their values are computed when they are read, so
 * that counting costs next to nothing. Several servers of one process add up.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * The counts since the start, of all servers that share a metric registry.
 *
 * @since 0.1.0
 * @category models
 */
export interface EngineTraffic {
  /** Sessions that have opened. */
  readonly opened: number
  /** Sessions that have ended. */
  readonly closed: number
  readonly packetsReceived: number
  readonly packetsSent: number
}

/**
 * The bytes since the start, over all transports, of all servers that share a metric registry.
 *
 * @since 0.1.0
 * @category models
 */
export interface EngineBytes {
  readonly bytesReceived: number
  readonly bytesSent: number
}

/**
 * Sessions that are open now, by `transport` (`polling`, `websocket`).
 *
 * @since 0.1.0
 * @category metrics
 */
export const connections: Metric.Gauge<number> = Metric.gauge("socketio_connections", {
  description: "Open connections"
})

/**
 * Sessions that have been opened.
 *
 * @since 0.1.0
 * @category metrics
 */
export const connectionsOpened: Metric.Counter<number> = Metric.counter("socketio_connections_opened", {
  description: "Connections that have been opened",
  incremental: true
})

/**
 * Sessions that have ended, by `reason` (see `SessionCloseReason`).
 *
 * @since 0.1.0
 * @category metrics
 */
export const disconnects: Metric.Counter<number> = Metric.counter("socketio_disconnects", {
  description: "Connections that have ended",
  incremental: true
})

/**
 * Refused requests, by `code` (see `HandshakeErrorCode`).
 *
 * @since 0.1.0
 * @category metrics
 */
export const refusals: Metric.Counter<number> = Metric.counter("socketio_handshake_refusals", {
  description: "Requests that the engine refused",
  incremental: true
})

/**
 * Engine.IO packets that came in, including pongs. An attachment counts as a packet.
 *
 * @since 0.1.0
 * @category metrics
 */
export const packetsReceived: Metric.Counter<number> = Metric.counter("socketio_packets_received", {
  description: "Engine.IO packets received",
  incremental: true
})

/**
 * Engine.IO packets that were sent, or wait to be sent: open packets, pings and messages. An
 * attachment counts as a packet. Packets that `dropOldest` removes later are included; packets that
 * `dropNewest` refuses are not.
 *
 * @since 0.1.0
 * @category metrics
 */
export const packetsSent: Metric.Counter<number> = Metric.counter("socketio_packets_sent", {
  description: "Engine.IO packets sent",
  incremental: true
})

/**
 * Bytes that came in, by `transport`. WebSocket: all bytes that the connection has read since it
 * opened, including frame headers. Long-polling: the bodies of requests.
 *
 * @since 0.1.0
 * @category metrics
 */
export const bytesReceived: Metric.Counter<number> = Metric.counter("socketio_bytes_received", {
  description: "Bytes received",
  incremental: true
})

/**
 * Bytes that were sent, by `transport`. WebSocket: all bytes that the connection has written since
 * it opened, including frame headers. Long-polling: the bodies of responses, before compression.
 *
 * @since 0.1.0
 * @category metrics
 */
export const bytesSent: Metric.Counter<number> = Metric.counter("socketio_bytes_sent", {
  description: "Bytes sent",
  incremental: true
})

/**
 * Bytes that wait for clients to read them, over all connections, with the objects that hold them.
 *
 * @since 0.1.0
 * @category metrics
 */
export const outboxBytes: Metric.Gauge<number> = Metric.gauge("socketio_outbox_bytes", {
  description: "Bytes that wait for clients to take them"
})

/**
 * Engine.IO packets that were dropped because their client's outbox was full, by `policy`
 * (`dropNewest`, `dropOldest`; see `outboxOverflow`). An attachment counts as a packet. Volatile
 * messages are counted by `ServerMetrics.volatileDropped`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const packetsDropped: Metric.Counter<number> = Metric.counter("socketio_packets_dropped", {
  description: "Engine.IO packets dropped from full outboxes",
  incremental: true
})

/**
 * The bytes of the packets in {@link packetsDropped}, without frames, by `policy`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const bytesDropped: Metric.Counter<number> = Metric.counter("socketio_bytes_dropped", {
  description: "Bytes dropped from full outboxes",
  incremental: true
})

/**
 * The number of pauses of reading from clients whose events were handled too slowly (see the option
 * `reading.pauseAt`).
 *
 * @since 0.1.0
 * @category metrics
 */
export const readPauses: Metric.Counter<number> = Metric.counter("socketio_read_pauses", {
  description: "Times that reading from a client was paused",
  incremental: true
})
