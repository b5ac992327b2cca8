/**
 * What the server counts, as Effect metrics.
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
 * Events whose handler died, or failed with what its event does not declare, by `namespace` and `event`. Events without a
 * contract count as one, as their names are the clients' choice.
 *
 * @since 0.1.0
 * @category metrics
 */
export const handlerFailures: Metric.Counter<number> = Metric.counter("socketio_handler_failures", {
  description: "Events whose handler died, or failed with what its event does not declare",
  incremental: true
})
