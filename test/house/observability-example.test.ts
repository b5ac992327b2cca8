/**
 * The observability example, run as its comment says, with a collector beside it.
 */
import * as Http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { runExample } from "../support/examples.ts"
import { Inbox, request } from "../support/RawClient.ts"
import { call, connect, listen } from "../support/serve.ts"

const example = (env: Record<string, string> = {}) =>
  Effect.acquireRelease(
    Effect.promise(() => runExample("observability.ts", { SOCKETIO_PORT: "0", ...env })),
    (running) => Effect.promise(() => running.stop())
  )

/** The value of a series, as Prometheus reads it. */
const metrics = (url: string) =>
  Effect.map(
    Effect.promise(() => request(`${url}/metrics`)),
    ({ body }) =>
      new Map(
        body
          .split("\n")
          .filter((line) => line !== "" && !line.startsWith("#"))
          .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))])
      )
  )

describe("the observability example", () => {
  it.live("tells Prometheus what the server and the application count", () =>
    Effect.gen(function* () {
      const running = yield* example()
      const socket = yield* connect(`${running.url}/chat`, { transports: ["websocket"] })
      assert.strictEqual(yield* call(socket, "say", "hello"), 1)
      const polling = yield* connect(`${running.url}/chat`, { transports: ["polling"] })
      const series = yield* metrics(running.url)
      assert.strictEqual(series.get('socketio_connections{transport="websocket"}'), 1)
      assert.strictEqual(series.get('socketio_connections{transport="polling"}'), 1)
      assert.strictEqual(series.get("socketio_connections_opened"), 2)
      assert.strictEqual(series.get('socketio_handler_duration_seconds_count{namespace="/chat",event="say"}'), 1)
      assert.strictEqual(series.get("chat_characters"), 5)
      assert.isAbove(series.get('socketio_bytes_received{transport="websocket"}')!, 0)
      polling.disconnect()
      socket.disconnect()
      yield* Effect.promise(() => request(`${running.url}/socket.io/?EIO=4&transport=pigeon`))
      const closed = yield* metrics(running.url)
      assert.strictEqual(closed.get('socketio_handshake_refusals{code="0"}'), 1)
    })
  )

  it.live("sends spans of handlers, and what runs in them, to a collector", () =>
    Effect.gen(function* () {
      const received = new Inbox<any>()
      const collector = yield* listen(
        Http.createServer((request, response) => {
          const chunks: Array<Buffer> = []
          request.on("data", (chunk: Buffer) => chunks.push(chunk))
          request.on("end", () => {
            if (request.url === "/v1/traces") received.push(JSON.parse(Buffer.concat(chunks).toString()))
            response.writeHead(200, { "content-type": "application/json" }).end("{}")
          })
        })
      )
      const running = yield* example({
        OTEL_EXPORTER_OTLP_ENDPOINT: collector,
        OTEL_TRACES_EXPORTER: "otlp",
        OTEL_BSP_SCHEDULE_DELAY: "50"
      })
      const socket = yield* connect(`${running.url}/chat`)
      yield* call(socket, "say", "hello")
      const { resourceSpans } = yield* Effect.promise(() => received.next("spans"))
      const spans = resourceSpans.flatMap(({ scopeSpans }: any) => scopeSpans.flatMap(({ spans }: any) => spans))
      const handler = spans.find(({ name }: any) => name === "socket.io say")
      const inner = spans.find(({ name }: any) => name === "chat.say")
      assert.strictEqual(inner.parentSpanId, handler.spanId)
      assert.strictEqual(handler.kind, 2)
      const attributes = Object.fromEntries(handler.attributes.map(({ key, value }: any) => [key, value.stringValue]))
      assert.deepInclude(attributes, {
        "socketio.namespace": "/chat",
        "socketio.event": "say",
        "socketio.sid": socket.id
      })
    })
  )

  it.live("logs what the asked-for parts of the server do", () =>
    Effect.gen(function* () {
      const running = yield* example({ DEBUG: "socket.io:*,-socket.io:connection" })
      const socket = yield* connect(`${running.url}/chat`)
      yield* Effect.promise(() => running.printed(/socket connected/))
      yield* Effect.promise(() => request(`${running.url}/socket.io/?EIO=4&transport=pigeon`))
      yield* Effect.promise(() => running.printed(/request refused/))
      assert.match(running.output(), /DEBUG.*socket connected[^]*socket\.io:namespace/)
      assert.include(running.output(), socket.id!)
      assert.notInclude(running.output(), "connection opened")
    })
  )
})
