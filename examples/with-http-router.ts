/**
 * Socket.IO beside an Effect HTTP application, on one port. A POST request sends an announcement to
 * every connected client. A page shows the contract to the people who write clients.
 *
 *     npx node examples/with-http-router.ts
 *     curl -X POST -H 'content-type: application/json' -d '{"text":"hello"}' http://localhost:3000/announcements
 *
 * The answer says how many sockets got it. In another terminal, in `npx node`:
 *
 *     const { io } = require("socket.io-client")
 *     io("http://localhost:3000/news").on("announcement", ({ text }) => console.log(text))
 *
 * The contract is on http://localhost:3000/asyncapi, and in http://localhost:3000/asyncapi.json.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Schema } from "effect"
import { Event, Namespace } from "effect-socket.io"
import * as AsyncApi from "effect-socket.io/AsyncApi"
import * as NodeSocketIoHttp from "effect-socket.io/node/NodeSocketIoHttp"
import { SocketIoServer } from "effect-socket.io/server"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"

class Announcement extends Schema.Class<Announcement>("Announcement")({ text: Schema.String }) {}

class News extends Namespace.make("/news", {
  description: "What everybody should know.",
  serverToClient: [
    Event.make("announcement", {
      description: "Somebody has posted an announcement.",
      payload: Announcement,
      examples: [{ text: "hello" }]
    })
  ]
}) {}

const NewsLive = SocketIoServer.layerNamespace(
  News,
  Effect.fnUntraced(function* (socket) {
    yield* Effect.logInfo("connected").pipe(Effect.annotateLogs({ sid: socket.id, namespace: socket.namespace }))
    return News.of({})
  })
)

const Routes = Layer.mergeAll(
  HttpRouter.add("GET", "/", HttpServerResponse.text("POST /announcements, or connect to the namespace /news\n")),
  HttpRouter.add(
    "POST",
    "/announcements",
    Effect.gen(function* () {
      const announcement = yield* HttpServerRequest.schemaBodyJson(Announcement)
      const news = yield* SocketIoServer.namespace(News)
      yield* news.emit("announcement", announcement)
      const sockets = yield* news.sockets
      return yield* HttpServerResponse.json({ reached: sockets.length })
    }).pipe(
      Effect.catchTag("SchemaError", (error) => Effect.succeed(HttpServerResponse.text(error.message, { status: 400 })))
    )
  )
)

const Docs = AsyncApi.layerHttp({ namespaces: [News], title: "News", version: "1.0.0" })

const Main = Layer.mergeAll(NewsLive, HttpRouter.serve(Layer.merge(Routes, Docs))).pipe(
  Layer.provide(NodeSocketIoHttp.layer({ port: Number(process.env.PORT ?? 3000) }))
)

NodeRuntime.runMain(Layer.launch(Main))
