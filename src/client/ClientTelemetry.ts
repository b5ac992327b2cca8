/**
 * Spans and metrics of clients. A client has none of them without this module, and then does not
 * bundle it.
 *
 * @since 0.1.0
 */
import type { ClientExtra } from "./ClientExtras.ts"
import { observing } from "./internal/telemetry.ts"

/**
 * The options of the spans and metrics of clients.
 *
 * @since 0.1.0
 * @category options
 */
export interface ClientTelemetryOptions {
  /**
   * Whether there are spans, and trace contexts in events. Default: true if the client has a
   * tracer.
   */
  readonly tracing?: boolean
  /**
   * The names of spans and of their attributes.
   *
   * - `effect`: `socket.io <event>`, with `socketio.namespace`, `socketio.event` and
   *   `socketio.sid`.
   * - `messaging`: OpenTelemetry's conventions for messaging: `send <event>` and `process <event>`,
   *   with `messaging.system` and so on. These conventions are in development: names may change
   *   with them.
   *
   * Default: `effect`.
   */
  readonly names?: "effect" | "messaging"
}

/**
 * An extra that gives a client spans and metrics: those of the context in which the client is made.
 * Provide a tracer to the client.
 *
 * **Details**
 *
 * Metrics are those of `ClientMetrics`. Spans are there with a tracer:
 *
 * - An `emit` or `emitWithAck` within a sampled span has a span of its own, until the
 *   acknowledgement has come. A server of this library that has a tracer gets its trace context
 *   with the event, and its handler's span is a child of it. Other servers get nothing: their
 *   events are the same as without this extra. So are events that are emitted while the socket is
 *   not connected, events that no contract declares, and events that have other arguments in the
 *   server's contract.
 * - A handler (`respond`) runs in a span. If the server has sent its trace context, this span is a
 *   child of the server's where the server awaits an acknowledgement, and has a link to it
 *   otherwise.
 * - An event with a trace context that streams alone take has a span that ends at once, with a link
 *   to the server's.
 *
 * `Tracer.DisablePropagation` keeps trace contexts from being sent.
 *
 * **Example** (A page that exports its spans over OTLP)
 *
 * ```ts
 * const Client = SocketIoClient.layer({ url: location.origin, extras: [ClientTelemetry.make()] }).pipe(
 *   Layer.provide(OtlpTracer.layer({ url: "/v1/traces", resource: { serviceName: "page" } }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category extras
 */
export const make = (options: ClientTelemetryOptions = {}): ClientExtra => ({ extend: observing(options) })
