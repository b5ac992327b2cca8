/**
 * The spans and metrics of our client, and what it sends for them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric, References, Stream, Tracer } from "effect"

import * as ClientTelemetry from "../../src/client/ClientTelemetry.ts"
import * as RetryingEmitter from "../../src/client/RetryingEmitter.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import type { ServerOptions } from "../../src/server/ServerOptions.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { readOnly } from "../support/metrics.ts"
import { Shop } from "./shop.ts"
import { linksOf, noPropagation, parentOf, type Recording, recording } from "./spans.ts"

/** The trace context of a span, as `parentOf` gives it. */
const idOf = ({ spanId, traceId }: Tracer.Span) => `${traceId}/${spanId}`

/** A shop that sells what is ordered, and asks its client to confirm it. */
const ShopLive = SocketIoServer.layerNamespace(Shop, (socket) =>
  Effect.succeed(
    Shop.of({
      order: (article) =>
        Effect.andThen(socket.emit("sold", article), Effect.orDie(socket.emitWithAck("confirm", article))),
      several: ([one, two]) => Effect.succeed(`${one} ${two ?? "alone"}`),
      bare: () => Effect.fail("no reason" as never),
      pay: Effect.succeed
    })
  )
)

interface Setting {
  readonly telemetry?: ClientTelemetry.ClientTelemetryOptions
  readonly options?: ServerOptions
}

type Recorded = { readonly server: Recording; readonly client: Recording }

/** Runs a test whose server and client have a tracer each; the effects of the test have the client's. */
const traced = <A, E>(
  test: (recorded: Recorded) => Effect.Effect<A, E, any>,
  { options = {}, telemetry = {} }: Setting = {}
): Effect.Effect<A, E> => {
  const [server, client] = [recording(), recording()]
  // The client has its tracer from where it is made.
  const ClientLive = Layer.effect(
    SocketIoClient.SocketIoClient,
    TestSocketIo.makeClient({ extras: [ClientTelemetry.make(telemetry)] })
  ).pipe(Layer.provide(client.layer))
  const ServerLive = Layer.merge(ShopLive, PlainLive).pipe(
    Layer.provideMerge(TestSocketIo.layer(options)),
    Layer.provide(server.layer)
  )
  return Effect.scoped(test({ server, client })).pipe(
    Effect.provideService(Tracer.Tracer, client.tracer),
    Effect.provide(Layer.provideMerge(ClientLive, ServerLive)),
    Effect.provideService(Metric.MetricRegistry, new Map())
  ) as Effect.Effect<A, E>
}

const PlainLive = SocketIoServer.layerNamespace("/", () => Effect.void)

const connected = Effect.gen(function* () {
  const shop = yield* SocketIoClient.connect(Shop)
  yield* shop.respond("confirm", (article) => Effect.succeed(`${article} is fine`))
  return shop
})

describe("a client with telemetry", () => {
  it.effect("sends the context of its span, and answers in the trace of the question", () =>
    traced(({ client, server }) =>
      Effect.gen(function* () {
        const shop = yield* connected
        const sold = yield* shop.subscribe("sold")
        assert.strictEqual(yield* Effect.withSpan(shop.emitWithAck("order", "book"), "purchase"), "book is fine")
        assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(sold, 1)), ["book"])
        const sent = client.only("socket.io order")
        assert.strictEqual(sent.kind, "client")
        assert.strictEqual(parentOf(sent), idOf(client.only("purchase")))
        assert.strictEqual(sent.status._tag, "Ended")
        const handled = server.only("socket.io order")
        assert.strictEqual(parentOf(handled), idOf(sent))
        assert.strictEqual(parentOf(client.only("socket.io confirm")), idOf(handled))
        // It is taken by a stream: the span says that it has come.
        const came = client.only("socket.io sold")
        assert.isUndefined(parentOf(came))
        assert.deepStrictEqual(linksOf(came), [idOf(handled)])
        assert.strictEqual(came.status._tag, "Ended")
        assert.deepStrictEqual(Object.fromEntries(sent.attributes), {
          "socketio.namespace": "/shop",
          "socketio.event": "order",
          "socketio.sid": shop.id
        })
      })
    )
  )

  it.effect("names spans by the conventions for messaging, if that is asked for", () =>
    traced(
      ({ client }) =>
        Effect.gen(function* () {
          const shop = yield* connected
          yield* shop.subscribe("sold")
          yield* Effect.withSpan(shop.emitWithAck("order", "book"), "purchase")
          const sent = client.only("send order")
          assert.strictEqual(sent.kind, "client")
          assert.strictEqual(sent.attributes.get("messaging.operation.type"), "send")
          assert.strictEqual(sent.attributes.get("messaging.client.id"), shop.id)
          assert.strictEqual(client.only("process confirm").kind, "server")
          assert.strictEqual(client.only("process sold").kind, "consumer")
          yield* Effect.withSpan(shop.emit("several", ["a"]), "more")
          assert.strictEqual(client.only("send several").kind, "producer")
        }),
      { telemetry: { names: "messaging" } }
    )
  )

  it.effect("sends the context behind arguments that are left out, and with the id of an event", () =>
    traced(({ client, server }) =>
      Effect.gen(function* () {
        const shop = yield* connected
        assert.strictEqual(yield* Effect.withSpan(shop.emitWithAck("several", ["a", "b"]), "two"), "a b")
        assert.strictEqual(parentOf(server.only("socket.io several")), idOf(client.only("socket.io several")))
        assert.strictEqual(yield* Effect.withSpan(shop.emitWithAck("several", ["a"]), "one"), "a alone")
        const orders = yield* RetryingEmitter.make(shop, { retries: 1, ackTimeout: "5 seconds" })
        // With an id, without which the server would refuse the event.
        assert.strictEqual(yield* Effect.withSpan(orders.emitWithAck("pay", "bill"), "paid"), "bill")
        assert.strictEqual(parentOf(server.only("socket.io pay")), idOf(client.only("socket.io pay")))
        assert.strictEqual(yield* Effect.withSpan(orders.emitWithAck("order", "pen"), "retried"), "pen is fine")
        assert.strictEqual(parentOf(server.only("socket.io order")), idOf(client.only("socket.io order")))
        yield* Effect.withSpan(shop.volatile.compress(false).emitWithAck("bare"), "flagged").pipe(Effect.exit)
        assert.strictEqual(parentOf(server.only("socket.io bare")), idOf(client.only("socket.io bare")))
      })
    )
  )

  const silent: Record<string, (effect: Effect.Effect<unknown, any>) => Effect.Effect<unknown, any>> = {
    "outside of spans": (effect) => effect,
    "in a span that is not sampled": Effect.withSpan("purchase", { sampled: false }),
    "where contexts are not propagated": (effect) => Effect.withSpan(noPropagation(effect), "purchase"),
    "where tracing is disabled": (effect) =>
      Effect.withSpan(Effect.provideService(effect, References.TracerEnabled, false), "purchase")
  }
  for (const [where, within] of Object.entries(silent)) {
    it.effect(`sends nothing ${where}`, () =>
      traced(({ client, server }) =>
        Effect.gen(function* () {
          const shop = yield* connected
          yield* within(shop.emitWithAck("order", "book"))
          assert.isUndefined(parentOf(server.only("socket.io order")))
          assert.isFalse(client.spans.some(({ name }) => name === "socket.io order"))
        })
      )
    )
  }

  it.effect("sends nothing to a server without a tracer, and gets nothing of it", () =>
    traced(
      ({ client, server }) =>
        Effect.gen(function* () {
          const shop = yield* connected
          const seen: Array<unknown> = []
          yield* shop.onAnyOutgoing((event, args) => Effect.sync(() => void seen.push([event, ...args])))
          yield* shop.onAny((event, args) => Effect.sync(() => void seen.push([event, ...args])))
          yield* Effect.withSpan(shop.emitWithAck("order", "book"), "purchase")
          assert.deepStrictEqual(seen, [
            ["order", "book"],
            ["sold", "book"],
            ["confirm", "book"]
          ])
          assert.deepStrictEqual(server.spans, [])
          // Its own spans are there.
          assert.strictEqual(parentOf(client.only("socket.io order")), idOf(client.only("purchase")))
        }),
      { options: { tracing: false } }
    )
  )

  it.effect("has no spans without a tracer, or where they are switched off", () =>
    traced(
      ({ client }) =>
        Effect.gen(function* () {
          const shop = yield* connected
          yield* Effect.withSpan(shop.emitWithAck("order", "book"), "purchase")
          assert.deepStrictEqual(
            client.spans.map(({ name }) => name),
            ["purchase"]
          )
        }),
      { telemetry: { tracing: false } }
    )
  )

  it.effect("hides the context from sockets without a contract, and keeps every other argument", () =>
    traced(() =>
      Effect.gen(function* () {
        const shop = yield* SocketIoClient.connect("/shop")
        yield* shop.respond("confirm", (...args) => Effect.succeed(`${args.length}`))
        const sold = yield* shop.subscribe("sold")
        assert.deepStrictEqual(yield* shop.emitWithAck("order", "book"), ["1"])
        assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(sold, 1)), [["book"]])
      })
    )
  )

  it.effect("recovers what it has missed, with contexts among the arguments", () =>
    traced(
      () =>
        Effect.gen(function* () {
          const shop = yield* SocketIoClient.connect("/shop")
          const sold = yield* shop.subscribe("sold")
          yield* shop.respond("confirm", () => Effect.succeed("yes"))
          yield* shop.emitWithAck("order", "book")
          // The offset is there, behind the place of the context.
          const [first] = yield* Stream.runCollect(Stream.take(sold, 1))
          assert.lengthOf(first as ReadonlyArray<unknown>, 2)
          assert.match(String((first as ReadonlyArray<unknown>)[1]), /^[\w-]{6}\.\w+$/)
        }),
      { options: { recovery: true } }
    )
  )
})

describe("the metrics of a client", () => {
  it.effect("count connections, events, acknowledgements and handlers", () =>
    traced(() =>
      Effect.gen(function* () {
        const shop = yield* connected
        yield* shop.emitWithAck("order", "book")
        yield* Effect.exit(shop.emitWithAck("bare"))
        const before = yield* readOnly("client_")
        assert.deepStrictEqual(before, {
          "client_sockets{/shop}": 1,
          "client_connects{/shop}": 1,
          "client_events_sent{/shop,order}": 1,
          "client_events_sent{/shop,bare}": 1,
          "client_events_received{/shop,sold}": 1,
          "client_events_received{/shop,confirm}": 1,
          "client_handler_duration_seconds{/shop,confirm}": 1,
          "client_ack_duration_seconds{/shop,order}": 1,
          "client_ack_duration_seconds{/shop,bare}": 1,
          "client_ack_failures{/shop,bare,HandlerFailed}": 1
        })
        const plain = yield* SocketIoClient.connect("/")
        yield* plain.emit("any name")
        yield* plain.respond("whatever", () => Effect.void)
        assert.deepInclude(yield* readOnly("client_events_sent"), { "client_events_sent{/,}": 1 })
        yield* plain.disconnect()
        yield* shop.disconnect()
        const after = yield* readOnly("client_sockets", "client_disconnects")
        assert.deepStrictEqual(after, {
          "client_disconnects{/,io client disconnect}": 1,
          "client_disconnects{/shop,io client disconnect}": 1
        })
      })
    )
  )
})
