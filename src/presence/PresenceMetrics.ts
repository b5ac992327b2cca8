/**
 * The metrics of presence, as Effect metrics, by `presence`: the id of the service.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * The members that this server keeps, those of other servers included.
 *
 * @since 0.1.0
 * @category metrics
 */
export const members: Metric.Gauge<number> = Metric.gauge("socketio_presence_members", {
  description: "Members that are kept, of all servers"
})

/**
 * Members and frames of other servers that were refused: beyond a bound, or of another form.
 *
 * @since 0.1.0
 * @category metrics
 */
export const refused: Metric.Counter<number> = Metric.counter("socketio_presence_refused", {
  description: "Members and frames of other servers that were refused",
  incremental: true
})
