/**
 * One trace through a client, two nodes of a cluster, and another client, as a collector sees it.
 */
import * as Http from "node:http"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Stream } from "effect"
import { build } from "esbuild"
import { createClient } from "redis"

import * as ClientTelemetry from "../../src/client/ClientTelemetry.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as RedisAdapter from "../../src/redis/RedisAdapter.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisStreamsAdapter from "../../src/redis/RedisStreamsAdapter.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { launchChromium } from "../support/browser.ts"
import { requires } from "../support/peers.ts"
import { redis, until } from "../support/redisServer.ts"
import { listen, serve } from "../support/serve.ts"
import { type Collector, collector, exporting } from "./collector.ts"
import type { TracedPage } from "./page.ts"
import { Shop } from "./shop.ts"

type Adapter = ReturnType<typeof RedisAdapter.layer>

const adapters = {
  "Redis, classic": RedisAdapter.layer(),
  "Redis, sharded": RedisAdapter.layerSharded(),
  "Redis Streams": RedisStreamsAdapter.layer()
}

/** Handles what the other server says. */
const StockLive = Layer.effectDiscard(
  Effect.flatMap(SocketIoServer.namespace(Shop), (all) => all.onServerSide("stock", Effect.succeed))
)

/** A server that tells the other one and all clients of each order, and asks all of them to confirm it. */
const CounterLive = SocketIoServer.layerNamespace(
  Shop,
  Effect.fnUntraced(function* () {
    const all = yield* SocketIoServer.namespace(Shop)
    return Shop.of({
      order: Effect.fnUntraced(function* (article) {
        yield* all.emit("sold", article)
        yield* all.serverSideEmit("stock", article)
        yield* Stream.runDrain(all.serverSideEmitWithAck("stock", article))
        const answers = yield* Stream.runCollect(all.emitWithAck("confirm", article))
        return answers.map(({ response }) => (response._tag === "Success" ? response.success : "failed")).join()
      }, Effect.orDie),
      several: () => Effect.succeed(""),
      bare: () => Effect.succeed(""),
      pay: Effect.succeed
    })
  })
)

const ShopLive = Layer.merge(CounterLive, StockLive)

/** A client of a node, with a tracer of its own, which answers what it is asked. */
const connectTraced = Effect.fnUntraced(function* (url: string, collected: Collector, service: string) {
  const tracer = yield* Layer.build(exporting(collected, service))
  const Client = SocketIoClient.layer({ url, extras: [ClientTelemetry.make()] })
  return yield* Effect.gen(function* () {
    const context = Context.merge(yield* Layer.build(Client), tracer)
    const shop = yield* Effect.provideContext(SocketIoClient.connect(Shop), context)
    yield* shop.respond("sold", () => Effect.void)
    yield* shop.respond("confirm", () => Effect.succeed(service))
    return { shop, context }
  }).pipe(Effect.provideContext(tracer))
})

/** Two nodes of a cluster, whose spans are collected. */
const nodes = Effect.fnUntraced(function* (adapter: Adapter, collected: Collector) {
  const broker = yield* redis()
  return yield* Effect.forEach(["node A", "node B"], (service) => {
    const Redis = RedisClient.layer(Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url: broker.url }))))
    const layers = Layer.merge(exporting(collected, service), Layer.provide(adapter, Redis))
    return Effect.flatMap(Layer.build(Layer.fresh(layers)), (context) =>
      Effect.provideContext(serve(ShopLive, { cors: { origin: "*" }, allowedOrigins: "*" }), context)
    )
  })
})

/** Orders until both clients have confirmed it: the nodes may not know of each other yet. */
const orderUntilAll = (order: () => Promise<string>) =>
  Effect.promise(() =>
    until("both clients to confirm", async () => {
      const answer = await order()
      return answer.split(",").toSorted().join() === "buyer,seller" ? answer : undefined
    })
  )

/** The spans of one purchase, from the one client over both nodes to the other. */
const checkTrace = Effect.fnUntraced(function* (collected: Collector) {
  // An answer belongs to the trace of its question: it is one trace from the one client to the other.
  const answered = yield* collected.find({ service: "seller", name: "socket.io confirm" })
  const { traceId } = answered
  const purchase = yield* collected.find({ traceId, service: "buyer", name: "purchase" })
  const sent = yield* collected.find({ traceId, service: "buyer", name: "socket.io order" })
  const handled = yield* collected.find({ traceId, service: "node A", name: "socket.io order" })
  assert.strictEqual(sent.parentSpanId, purchase.spanId)
  assert.strictEqual(handled.parentSpanId, sent.spanId)
  assert.strictEqual(answered.parentSpanId, handled.spanId)
  assert.deepStrictEqual([sent.kind, handled.kind, answered.kind], [3, 2, 2])
  // Everything else goes to many: it is a trace of its own, with a link.
  const links = [{ traceId, spanId: handled.spanId }]
  const sold = yield* collected.find({ service: "seller", name: "socket.io sold", links })
  assert.notStrictEqual(sold.traceId, traceId)
  assert.isUndefined(sold.parentSpanId)
  // The same holds between the servers.
  yield* collected.find({ traceId, service: "node B", name: "socket.io stock", parentSpanId: handled.spanId })
  const told = yield* collected.find({ service: "node B", name: "socket.io stock", links })
  assert.notStrictEqual(told.traceId, traceId)
})

for (const [name, adapter] of Object.entries(adapters)) {
  describe(`a trace over ${name}`, requires("Redis"), () => {
    it.live("goes from a client over two nodes to another client", () =>
      Effect.gen(function* () {
        const collected = yield* collector
        const [first, second] = yield* nodes(adapter, collected)
        const buyer = yield* connectTraced(first!.url, collected, "buyer")
        yield* connectTraced(second!.url, collected, "seller")
        const order = Effect.withSpan(buyer.shop.emitWithAck("order", "book"), "purchase")
        yield* orderUntilAll(() => Effect.runPromise(Effect.provideContext(order, buyer.context)))
        yield* checkTrace(collected)
      }).pipe(Effect.scoped)
    )
  })
}

/** Serves the page with our client in it. */
const pages = Effect.gen(function* () {
  const entryPoints = [fileURLToPath(new URL("page.ts", import.meta.url))]
  const bundle = yield* Effect.promise(() =>
    build({ entryPoints, bundle: true, format: "iife", platform: "browser", write: false, logLevel: "silent" })
  )
  const script = bundle.outputFiles[0]!.text
  return yield* listen(
    Http.createServer((request, response) => {
      if (request.url === "/page.js") response.setHeader("content-type", "text/javascript").end(script)
      else response.setHeader("content-type", "text/html").end('<!doctype html><script src="/page.js"></script>')
    })
  )
})

describe("a trace in Chromium", requires("Chromium"), () => {
  describe("and Redis", requires("Redis"), () => {
    it.live("goes from a page over two nodes to another page", () =>
      Effect.gen(function* () {
        const collected = yield* collector
        const [first, second] = yield* nodes(adapters["Redis, sharded"], collected)
        const url = yield* pages
        const browser = yield* Effect.acquireRelease(
          Effect.promise(() => launchChromium()),
          ({ close }) => Effect.promise(close)
        )
        const start = (server: string, service: string) =>
          Effect.promise(async () => {
            const page = await browser.open(url)
            const run = (...args: Parameters<TracedPage["start"]>) =>
              (globalThis as unknown as TracedPage).start(...args)
            await page.evaluate(run, server, collected.url, service)
            return page
          })
        const buyer = yield* start(first!.url, "buyer")
        yield* start(second!.url, "seller")
        yield* orderUntilAll(() => buyer.evaluate(() => (globalThis as unknown as TracedPage).order("book")))
        yield* checkTrace(collected)
        assert.deepStrictEqual(browser.errors, [])
      }).pipe(Effect.scoped)
    )
  })
})
