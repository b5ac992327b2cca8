/**
 * Socket.IO beside an application of Hono, on one port. In Bun:
 *
 *     npx bun examples/hono.ts
 *     curl http://localhost:3000/                 # Hono's answer
 *
 * In Deno it is the same with `DenoSocketIoServer`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Layer } from "effect"
import { SocketIoServer } from "effect-socket.io/server"
import { BunSocketIoServer, DenoSocketIoServer } from "effect-socket.io/web"
import { Hono } from "hono"

const Echo = SocketIoServer.layerNamespace("/", (socket) =>
  socket.on("echo", (...args) => socket.emit("echo", ...args))
)

const app = new Hono().get("/", (context) => context.text("hello from Hono"))

const { serve } = "Deno" in globalThis ? DenoSocketIoServer : BunSocketIoServer
const Main = serve(Echo, { port: Number(process.env.PORT ?? 3000), fetch: app.fetch })

NodeRuntime.runMain(Layer.launch(Main))
