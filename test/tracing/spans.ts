/**
 * A tracer that keeps its spans, and ids to make trace contexts of.
 */
import { Effect, Layer, Tracer } from "effect"

export const TRACE = "0af7651916cd43dd8448eb211c80319c"
export const SPAN = "b7ad6b7169203331"
export const traceparent = `00-${TRACE}-${SPAN}-01`
export const unsampled = `00-${TRACE}-${SPAN}-00`

export interface Recording {
  readonly layer: Layer.Layer<never>
  readonly tracer: Tracer.Tracer
  /** The spans, as they have begun. */
  readonly spans: ReadonlyArray<Tracer.NativeSpan>
  /** The span of this name; it fails if there is not exactly one. */
  readonly only: (name: string) => Tracer.NativeSpan
}

export const recording = (): Recording => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return {
    tracer,
    layer: Layer.succeed(Tracer.Tracer, tracer),
    spans,
    only: (name) => {
      const named = spans.filter((span) => span.name === name)
      if (named.length !== 1) throw new Error(`${named.length} spans "${name}" among ${spans.map(({ name }) => name)}`)
      return named[0]!
    }
  }
}

/** The parent of a span, as `trace/span`. */
export const parentOf = ({ parent }: Tracer.Span): string | undefined =>
  parent._tag === "Some" ? `${parent.value.traceId}/${parent.value.spanId}` : undefined

/** The links of a span, in the same form. */
export const linksOf = ({ links }: Tracer.Span): ReadonlyArray<string> =>
  links.map(({ span }) => `${span.traceId}/${span.spanId}`)

/** The name of a span for others, as their `traceparent`. */
export const contextOf = ({ spanId, traceId }: Tracer.Span): string => `00-${traceId}-${spanId}-01`

export const noPropagation = Effect.provideService(Tracer.DisablePropagation, true)
