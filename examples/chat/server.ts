/**
 * A chat: a contract, its server, and a page whose client has the same contract. On /official/ the
 * same page has the official client.
 *
 *     npm start
 *
 * Open the address that it prints in two windows. The page and the chat share one port.
 */
import { fileURLToPath } from "node:url"
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Effect, Layer } from "effect"
import * as NodeSocketIoHttp from "effect-socket.io/node/NodeSocketIoHttp"
import { Presence } from "effect-socket.io/presence"
import { SocketIoServer } from "effect-socket.io/server"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"

import { bundle } from "./bundle.ts"
import { Chat, ChatMessage, Online } from "./contract.ts"
import { Users } from "./users.ts"

const ChatLive = SocketIoServer.layerNamespace(
  Chat,
  Effect.fnUntraced(function* (socket) {
    const users = yield* Users
    const online = yield* Online
    const log = (message: string) =>
      Effect.logInfo(message).pipe(Effect.annotateLogs({ sid: socket.id, namespace: socket.namespace }))

    yield* log(`connected over ${socket.transport}`)
    // The socket's scope closes when the client leaves, for whatever reason.
    yield* Effect.addFinalizer(
      Effect.fnUntraced(function* () {
        yield* users.remove(socket.id)
        yield* log(`disconnected: ${yield* socket.disconnected}`)
      })
    )

    return Chat.of({
      join: Effect.fnUntraced(function* ({ name }) {
        yield* users.add(socket.id, name)
        yield* log(`is called ${name}`)
        // A visitor may take another name. The others are told, and when the socket leaves, too.
        yield* online.untrack(socket, "joined")
        yield* online.track(socket, { room: "joined", key: name, meta: { id: socket.id } })
      }),
      say: Effect.fnUntraced(function* ({ text }) {
        const from = yield* users.get(socket.id)
        if (from === undefined) return
        const message = new ChatMessage({ from, text, at: new Date(yield* Clock.currentTimeMillis) })
        yield* socket.emit("said", message)
        yield* socket.to("joined").emit("said", message)
      })
    })
  })
)

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
    if ("port" in address) yield* Effect.logInfo(`chat listening on http://localhost:${address.port}`)
  })
)

const Main = Effect.gen(function* () {
  // The pages are bundled before the server listens, so that it can answer at once.
  const [ours, official] = yield* Effect.all([bundle("browser-client.ts"), bundle("official-client.ts")])
  const pages = Layer.merge(page("/", ours), page("/official/", official))
  return Announcement.pipe(
    Layer.provide([
      Layer.provide(ChatLive, Presence.layer(Online, { namespace: Chat, period: "500 millis" })),
      HttpRouter.serve(pages, { disableLogger: true, disableListenLog: true })
    ]),
    Layer.provide(NodeSocketIoHttp.layer({ port: Number(process.env.PORT ?? 3000) })),
    Layer.provide(Users.layer)
  )
}).pipe(Layer.unwrap)

NodeRuntime.runMain(Layer.launch(Main))
