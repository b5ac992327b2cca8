/**
 * The W3C trace context of messages: it names the span that has sent a message, so that the spans
 * of its receivers belong to the same trace.
 *
 * **Details**
 *
 * Clients send it as attributes of an event: an object right after the declared arguments, as in
 * `socket.emit("order", order, { traceparent })`. See <https://www.w3.org/TR/trace-context/>.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as HttpTraceContext from "effect/http/HttpTraceContext"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"

/**
 * The trace context of a message, in the form of the HTTP headers of the same names.
 *
 * @since 0.1.0
 * @category models
 */
export interface TraceContext {
  /** Version, trace id, span id and flags, in hexadecimal: 55 characters. */
  readonly traceparent: string
  /** The additions of vendors, up to 256 characters. They are passed on as they came. */
  readonly tracestate?: string
}

/** The length of a `traceparent` of version 00, the only one there is. */
const LENGTH = 55

/** The most characters of a `tracestate`. */
const MAX_STATE = 256

/** The spans between a span and the one that came from outside. A longer way is not searched. */
const MAX_ANCESTORS = 64

/** The `tracestate` that a span from outside came with. */
const TraceState: Context.Reference<string> = Context.Reference<string>("effect-socket.io/TraceContext/TraceState", {
  defaultValue: () => ""
})

/**
 * Reads a trace context. Returns `undefined` if there is no `traceparent`, or a malformed one. A
 * `tracestate` that is malformed, or longer than 256 characters, is left out.
 *
 * Values of another length are not looked at, so that a long one costs nothing.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toSpan = (context: {
  readonly traceparent?: string | undefined
  readonly tracestate?: string | undefined
}): Tracer.ExternalSpan | undefined => {
  const { traceparent, tracestate } = context
  if (traceparent?.length !== LENGTH) return undefined
  const span = Option.getOrUndefined(HttpTraceContext.w3c(Headers.fromRecordUnsafe({ traceparent })))
  if (span === undefined || tracestate === undefined || !isState(tracestate)) return span
  return Tracer.externalSpan({ ...span, annotations: Context.make(TraceState, tracestate) })
}

/** Printable ASCII, as in an HTTP header. */
const isState = (text: string): boolean => text.length > 0 && text.length <= MAX_STATE && /^[ -~]+$/.test(text)

/**
 * The trace context of a span, for its messages. Returns `undefined` if there is nothing to send:
 * the span is not sampled, has no W3C ids, or neither it nor a span above it may be propagated
 * (`Tracer.DisablePropagation`).
 *
 * @since 0.1.0
 * @category conversions
 */
export const ofSpan = (span: Tracer.AnySpan): TraceContext | undefined => {
  const sent = propagated(span)
  if (sent?.sampled !== true) return undefined
  const traceparent = `00-${sent.traceId.padStart(32, "0")}-${sent.spanId}-01`
  if (traceparent.length !== LENGTH) return undefined
  const tracestate = stateOf(sent)
  return tracestate === "" ? { traceparent } : { traceparent, tracestate }
}

const isDisabled = ({ annotations }: Tracer.AnySpan): boolean => Context.get(annotations, Tracer.DisablePropagation)

const parentOf = (span: Tracer.AnySpan): Tracer.AnySpan | undefined =>
  span._tag === "Span" ? Option.getOrUndefined(span.parent) : undefined

/** The nearest span that may be propagated, as Effect finds the parent of a new one. */
const propagated = (span: Tracer.AnySpan): Tracer.AnySpan | undefined => {
  let found: Tracer.AnySpan | undefined = span
  while (found !== undefined && isDisabled(found)) found = parentOf(found)
  return found
}

const stateOf = (span: Tracer.AnySpan): string => {
  let root = span
  for (let i = 0; i < MAX_ANCESTORS; i++) {
    const parent = parentOf(root)
    if (parent === undefined) break
    root = parent
  }
  return Context.get(root.annotations, TraceState)
}

/**
 * The trace context of the span that a fiber is in. Returns `undefined` outside of spans, where
 * {@link ofSpan} does, where `Tracer.DisablePropagation` is set or tracing is disabled, and in
 * fibers that have no tracer: nobody would find their spans.
 *
 * @since 0.1.0
 * @category conversions
 */
export const ofFiber = (fiber: Fiber.Fiber<any, any>): TraceContext | undefined => {
  const { span, tracer, tracerEnabled } = fiber.cache
  if (span === undefined || tracer === undefined || !tracerEnabled || fiber.getRef(Tracer.DisablePropagation))
    return undefined
  return ofSpan(span)
}

/**
 * The trace context of the current span, or `undefined`, as {@link ofFiber} gives it. It is for
 * events that no contract declares: those that are declared carry it by themselves.
 *
 * **Example** (A trace context as an argument of its own)
 *
 * ```ts
 * const trace = yield* TraceContext.current
 * yield* socket.emit("order", "book", trace ?? {})
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const current: Effect.Effect<TraceContext | undefined> = Effect.withFiber((fiber) =>
  Effect.succeed(ofFiber(fiber))
)
