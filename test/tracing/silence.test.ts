/**
 * Nothing of traces is on the wire where there is no tracer, and little work is done for what clients make up.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema, Tracer } from "effect"

import * as ClientTelemetry from "../../src/client/ClientTelemetry.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import type { ServerOptions } from "../../src/server/ServerOptions.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import * as TraceContext from "../../src/TraceContext.ts"
import { Shop } from "./shop.ts"
import { recording, traceparent } from "./spans.ts"

/** A newer version of a contract: the event may have one more argument. */
class Newer extends Namespace.make("/newer", {
  serverToClient: [
    Event.make("sold", {
      args: [Schema.String, Schema.optionalKey(Schema.Struct({ traceparent: Schema.String }))]
    })
  ]
}) {}

const OPEN = '0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'

/** The packets of a client in a sampled span, to a server that tells `greeting`. */
const sentBy = (
  client: Layer.Layer<SocketIoClient.SocketIoClient | TestSocketIo.RawServer, unknown>,
  greeting: string
) =>
  Effect.gen(function* () {
    const recorded = recording()
    const server = yield* TestSocketIo.RawServer
    const connecting = yield* Effect.forkChild(SocketIoClient.connect(Shop))
    const connection = yield* server.accept
    const { url } = connection.request
    yield* connection.send(OPEN)
    const connect = yield* connection.receive
    yield* connection.send(greeting)
    const shop = yield* Fiber.join(connecting)
    const emits = Effect.gen(function* () {
      yield* shop.emit("order", "book")
      yield* shop.emit("several", ["a"])
      yield* Effect.forkChild(shop.emitWithAck("bare"), { startImmediately: true })
    })
    yield* emits.pipe(Effect.withSpan("purchase"), Effect.provideService(Tracer.Tracer, recorded.tracer))
    const events = yield* Effect.all([connection.receive, connection.receive, connection.receive])
    return { fx: new URL(url, "http://localhost").searchParams.get("fx"), frames: [connect, ...events].map(String) }
  }).pipe(Effect.scoped, Effect.provide(client))

const FRAMES = ["40/shop,", '42/shop,["order","book"]', '42/shop,["several","a"]', '42/shop,0["bare"]']
const OURS = '40/shop,{"sid":"x","fx":{"contract":"abc"}}'
const TRACED = '40/shop,{"sid":"x","fx":{"trace":{"in":{"several":2,"bare":0},"out":{}}}}'

describe("a client", () => {
  /** A client with telemetry, and the test as its server. */
  const observed = (options?: ClientTelemetry.ClientTelemetryOptions) =>
    TestSocketIo.layerRawServer({ extras: [ClientTelemetry.make(options)] })
  const traced = observed().pipe(Layer.provide(recording().layer))
  const untraced = {
    "without telemetry": [null, TestSocketIo.layerRawServer()],
    "with a tracer and without telemetry": [null, TestSocketIo.layerRawServer().pipe(Layer.provide(recording().layer))],
    "with telemetry and without a tracer": ["0", observed()],
    "whose spans are switched off": ["0", observed({ tracing: false }).pipe(Layer.provide(recording().layer))]
  } as const
  for (const [which, [fx, client]] of Object.entries(untraced)) {
    it.effect(`${which} sends the same bytes as ever, whatever the server takes`, () =>
      Effect.gen(function* () {
        for (const greeting of ['40/shop,{"sid":"x"}', OURS, TRACED]) {
          assert.deepStrictEqual(yield* sentBy(client, greeting), { fx, frames: FRAMES })
        }
      })
    )
  }

  it.effect("with a tracer sends the same bytes to servers that do not take trace contexts", () =>
    Effect.gen(function* () {
      const others = [true, "yes", null, {}, { in: {} }, { in: {}, out: null }, { in: 1, out: 2 }]
      const greetings = others.map((trace) => `40/shop,${JSON.stringify({ sid: "x", fx: { trace } })}`)
      for (const greeting of ['40/shop,{"sid":"x"}', OURS, ...greetings]) {
        assert.deepStrictEqual(yield* sentBy(traced, greeting), { fx: "0.trace", frames: FRAMES })
      }
      const { frames } = yield* sentBy(traced, TRACED)
      const plain = frames.map((frame) => frame.replace(/(?:,null)?,?\{"traceparent":"00-[0-9a-f-]{52}"\}/, ""))
      assert.deepStrictEqual(plain, FRAMES)
      assert.isTrue(frames.slice(1).every((frame) => frame.includes("traceparent")))
    })
  )

  it.effect("sends no trace context with an event that has other arguments at the server", () =>
    Effect.gen(function* () {
      for (const [places, withContext] of [
        [{ in: { order: 2, several: 2, bare: 0 }, out: {} }, [2, 3]],
        [{ in: { several: 3, bare: 0 }, out: {} }, [1, 3]],
        [{ in: { several: 2 }, out: {} }, [1, 2]],
        [{ in: { order: "1", several: null, bare: {} }, out: {} }, []]
      ] as const) {
        const { frames } = yield* sentBy(traced, `40/shop,${JSON.stringify({ sid: "x", fx: { trace: places } })}`)
        const having = [1, 2, 3].filter((i) => frames[i]!.includes("traceparent"))
        assert.deepStrictEqual(having, [...withContext])
      }
    })
  )

  it.effect("takes no trace context for an argument, whatever contract it has", () =>
    Effect.gen(function* () {
      const server = yield* TestSocketIo.RawServer
      const untypedShop = yield* Effect.forkChild(SocketIoClient.connect("/"))
      const connection = yield* server.accept
      yield* connection.send(OPEN)
      yield* connection.receive
      const greet = (namespace: string) =>
        connection.send(`40${namespace},${JSON.stringify({ sid: "x", fx: { trace: { in: {}, out: { more: 2 } } } })}`)
      yield* greet("/")
      const plain = yield* Fiber.join(untypedShop)
      const connecting = yield* Effect.forkChild(SocketIoClient.connect(Newer))
      yield* connection.receive
      yield* greet("/newer")
      const newer = yield* Fiber.join(connecting)
      const seen: Array<unknown> = []
      yield* plain.respond("sold", (...args) => Effect.sync(() => void seen.push(args)))
      yield* plain.respond("more", (...args) => Effect.sync(() => void seen.push(args)))
      yield* newer.respond("sold", (args) => Effect.sync(() => void seen.push(args)))
      const trace = { traceparent }
      const send = (namespace: string, ...data: ReadonlyArray<unknown>) =>
        connection.send(`42${namespace},${JSON.stringify(data)}`)
      yield* send("/", "sold", "book", trace)
      yield* send("/", "sold", trace, "offset")
      yield* send("/", "more", "a", trace, trace, "offset")
      yield* send("/", "more", "a", "b", { ...trace, other: 1 })
      yield* send("/newer", "sold", "book", trace)
      yield* send("/newer", "sold", "book")
      yield* Effect.repeat(Effect.yieldNow, { times: 200 })
      assert.deepStrictEqual(seen, [
        ["book"],
        [trace, "offset"],
        ["a", trace, "offset"],
        ["a", "b", { ...trace, other: 1 }],
        ["book"],
        ["book"]
      ])
    }).pipe(Effect.scoped, Effect.provide(traced))
  )
})

/** The packets of a server for a client that asks for trace contexts. */
const sentTo = (fx: string, options: ServerOptions) =>
  Effect.gen(function* () {
    const peer = yield* TestSocketIo.rawClient({ query: { fx }, headers: { traceparent } })
    const packets = [yield* peer.receive]
    yield* peer.send("40/shop,")
    packets.push(yield* peer.receive)
    yield* peer.send(`42/shop,1["order","book",{"traceparent":"${traceparent}"}]`)
    for (let i = 0; i < 3; i++) packets.push(yield* peer.receive)
    return packets.map((packet) => String(packet).replace(/"(sid|pid)":"[^"]*"|(?<=")[\w-]{6}(?=\.\w+"\])/g, "$1"))
  }).pipe(
    Effect.scoped,
    Effect.provide(
      SocketIoServer.layerNamespace(Shop, (socket) =>
        Effect.map(SocketIoServer.namespace(Shop), (all) =>
          Shop.of({
            order: (article) =>
              Effect.as(Effect.andThen(all.emit("sold", article), socket.emit("sold", article)), article),
            several: () => Effect.succeed(""),
            bare: () => Effect.succeed(""),
            pay: Effect.succeed
          })
        )
      ).pipe(Layer.provideMerge(TestSocketIo.layer(options)))
    )
  )

describe("a server", () => {
  for (const recovery of [false, true]) {
    it.effect(`without a tracer sends the same bytes to all of our clients${recovery ? ", with recovery" : ""}`, () =>
      Effect.gen(function* () {
        const expected = yield* sentTo("1", { recovery })
        assert.notInclude(expected.join(), "trace")
        assert.deepStrictEqual(yield* sentTo("1.trace", { recovery }), expected)
        const { layer } = recording()
        const off = yield* Effect.provide(sentTo("1.trace", { recovery, tracing: false }), layer)
        assert.deepStrictEqual(off, expected)
        // Spans of the default tracer are nowhere to be found.
        const byDefault = yield* sentTo("1.trace", { recovery, tracing: true })
        assert.deepStrictEqual(byDefault.slice(2), expected.slice(2))
        // With a tracer, clients that do not ask for it get the same.
        assert.deepStrictEqual(yield* Effect.provide(sentTo("1", { recovery }), layer), expected)
        assert.include((yield* Effect.provide(sentTo("1.trace", { recovery }), layer)).join(), "traceparent")
      })
    )
  }
})

describe("a trace context that is made up", () => {
  /** The CPU that it takes to read one many times, in microseconds. */
  const cost = (context: { readonly traceparent: string; readonly tracestate?: string }): number => {
    const start = process.cpuUsage()
    for (let i = 0; i < 20_000; i++) TraceContext.toSpan(context)
    const { system, user } = process.cpuUsage(start)
    return user + system
  }

  it("costs no more than a real one, however long it is", () => {
    const real = { traceparent, tracestate: "vendor=value" }
    const long = "x".repeat(1_000_000)
    for (const context of [
      { traceparent: long },
      { traceparent: "-".repeat(1_000_000) },
      { traceparent: "-".repeat(55) },
      { traceparent, tracestate: long },
      { traceparent: long, tracestate: long }
    ]) {
      cost(context)
      // The best of some runs, as others work on the machine, too.
      const best = (measured: typeof real | typeof context) => Math.min(...[1, 2, 3].map(() => cost(measured)))
      assert.isBelow(best(context), 3 * best(real) + 1_000)
    }
  })
})
