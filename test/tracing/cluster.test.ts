/**
 * One trace through a client, two nodes of a cluster, and another client, as a collector sees it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Stream } from "effect"
import { createClient } from "redis"

import * as ClientTelemetry from "../../src/client/ClientTelemetry.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as RedisAdapter from "../../src/redis/RedisAdapter.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisStreamsAdapter from "../../src/redis/RedisStreamsAdapter.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { requires } from "../support/peers.ts"
import { redis, until } from "../support/redisServer.ts"
import { serve } from "../support/serve.ts"
import { type Collector, collector, exporting } from "./collector.ts"
import { Shop } from "./shop.ts"

const adapters = {
  "Redis, classic": RedisAdapter.layer(),
  "Redis, sharded": RedisAdapter.layerSharded(),
  "Redis Streams": RedisStreamsAdapter.layer()
}

/** A server that tells all clients of each order, and asks all of them to confirm it. */
const ShopLive = SocketIoServer.layerNamespace(
  Shop,
  Effect.fnUntraced(function* () {
    const all = yield* SocketIoServer.namespace(Shop)
    return Shop.of({
      order: Effect.fnUntraced(function* (article) {
        yield* all.emit("sold", article)
        const answers = yield* Stream.runCollect(all.emitWithAck("confirm", article))
        return answers.map(({ response }) => (response._tag === "Success" ? response.success : "failed")).join()
      }, Effect.orDie),
      several: () => Effect.succeed(""),
      bare: () => Effect.succeed("")
    })
  })
)

/** A client of a node, with a tracer of its own. */
const connectTraced = Effect.fnUntraced(function* (url: string, collected: Collector, service: string) {
  const tracer = yield* Layer.build(exporting(collected, service))
  const client = yield* Layer.build(SocketIoClient.layer({ url }).pipe(Layer.provide(ClientTelemetry.layer()))).pipe(
    Effect.provideContext(tracer)
  )
  const context = Context.merge(client, tracer)
  const shop = yield* Effect.provideContext(SocketIoClient.connect(Shop), context)
  return { shop, context }
})

for (const [name, adapter] of Object.entries(adapters)) {
  describe(`a trace over ${name}`, requires("Redis"), () => {
    it.live("goes from a client over two nodes to another client", () =>
      Effect.gen(function* () {
        const broker = yield* redis()
        const collected = yield* collector
        const node = (service: string) => {
          const Redis = RedisClient.layer(
            Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url: broker.url })))
          )
          const layers = Layer.merge(exporting(collected, service), Layer.provide(adapter, Redis))
          return Effect.flatMap(Layer.build(Layer.fresh(layers)), (context) =>
            Effect.provideContext(serve(ShopLive), context)
          )
        }
        const first = yield* node("node A")
        const second = yield* node("node B")
        const buyer = yield* connectTraced(first.url, collected, "buyer")
        const seller = yield* connectTraced(second.url, collected, "seller")
        const heard = yield* Deferred.make<string>()
        yield* Effect.provideContext(
          buyer.shop.respond("confirm", () => Effect.succeed("buyer")),
          buyer.context
        )
        yield* Effect.provideContext(
          Effect.andThen(
            seller.shop.respond("sold", (article) => Effect.asVoid(Deferred.succeed(heard, article))),
            seller.shop.respond("confirm", () => Effect.succeed("seller"))
          ),
          seller.context
        )

        const order = Effect.provideContext(
          Effect.withSpan(buyer.shop.emitWithAck("order", "book"), "purchase"),
          buyer.context
        )
        // The nodes may not know of each other yet.
        const answer = yield* Effect.promise(() =>
          until("both clients to confirm", async () => {
            const answer = await Effect.runPromise(order)
            return answer.includes("seller") ? answer : undefined
          })
        )
        assert.strictEqual(answer.split(",").toSorted().join(), "buyer,seller")
        assert.strictEqual(yield* Deferred.await(heard), "book")

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
      }).pipe(Effect.scoped)
    )
  })
}
