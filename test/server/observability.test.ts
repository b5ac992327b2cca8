import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Effect, Layer, Metric, References, Tracer } from "effect"

import * as Event from "../../src/Event.ts"
import { parseDebug } from "../../src/internal/debugNamespaces.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as ServerMetrics from "../../src/server/ServerMetrics.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import type { ServerOptions } from "../../src/server/ServerOptions.ts"
import { call, connect, refusal, serve } from "../support/serve.ts"

class Plain extends Namespace.make("/observed", { clientToServer: [Event.make("ask")] }) {}

/** The name of the span that a handler runs in. */
const spanName = Effect.map(Effect.option(Effect.currentSpan), (span) =>
  span._tag === "None" ? "none" : span.value.name
)

/** Serves handlers that note their span. */
const spans = (options: ServerOptions, seen: Array<string>) =>
  serve(
    Layer.mergeAll(
      SocketIoServer.layerNamespace(Plain, () =>
        Effect.succeed(Plain.of({ ask: () => Effect.map(spanName, (name) => seen.push(name)) }))
      ),
      SocketIoServer.layerNamespace("/plain", (socket) =>
        socket.on("ask", () => Effect.map(spanName, (name) => seen.push(name)))
      )
    ),
    options
  )

/** A tracer that keeps what has ended. */
const recording = (ended: Array<Tracer.NativeSpan>) =>
  Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      const end = span.end.bind(span)
      span.end = (endTime, exit) => {
        end(endTime, exit)
        ended.push(span)
      }
      return span
    }
  })

describe("spans of handlers", () => {
  it.live("are there when there is a tracer, with what they are about", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const ended: Array<Tracer.NativeSpan> = []
      const { url } = yield* Effect.provideService(spans({}, seen), Tracer.Tracer, recording(ended))
      const socket = yield* connect(`${url}/observed`)
      yield* call(socket, "ask")
      yield* call(yield* connect(`${url}/plain`), "ask")
      assert.deepStrictEqual(seen, ["socket.io ask", "socket.io event"])
      const span = ended.find(({ name }) => name === "socket.io ask")
      assert.deepStrictEqual(Object.fromEntries(span!.attributes), {
        "socketio.namespace": "/observed",
        "socketio.event": "ask",
        "socketio.sid": socket.id
      })
      assert.strictEqual(span!.kind, "server")
      assert.strictEqual(span!.parent._tag, "None")
    })
  )

  it.live("are not there without a tracer, nor where they are switched off", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const untraced = yield* spans({}, seen)
      yield* call(yield* connect(`${untraced.url}/observed`), "ask")
      const off = yield* Effect.provideService(spans({ tracing: false }, seen), Tracer.Tracer, recording([]))
      yield* call(yield* connect(`${off.url}/observed`), "ask")
      assert.deepStrictEqual(seen, ["none", "none"])
    })
  )

  it.live("can be switched on for the default tracer", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const { url } = yield* spans({ tracing: true }, seen)
      yield* call(yield* connect(`${url}/observed`), "ask")
      assert.deepStrictEqual(seen, ["socket.io ask"])
    })
  )
})

describe("metrics of the server", () => {
  it.live("say how long handlers take, and who was refused", () =>
    Effect.gen(function* () {
      const registry: Context.Service.Shape<typeof Metric.MetricRegistry> = new Map()
      const { url } = yield* Effect.provideService(spans({}, []), Metric.MetricRegistry, registry)
      const socket = yield* connect(`${url}/observed`)
      yield* call(socket, "ask")
      yield* call(socket, "ask")
      yield* call(yield* connect(`${url}/plain`), "ask")
      yield* refusal(`${url}/nowhere`)
      const read = <Input, State>(metric: Metric.Metric<Input, State>, attributes: Record<string, string>) =>
        Effect.provideService(Metric.value(Metric.withAttributes(metric, attributes)), Metric.MetricRegistry, registry)
      const asked = yield* read(ServerMetrics.handlerDuration, { namespace: "/observed", event: "ask" })
      assert.strictEqual(asked.count, 2)
      assert.isBelow(asked.max, 10)
      const plain = yield* read(ServerMetrics.handlerDuration, { namespace: "/plain", event: "" })
      assert.strictEqual(plain.count, 1)
      assert.strictEqual((yield* read(ServerMetrics.namespaceRefusals, { namespace: "" })).count, 1)
    })
  )
})

describe("debug logs", () => {
  /** The log of a server with this setting while a client comes and goes. */
  const logged = Effect.fnUntraced(function* (debug: string | undefined, level: "Info" | "Debug") {
    const provider = ConfigProvider.fromEnv({ env: debug === undefined ? {} : { DEBUG: debug } })
    const { logs, url } = yield* spans({}, []).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, provider),
      Effect.provideService(References.MinimumLogLevel, level)
    )
    const socket = yield* connect(`${url}/observed`)
    yield* Effect.promise(() => socket.timeout(10_000).emitWithAck("ask"))
    return Array.from(new Set(logs.flatMap((line) => /\[(.*?)\]/.exec(line)?.[1] ?? []))).toSorted()
  })

  it.live("are silent where nobody asks for them", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* logged(undefined, "Info"), [])
      assert.deepStrictEqual(yield* logged("express:*", "Info"), [])
    })
  )

  it.live("come from the parts that are asked for by their names", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* logged("socket.io*", "Info"), ["socket.io:connection", "socket.io:namespace"])
      assert.deepStrictEqual(yield* logged("socket.io:namespace", "Info"), ["socket.io:namespace"])
      assert.deepStrictEqual(yield* logged("*,-socket.io:namespace", "Info"), ["socket.io:connection"])
    })
  )

  it.live("come from all parts where the application logs at that level", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* logged(undefined, "Debug"), ["socket.io:connection", "socket.io:namespace"])
    })
  )

  it("are asked for in the notation of the debug package", () => {
    const { includes } = parseDebug("socket.io:s*, engine  -socket.io:server")
    assert.isTrue(includes("socket.io:socket"))
    assert.isTrue(includes("engine"))
    assert.isFalse(includes("socket.io:server"))
    assert.isFalse(includes("socket.io:namespace"))
    assert.isFalse(parseDebug("").includes("socket.io:socket"))
    assert.isFalse(parseDebug("socket.io").includes("socketXio"))
  })
})
