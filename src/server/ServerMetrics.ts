/**
 * What the server counts, as Effect metrics; those of the engine are in `EngineMetrics`.
 *
 * Dynamic namespaces are counted by their pattern, and events without a contract as one (`event` is
 * empty): attributes that clients could choose would be without bound.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * Events whose payload their schema refused, by `namespace` and `event`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const payloadsRefused: Metric.Counter<number> = Metric.counter("socketio_payloads_refused", {
  description: "Events whose payload their schema refused",
  incremental: true
})

/**
 * Events that nobody handles, by `namespace`: no handler is registered for them, and no stream is
 * read. Their names are the clients' choice, and are not counted by.
 *
 * @since 0.1.0
 * @category metrics
 */
export const eventsUnhandled: Metric.Counter<number> = Metric.counter("socketio_events_unhandled", {
  description: "Events that nobody handles",
  incremental: true
})

/**
 * Events that a packet middleware refused, by `namespace` and `event`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const eventsRefused: Metric.Counter<number> = Metric.counter("socketio_events_refused", {
  description: "Events that a packet middleware refused",
  incremental: true
})

/**
 * Events that came more often than they may, by `namespace` and `event`; those that packet
 * middleware refuses count as refused.
 *
 * @since 0.1.0
 * @category metrics
 */
export const eventsLimited: Metric.Counter<number> = Metric.counter("socketio_events_limited", {
  description: "Events that came more often than they may",
  incremental: true
})

/**
 * Events whose handler died, or failed with what its event does not declare, by `namespace` and
 * `event`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const handlerFailures: Metric.Counter<number> = Metric.counter("socketio_handler_failures", {
  description: "Events whose handler died, or failed with what its event does not declare",
  incremental: true
})

/**
 * The upper bounds of the buckets of {@link handlerDuration}, in seconds.
 *
 * @since 0.1.0
 * @category constants
 */
export const HANDLER_DURATION_BOUNDS: ReadonlyArray<number> = [
  0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10
]

/**
 * How long handlers took from the start to the end, in seconds, by `namespace` and `event`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const handlerDuration: Metric.Histogram<number> = Metric.histogram("socketio_handler_duration_seconds", {
  description: "How long event handlers took, in seconds",
  boundaries: HANDLER_DURATION_BOUNDS
})

/**
 * Connections to namespaces that were refused, by `namespace`; it is empty for names that nobody
 * serves.
 *
 * @since 0.1.0
 * @category metrics
 */
export const namespaceRefusals: Metric.Counter<number> = Metric.counter("socketio_namespace_refusals", {
  description: "Connections to namespaces that were refused",
  incremental: true
})

/**
 * Volatile packets that were dropped because the client was behind, by `namespace`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const volatileDropped: Metric.Counter<number> = Metric.counter("socketio_volatile_dropped", {
  description: "Volatile packets that were dropped because the client was behind",
  incremental: true
})
