/**
 * A chat that can be watched: metrics for Prometheus at /metrics, spans and logs over OTLP where an endpoint is set, debug logs of the
 * parts of the server that are asked for.
 *
 *     node examples/observability.ts
 *     curl http://localhost:3000/metrics
 *     OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 node examples/observability.ts
 *     DEBUG='socket.io:*,-socket.io:connection' node examples/observability.ts
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

/** Metrics of the application stand beside those of the library. */
const characters = Metric.counter("chat_characters", { description: "Characters that were said", incremental: true })

const ChatLive = SocketIoServer.layerNamespace(
  Chat,
  Effect.fnUntraced(function* (socket) {
    const all = yield* SocketIoServer.namespace(Chat)
    return Chat.of({
      // The library runs every handler in a span if there is a tracer; what it calls becomes a part of that.
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
  // Other settings by their names: SOCKETIO_PING_INTERVAL, SOCKETIO_CORS_ORIGIN, …
  Layer.provide(NodeSocketIoHttp.layerConfig(NodeConfig.listening)),
  // Below the server, so that its handlers have the tracer.
  Layer.provide(Telemetry)
)

NodeRuntime.runMain(Layer.launch(Main))
