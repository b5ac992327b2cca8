/**
 * The smallest server: a namespace without a contract that sends every event back.
 *
 *     npx node examples/echo-server.ts
 *
 * Any Socket.IO 4 client can talk to it. In another terminal, in `npx node`:
 *
 *     const { io } = require("socket.io-client")
 *     const socket = io("http://localhost:3000")
 *     socket.on("echo", (...args) => console.log(args))
 *     socket.emit("echo", "hello", 1)
 */
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { NodeSocketIoServer } from "effect-socket.io/node"
import { SocketIoServer } from "effect-socket.io/server"

const Echo = SocketIoServer.layerNamespace(
  "/",
  Effect.fnUntraced(function* (socket) {
    const log = (message: string) =>
      Effect.logInfo(message).pipe(Effect.annotateLogs({ sid: socket.id, namespace: socket.namespace }))
    yield* log(`connected from ${socket.handshake.address} over ${socket.transport}`)
    yield* Effect.addFinalizer(() => Effect.flatMap(socket.disconnected, (reason) => log(`disconnected: ${reason}`)))
    yield* socket.on("echo", (...args) => socket.emit("echo", ...args))
  })
)

const Main = NodeSocketIoServer.serve(Echo, { port: Number(process.env.PORT ?? 3000) })

NodeRuntime.runMain(Layer.launch(Main))
