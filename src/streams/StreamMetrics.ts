/**
 * The streams of a server, as Effect metrics.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * Streams that run now.
 *
 * @since 0.1.0
 * @category metrics
 */
export const streamsRunning: Metric.Gauge<number> = Metric.gauge("socketio_streams_running", {
  description: "Streams that run now"
})

/**
 * Streams that are kept: those that run, and those that have ended not long ago.
 *
 * @since 0.1.0
 * @category metrics
 */
export const streamsKept: Metric.Gauge<number> = Metric.gauge("socketio_streams_kept", {
  description: "Streams whose values are kept"
})

/**
 * The estimated memory of the values that are kept, in bytes.
 *
 * @since 0.1.0
 * @category metrics
 */
export const streamBytes: Metric.Gauge<number> = Metric.gauge("socketio_stream_bytes", {
  description: "The estimated memory of the values of streams, in bytes"
})

/**
 * Streams that have ended, by `end`: the tag of `StreamWire.End`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const streamsEnded: Metric.Counter<number> = Metric.counter("socketio_streams_ended", {
  description: "Streams that have ended, by the way in which they have",
  incremental: true
})

/**
 * Streams that were not started because of a bound, by `bound`: the name of the limit.
 *
 * @since 0.1.0
 * @category metrics
 */
export const streamsRefused: Metric.Counter<number> = Metric.counter("socketio_streams_refused", {
  description: "Streams that were not started because of a bound",
  incremental: true
})

/**
 * Values that were dropped because a stream had more than are kept. Late readers miss them.
 *
 * @since 0.1.0
 * @category metrics
 */
export const streamValuesDropped: Metric.Counter<number> = Metric.counter("socketio_stream_values_dropped", {
  description: "Values of streams that were dropped because there were more than are kept",
  incremental: true
})
