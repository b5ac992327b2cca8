/**
 * The counters of clients, as Effect metrics. `ClientTelemetry` records them.
 *
 * **Details**
 *
 * `namespace` is the pattern of a dynamic namespace. `event` is empty for events that no contract
 * declares, as there may be any number of their names.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * Sockets that are connected now, by `namespace`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const sockets: Metric.Gauge<number> = Metric.gauge("socketio_client_sockets", {
  description: "Connected sockets of clients"
})

/**
 * The times that sockets were connected, by `namespace`: the first time and after each outage.
 *
 * @since 0.1.0
 * @category metrics
 */
export const connects: Metric.Counter<number> = Metric.counter("socketio_client_connects", {
  description: "Times that sockets of clients were connected",
  incremental: true
})

/**
 * Attempts to connect that have failed, by `namespace` and `reason`: the way in which the
 * connection to the server failed, or `refused`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const connectFailures: Metric.Counter<number> = Metric.counter("socketio_client_connect_failures", {
  description: "Attempts of clients to connect that have failed",
  incremental: true
})

/**
 * Sockets that have lost or left their namespace, by `namespace` and `reason` (see
 * `ClientDisconnectReason`).
 *
 * @since 0.1.0
 * @category metrics
 */
export const disconnects: Metric.Counter<number> = Metric.counter("socketio_client_disconnects", {
  description: "Sockets of clients that have disconnected",
  incremental: true
})

/**
 * Events that were emitted, by `namespace` and `event`. Those that were dropped later are among
 * them.
 *
 * @since 0.1.0
 * @category metrics
 */
export const eventsSent: Metric.Counter<number> = Metric.counter("socketio_client_events_sent", {
  description: "Events that clients have emitted",
  incremental: true
})

/**
 * Events of the server, by `namespace` and `event`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const eventsReceived: Metric.Counter<number> = Metric.counter("socketio_client_events_received", {
  description: "Events that clients have received",
  incremental: true
})

/**
 * Events of the server whose payload was refused by its schema, by `namespace` and `event`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const payloadsRefused: Metric.Counter<number> = Metric.counter("socketio_client_payloads_refused", {
  description: "Events of the server whose payload their schema refused",
  incremental: true
})

/**
 * The upper bounds of the buckets of {@link ackDuration} and {@link handlerDuration}, in seconds.
 *
 * @since 0.1.0
 * @category constants
 */
export const DURATION_BOUNDS: ReadonlyArray<number> = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30]

/**
 * The time from an `emitWithAck` to its end, in seconds, by `namespace` and `event`. The wait for a
 * connection is a part of it.
 *
 * @since 0.1.0
 * @category metrics
 */
export const ackDuration: Metric.Histogram<number> = Metric.histogram("socketio_client_ack_duration_seconds", {
  description: "How long acknowledgements of the server took, in seconds",
  boundaries: DURATION_BOUNDS
})

/**
 * Acknowledgements that were not got, by `namespace`, `event` and `reason` (that of `AckError`). A
 * declared failure of the server's is none of them.
 *
 * @since 0.1.0
 * @category metrics
 */
export const ackFailures: Metric.Counter<number> = Metric.counter("socketio_client_ack_failures", {
  description: "Events whose acknowledgement clients have not got",
  incremental: true
})

/**
 * The duration of handlers (`respond`), in seconds, by `namespace` and `event`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const handlerDuration: Metric.Histogram<number> = Metric.histogram("socketio_client_handler_duration_seconds", {
  description: "How long event handlers of clients took, in seconds",
  boundaries: DURATION_BOUNDS
})

/**
 * Handlers that have failed or died, by `namespace` and `event`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const handlerFailures: Metric.Counter<number> = Metric.counter("socketio_client_handler_failures", {
  description: "Event handlers of clients that have failed or died",
  incremental: true
})
