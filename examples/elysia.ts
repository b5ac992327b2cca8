/**
 * Socket.IO beside an application of Elysia, in a `Bun.serve` of your own: Bun serves what a module
 * exports as its default.
 *
 *     npx bun examples/elysia.ts
 *     curl http://localhost:3000/                 # Elysia's answer
 */
import { Effect, Layer, ManagedRuntime } from "effect"
import { SocketIoServer } from "effect-socket.io/server"
import { BunSocketIoServer } from "effect-socket.io/web"
import { Elysia } from "elysia"

const Echo = SocketIoServer.layerNamespace("/", (socket) =>
  socket.on("echo", (...args) => socket.emit("echo", ...args))
)

const app = new Elysia().get("/", () => "hello from Elysia")

const runtime = ManagedRuntime.make(Layer.provideMerge(Echo, SocketIoServer.layer()))
const handlers = await runtime.runPromise(
  Effect.gen(function* () {
    const server = yield* SocketIoServer.SocketIoServer
    return yield* BunSocketIoServer.handlers(yield* server.engine, { fetch: app.fetch })
  })
)

export default { port: Number(process.env.PORT ?? 3000), ...handlers }
