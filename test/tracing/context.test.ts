/**
 * Trace contexts by themselves.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Tracer } from "effect"

import * as TraceContext from "../../src/TraceContext.ts"
import { contextOf, recording, SPAN, TRACE, traceparent } from "./spans.ts"

const external = (sampled: boolean, spanId = SPAN, traceId = TRACE) => Tracer.externalSpan({ spanId, traceId, sampled })

describe("a trace context", () => {
  it.effect("is that of the current span", () =>
    Effect.gen(function* () {
      const { layer, only } = recording()
      const test = Effect.gen(function* () {
        assert.isUndefined(yield* TraceContext.current)
        const inSpan = yield* Effect.withSpan(TraceContext.current, "span")
        assert.deepStrictEqual(inSpan, { traceparent: contextOf(only("span")) })
        assert.isUndefined(yield* Effect.withSpan(TraceContext.current, "unsampled", { sampled: false }))
      })
      yield* Effect.provide(test, layer)
      // Nobody finds the spans of a program without a tracer.
      assert.isUndefined(yield* Effect.withSpan(TraceContext.current, "span"))
    })
  )

  it("becomes a span, and is made of it again", () => {
    for (const context of [{ traceparent }, { traceparent, tracestate: "vendor=value" }]) {
      const span = TraceContext.toSpan(context)!
      assert.include(span, { traceId: TRACE, spanId: SPAN, sampled: true })
      assert.deepStrictEqual(TraceContext.ofSpan(span), context)
    }
  })

  it("is not made of spans whose ids are none of W3C's, or that are not sampled", () => {
    assert.deepStrictEqual(TraceContext.ofSpan(external(true)), { traceparent })
    assert.isUndefined(TraceContext.ofSpan(external(false)))
    assert.isUndefined(TraceContext.ofSpan(external(true, "span-1")))
    assert.isUndefined(TraceContext.ofSpan(external(true, SPAN, "a longer id of a trace than there are any")))
    // Short ids of traces, as those of B3, are filled up.
    const short = TraceContext.ofSpan(external(true, SPAN, TRACE.slice(16)))
    assert.strictEqual(short?.traceparent, `00-${"0".repeat(16)}${TRACE.slice(16)}-${SPAN}-01`)
  })

  it.effect("keeps its state through spans of this process", () =>
    Effect.gen(function* () {
      const root = TraceContext.toSpan({ traceparent, tracestate: "vendor=value" })!
      const nested = (depth: number): Effect.Effect<TraceContext.TraceContext | undefined> =>
        depth === 0 ? TraceContext.current : Effect.withSpan(nested(depth - 1), `span ${depth}`)
      const context = yield* nested(20).pipe(Effect.withParentSpan(root), Effect.provide(recording().layer))
      assert.strictEqual(context?.tracestate, "vendor=value")
      assert.strictEqual(context?.traceparent.slice(3, 35), TRACE)
      // A way that is longer is not searched.
      const far = yield* nested(100).pipe(Effect.withParentSpan(root), Effect.provide(recording().layer))
      assert.isUndefined(far?.tracestate)
      assert.isDefined(far?.traceparent)
    })
  )
})
