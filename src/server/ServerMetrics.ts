/**
 * The counters of the server, as Effect metrics; those of the engine are in `EngineMetrics`.
 *
 * Dynamic namespaces are counted by their pattern, and events without a contract together (`event`
 * is empty): attributes that clients choose would be unbounded.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * Events whose payload was refused by its schema, by `namespace` and `event`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const payloadsRefused: Metric.Counter<number> = Metric.counter("socketio_payloads_refused", {
  description: "Events whose payload their schema refused",
  incremental: true
})

/**
 * Events without a handler, by `namespace`: no handler is registered for them, and no stream is
 * read. Clients choose their names, so these are not an attribute.
 *
 * @since 0.1.0
 * @category metrics
 */
export const eventsUnhandled: Metric.Counter<number> = Metric.counter("socketio_events_unhandled", {
  description: "Events that nobody handles",
  incremental: true
})

/**
 * Events that a packet middleware refused, or that are handled once and could not be, by
 * `namespace` and `event`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const eventsRefused: Metric.Counter<number> = Metric.counter("socketio_events_refused", {
  description: "Events that were refused before their handler",
  incremental: true
})

/**
 * Events with `once` that were answered without their handler, as they were handled before, by
 * `namespace` and `event`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const eventsRepeated: Metric.Counter<number> = Metric.counter("socketio_events_repeated", {
  description: "Events that were handled before, and answered again",
  incremental: true
})

/**
 * Events beyond their rate limit, by `namespace` and `event`. Events that packet middleware refuses
 * count as refused.
 *
 * @since 0.1.0
 * @category metrics
 */
export const eventsLimited: Metric.Counter<number> = Metric.counter("socketio_events_limited", {
  description: "Events that came more often than they may",
  incremental: true
})

/**
 * Events whose handler died, or failed with an error that the event does not declare, by
 * `namespace` and `event`.
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
 * The duration of handlers, in seconds, by `namespace` and `event`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const handlerDuration: Metric.Histogram<number> = Metric.histogram("socketio_handler_duration_seconds", {
  description: "How long event handlers took, in seconds",
  boundaries: HANDLER_DURATION_BOUNDS
})

/**
 * Refused connections to namespaces, by `namespace`. It is empty for names that no namespace has.
 *
 * @since 0.1.0
 * @category metrics
 */
export const namespaceRefusals: Metric.Counter<number> = Metric.counter("socketio_namespace_refusals", {
  description: "Connections to namespaces that were refused",
  incremental: true
})

/**
 * Clients that have asked for their session, by `namespace` and `result`: `recovered`, or the
 * reason why they have begun anew.
 *
 * @since 0.1.0
 * @category metrics
 */
export const recoveries: Metric.Counter<number> = Metric.counter("socketio_recoveries", {
  description: "Clients that have asked for their session, by its result",
  incremental: true
})

/**
 * Sockets whose rights have ended, by `namespace` and `action`: `reconnect` or `leave`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const authEnds: Metric.Counter<number> = Metric.counter("socketio_auth_ends", {
  description: "Sockets whose rights have ended",
  incremental: true
})

/**
 * Refreshes of rights, by `namespace` and `result`: `accepted` or `refused`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const authRefreshes: Metric.Counter<number> = Metric.counter("socketio_auth_refreshes", {
  description: "Refreshes of rights, by their result",
  incremental: true
})

/**
 * Volatile packets that were dropped because the client was too slow, by `namespace`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const volatileDropped: Metric.Counter<number> = Metric.counter("socketio_volatile_dropped", {
  description: "Volatile packets that were dropped because earlier ones still waited for the client",
  incremental: true
})
