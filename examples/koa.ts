/**
 * Socket.IO on the `http.Server` of a Koa application: one port, one process. Each answers its own
 * requests.
 *
 *     npx node examples/koa.ts
 *     curl http://localhost:3000/online           # the number of connected sockets
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { SocketIoServer } from "effect-socket.io/server"
import Koa from "koa"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const Echo = SocketIoServer.layerNamespace("/", (socket) =>
  socket.on("echo", (...args) => socket.emit("echo", ...args))
)

const app = new Koa()
const server = createServer()

/** The application's routes. They may run effects in the context of the server. */
const Routes = Layer.effectDiscard(
  Effect.gen(function* () {
    const everybody = yield* SocketIoServer.namespace("/")
    const run = Effect.runPromiseWith(yield* Effect.context())
    app.use(async (context, next) => {
      if (context.path !== "/online") return next()
      const sockets = await run(everybody.sockets)
      context.body = { online: sockets.length }
    })
    // Koa may listen before Socket.IO does, or after it.
    server.on("request", app.callback())
  })
)

/** Listens when everything else is ready. */
const Listening = Layer.effectDiscard(
  Effect.gen(function* () {
    yield* Effect.callback<void, Error>((resume) => {
      server.once("error", (error) => resume(Effect.fail(error)))
      server.listen(Number(process.env.PORT ?? 3000), () => resume(Effect.void))
    })
    yield* Effect.logInfo(`listening on http://localhost:${(server.address() as AddressInfo).port}`)
  })
)

/**
 * Closes the `http.Server` last: clients that poll come once more, to learn that the server closes.
 */
const Closing = Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => server.close())))

const Main = Listening.pipe(
  Layer.provide(Layer.mergeAll(Echo, Routes)),
  Layer.provide(NodeSocketIoServer.layerAttached(server)),
  Layer.provide(Closing)
)

NodeRuntime.runMain(Layer.launch(Main))
