/**
 * A collector of spans, as OTLP exporters see it.
 */
import * as Http from "node:http"
import { isDeepStrictEqual } from "node:util"
import { Effect, Layer, type Scope } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpSerialization, OtlpTracer } from "effect/observability"

import { listen } from "../support/serve.ts"
import { until } from "../support/redisServer.ts"

/** A span that has been exported. */
export interface ExportedSpan {
  readonly service: string
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  /** 2: server, 3: client, 4: producer, 5: consumer. */
  readonly kind: number
  readonly attributes: Readonly<Record<string, string>>
  readonly links: ReadonlyArray<{ readonly traceId: string; readonly spanId: string }>
}

export interface Collector {
  readonly url: string
  /** Everything that has come so far. */
  readonly spans: ReadonlyArray<ExportedSpan>
  /** Waits for a span with these properties. */
  readonly find: (expected: Partial<ExportedSpan>) => Effect.Effect<ExportedSpan>
}

const textOf = ({ key, value }: any): [string, string] => [key, String(value.stringValue ?? value.boolValue ?? "")]

/** The spans of a request. */
const read = ({ resourceSpans }: any): ReadonlyArray<ExportedSpan> =>
  resourceSpans.flatMap(({ resource, scopeSpans }: any) => {
    const service = Object.fromEntries(resource.attributes.map(textOf))["service.name"]
    return scopeSpans.flatMap(({ spans }: any) =>
      spans.map(({ attributes, kind, links, name, parentSpanId, spanId, traceId }: any) => ({
        service,
        name,
        traceId,
        spanId,
        parentSpanId,
        kind,
        attributes: Object.fromEntries(attributes.map(textOf)),
        links: links.map(({ spanId, traceId }: any) => ({ traceId, spanId }))
      }))
    )
  })

/** Takes spans on a port of its own, from pages of other origins, too. */
export const collector: Effect.Effect<Collector, never, Scope.Scope> = Effect.gen(function* () {
  const spans: Array<ExportedSpan> = []
  const allowed = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "*",
    "content-type": "application/json"
  }
  const url = yield* listen(
    Http.createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        if (request.method === "POST") spans.push(...read(JSON.parse(Buffer.concat(chunks).toString())))
        response.writeHead(200, allowed).end("{}")
      })
    })
  )
  return {
    url,
    spans,
    find: (expected) => {
      const wanted = Object.entries(expected) as ReadonlyArray<[keyof ExportedSpan, unknown]>
      const fits = (span: ExportedSpan) => wanted.every(([name, value]) => isDeepStrictEqual(span[name], value))
      return Effect.promise(() => until(`a span like ${JSON.stringify(expected)}`, () => spans.find(fits)))
    }
  }
})

/** A tracer that exports to the collector. */
export const exporting = ({ url }: Collector, serviceName: string): Layer.Layer<never> =>
  OtlpTracer.layer({ url: `${url}/v1/traces`, resource: { serviceName }, exportInterval: "20 millis" }).pipe(
    Layer.provide([FetchHttpClient.layer, OtlpSerialization.layerJson])
  )
