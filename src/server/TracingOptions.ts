/**
 * The options of the server's spans, with their defaults.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

import { flag, group, type Names, oneOf } from "../engine/OptionReaders.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"

/**
 * The spans of handlers. Each handled event runs in a span of its own, if the server's layer has a
 * tracer.
 *
 * @since 0.1.0
 * @category options
 */
export interface TracingOptions {
  /**
   * The names of spans and of their attributes.
   *
   * - `effect`: `socket.io <event>`, of kind server, with `socketio.namespace`, `socketio.event`
   *   and `socketio.sid`.
   * - `messaging`: OpenTelemetry's conventions for messaging: `process <event>`, of kind consumer,
   *   or server where the client awaits an acknowledgement, with `messaging.system` and so on.
   *   These conventions are in development: names may change with them.
   *
   * Default: `effect`.
   */
  readonly names?: "effect" | "messaging"
  /**
   * The effect of the trace context of a client's event. A client can send any trace context: that
   * of a span that does not exist or is none of its own, sampled or not.
   *
   * - `parent`: its span is the parent of the handler's span, whose trace and sampling it decides.
   * - `link`: the handler's span begins a trace of its own, and has a link to it.
   * - `none`: it is not read, nor that of the opening request.
   *
   * The trace context of the opening request is a link, never a parent. Default: `parent`.
   */
  readonly trust?: "parent" | "link" | "none"
}

/**
 * Options with every default filled in.
 *
 * @since 0.1.0
 * @category options
 */
export interface ResolvedTracingOptions {
  /** Whether there are spans; `undefined`: if there is a tracer. */
  readonly isOn: boolean | undefined
  readonly names: "effect" | "messaging"
  readonly trust: "parent" | "link" | "none"
}

const NAMES: Names<TracingOptions> = { names: true, trust: true }

/**
 * Fills in the defaults.
 *
 * @since 0.1.0
 * @category decoding
 */
export const resolve = Effect.fnUntraced(function* (
  value: boolean | TracingOptions | undefined
): Effect.fn.Return<ResolvedTracingOptions, InvalidOptionError> {
  const isGroup = typeof value === "object" && value !== null
  const isOn = value === undefined || isGroup ? undefined : yield* flag("tracing", value, false)
  const options = yield* group("tracing", isGroup ? value : {}, NAMES)
  return {
    isOn,
    names: yield* oneOf("tracing.names", options.names, ["effect", "messaging"]),
    trust: yield* oneOf("tracing.trust", options.trust, ["parent", "link", "none"])
  }
})
