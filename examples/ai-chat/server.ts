/**
 * A chat with a model: its answers survive a lost connection and a closed page, and show in every tab.
 *
 *     npx node examples/ai-chat/server.ts
 *
 * Open the address that it prints, ask something long, and open the address of the page in another
 * tab. The page at / has the client of this library; the one at /official/ has the AI SDK's chat and the
 * official client.
 */
import { fileURLToPath } from "node:url"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import * as NodeSocketIoHttp from "effect-socket.io/node/NodeSocketIoHttp"
import { StreamLog } from "effect-socket.io/streams"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"

import { bundle } from "../chat/bundle.ts"
import { AiLive } from "./ai.ts"

const html = fileURLToPath(new URL("index.html", import.meta.url))

/** A page, and the script beside it. */
const page = (path: "/" | "/official/", script: Uint8Array) =>
  Layer.merge(
    HttpRouter.add("GET", path, HttpServerResponse.file(html)),
    HttpRouter.add(
      "GET",
      `${path}client.js`,
      HttpServerResponse.uint8Array(script, { contentType: "text/javascript; charset=utf-8" })
    )
  )

const Announcement = Layer.effectDiscard(
  Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    if ("port" in address) yield* Effect.logInfo(`AI chat listening on http://localhost:${address.port}`)
  })
)

const Main = Effect.gen(function* () {
  const [ours, official] = yield* Effect.all([bundle("../ai-chat/own-page.ts"), bundle("../ai-chat/official-page.ts")])
  const pages = Layer.merge(page("/", ours), page("/official/", official))
  return Announcement.pipe(
    Layer.provide([AiLive, HttpRouter.serve(pages, { disableLogger: true, disableListenLog: true })]),
    Layer.provide(NodeSocketIoHttp.layer({ port: Number(process.env.PORT ?? 3000) })),
    // With several servers: RedisStreamLog.layer() of effect-socket.io/redis.
    Layer.provide(StreamLog.layerMemory({ retain: "10 minutes", maxRunningPerClient: 4 }))
  )
}).pipe(Layer.unwrap)

NodeRuntime.runMain(Layer.launch(Main))
