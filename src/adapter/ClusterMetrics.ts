/**
 * The counters of a server in a cluster, as Effect metrics.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * Messages of other servers that did not come. Only servers of this library number their messages,
 * so those of official servers are not counted.
 *
 * @since 0.1.0
 * @category metrics
 */
export const messagesLost: Metric.Counter<number> = Metric.counter("socketio_cluster_messages_lost", {
  description: "Messages of other servers that did not come",
  incremental: true
})

/**
 * Messages of this server that were not sent, by `reason`: `overflow` and `expired` while the
 * broker was away, `failed` where it is not known whether the broker has got them.
 *
 * @since 0.1.0
 * @category metrics
 */
export const messagesDropped: Metric.Counter<number> = Metric.counter("socketio_cluster_messages_dropped", {
  description: "Messages to other servers that were not sent",
  incremental: true
})

/**
 * Messages that could not be read.
 *
 * @since 0.1.0
 * @category metrics
 */
export const messagesRefused: Metric.Counter<number> = Metric.counter("socketio_cluster_messages_refused", {
  description: "Messages of other servers that could not be read",
  incremental: true
})

/**
 * Questions to other servers that ended without the answers of all of them.
 *
 * @since 0.1.0
 * @category metrics
 */
export const questionsIncomplete: Metric.Counter<number> = Metric.counter("socketio_cluster_questions_incomplete", {
  description: "Questions that some servers have not answered",
  incremental: true
})

/**
 * Whether the broker can be reached: 1 or 0.
 *
 * @since 0.1.0
 * @category metrics
 */
export const connected: Metric.Gauge<number> = Metric.gauge("socketio_cluster_connected", {
  description: "Whether the cluster's broker can be reached"
})
