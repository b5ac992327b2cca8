/**
 * A chat with metrics, spans and logs: metrics for Prometheus at /metrics, spans and logs over OTLP
 * if an endpoint is set, and debug logs of the chosen parts of the server.
 *
 *     npx node examples/observability.ts
 *     curl http://localhost:3000/metrics
 *     OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 npx node examples/observability.ts
 *     DEBUG='socket.io:*,-socket.io:connection' npx node examples/observability.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Metric, Schema } from "effect"
import { Event, Namespace } from "effect-socket.io"
import { NodeConfig } from "effect-socket.io/node"
import * as NodeSocketIoHttp from "effect-socket.io/node/NodeSocketIoHttp"
import { SocketIoServer } from "effect-socket.io/server"
import { FetchHttpClient, HttpRouter } from "effect/http"
import { Otlp, OtlpSerialization, PrometheusMetrics } from "effect/observability"

const Say = Event.make("say", { payload: Schema.String, ack: Schema.Int })

class Chat extends Namespace.make("/chat", { clientToServer: [Say], serverToClient: [Say] }) {}

/** The application's own metrics are exported beside those of the library. */
const characters = Metric.counter("chat_characters", { description: "Characters that were said", incremental: true })

const ChatLive = SocketIoServer.layerNamespace(
  Chat,
  Effect.fnUntraced(function* (socket) {
    const all = yield* SocketIoServer.namespace(Chat)
    return Chat.of({
      // With a tracer, the library runs every handler in a span. This span becomes a part of it.
      say: Effect.fn("chat.say")(function* (text) {
        yield* Metric.update(characters, text.length)
        yield* Effect.logInfo("somebody says something").pipe(Effect.annotateLogs({ sid: socket.id }))
        yield* socket.broadcast.emit("say", text)
        return (yield* all.sockets).length
      })
    })
  })
)

/** Does nothing unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set. */
const Telemetry = Otlp.layerFromConfig({ resource: { serviceName: "chat" } }).pipe(
  Layer.provide([FetchHttpClient.layer, OtlpSerialization.layerJson])
)

const Main = Layer.mergeAll(
  ChatLive,
  HttpRouter.serve(PrometheusMetrics.layerHttp({ path: "/metrics" }), { disableLogger: true })
).pipe(
  // The environment may set other options, too: SOCKETIO_HEARTBEAT_PING_INTERVAL, SOCKETIO_CORS_ORIGIN, …
  Layer.provide(NodeSocketIoHttp.layerConfig(NodeConfig.listening)),
  // The server's layer needs it, so that handlers have the tracer.
  Layer.provide(Telemetry)
)

NodeRuntime.runMain(Layer.launch(Main))
