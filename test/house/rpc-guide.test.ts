/**
 * The claims of the guide about Effect RPC: both on one port.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { FetchHttpClient, HttpRouter, HttpServer } from "effect/http"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"
import { Socket } from "effect/socket"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NodeSocketIoHttp from "../../src/node/NodeSocketIoHttp.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { connect, next } from "../support/serve.ts"

class News extends Namespace.make("/news", { serverToClient: [Event.make("published", { payload: Schema.String })] }) {}

class Api extends RpcGroup.make(Rpc.make("Publish", { payload: { title: Schema.String }, success: Schema.Int })) {}

const ApiLive = Api.toLayer(
  Effect.gen(function* () {
    const news = yield* SocketIoServer.namespace(News)
    return {
      Publish: ({ title }) => Effect.andThen(news.emit("published", title), Effect.orDie(news.all.size))
    }
  })
)

const NewsLive = SocketIoServer.layerNamespace(News, () => Effect.succeed(News.of({})))

describe("Socket.IO and Effect RPC on one port", () => {
  for (const protocol of ["http", "websocket"] as const) {
    it.live(`serve a client of each, which hears of the other's call, over ${protocol}`, () =>
      Effect.gen(function* () {
        const Routes = RpcServer.layerHttp({ group: Api, path: "/rpc", protocol }).pipe(
          Layer.provide(ApiLive),
          Layer.provide(RpcSerialization.layerNdjson)
        )
        const server = yield* Layer.build(
          Layer.merge(NewsLive, HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true })).pipe(
            Layer.provideMerge(NodeSocketIoHttp.layer({ port: 0, host: "127.0.0.1", drainTimeout: "1 second" }))
          )
        )
        const { address } = yield* Effect.provide(HttpServer.HttpServer, server)
        assert("port" in address)
        const url = `http://127.0.0.1:${address.port}`
        const socket = yield* connect(`${url}/news`)
        const published = next(socket, "published")
        const client =
          protocol === "http"
            ? RpcClient.layerProtocolHttp({ url: `${url}/rpc` }).pipe(Layer.provide(FetchHttpClient.layer))
            : RpcClient.layerProtocolSocket().pipe(
                Layer.provide(Socket.layerWebSocket(`ws://127.0.0.1:${address.port}/rpc`)),
                Layer.provide(Socket.layerWebSocketConstructorGlobal)
              )
        const reached = yield* Effect.gen(function* () {
          const api = yield* RpcClient.make(Api)
          return yield* api.Publish({ title: "both" })
        }).pipe(Effect.provide(client.pipe(Layer.provide(RpcSerialization.layerNdjson))), Effect.scoped)
        assert.strictEqual(reached, 1)
        assert.deepStrictEqual(yield* published, ["both"])
      }).pipe(Effect.scoped)
    )
  }
})
