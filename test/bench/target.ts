/**
 * The server that load generators measure: settings by environment (PORT, USAGE_PORT, PING_INTERVAL and PING_TIMEOUT in
 * milliseconds), contract events with schemas, as applications use them.
 */
import * as Http from "node:http"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

import * as Binary from "../../src/Binary.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"

const setting = (name: string, fallback: number) => Number(process.env[name] ?? fallback)

const Message = Schema.Struct({ id: Schema.Finite, user: Schema.String, text: Schema.String })

const Echo = Event.make("echo", { payload: Schema.Union([Message, Binary.Bytes]) })
const Cast = Event.make("cast", { payload: Schema.Any })

class Bench extends Namespace.make("/", {
  clientToServer: [
    Echo,
    Event.make("ack", { payload: Message, ack: Message }),
    Event.make("join", { payload: Schema.String, ack: Schema.Void }),
    Event.make("leave", { payload: Schema.String, ack: Schema.Void }),
    Event.make("fire", { args: [Schema.String, Schema.Int, Schema.Any] }),
    Event.make("churn", { args: [Schema.Int, Schema.Int], ack: Schema.Int })
  ],
  serverToClient: [Echo, Cast]
}) {}

const BenchLive = SocketIoServer.layerNamespace(
  Bench,
  Effect.fnUntraced(function* (socket) {
    const bench = yield* SocketIoServer.namespace(Bench)
    return Bench.of({
      echo: (message) => socket.emit("echo", message),
      ack: (message) => Effect.succeed(message),
      join: (room) => socket.join(room),
      leave: (room) => socket.leave(room),
      fire: Effect.fnUntraced(function* ([room, count, payload]) {
        for (let i = 0; i < count; i++) yield* bench.to(room).emit("cast", payload)
      }),
      churn: Effect.fnUntraced(function* ([rooms, rounds]) {
        const sockets = yield* bench.sockets
        let operations = 0
        for (let round = 0; round < rounds; round++) {
          for (const member of sockets) {
            for (let i = 0; i < rooms; i++, operations++) yield* member.join(`churn${i}`)
          }
          for (const member of sockets) {
            for (let i = 0; i < rooms; i++, operations++) yield* member.leave(`churn${i}`)
          }
        }
        return operations
      })
    })
  })
)

/** `GET /__usage[?gc=1]`: the resources that this process has used. */
const serveUsage = (port: number) =>
  Http.createServer((request, response) => {
    if (request.url?.includes("gc=1")) {
      for (let i = 0; i < 3; i++) globalThis.gc?.()
    }
    const { system, user } = process.cpuUsage()
    const { arrayBuffers, external, heapUsed, rss } = process.memoryUsage()
    const body = JSON.stringify({ user, system, rss, heapUsed, external, arrayBuffers, t: performance.now() })
    response.writeHead(200, { "content-type": "application/json", connection: "close" })
    response.end(body)
  }).listen(port, "127.0.0.1")

if (process.env.USAGE_PORT !== undefined) serveUsage(setting("USAGE_PORT", 0))
// Profilers write their files at a plain exit.
process.on("SIGTERM", () => process.exit(0))

const Main = BenchLive.pipe(
  Layer.provide(
    NodeSocketIoServer.layer({
      port: setting("PORT", 3000),
      host: "127.0.0.1",
      pingInterval: setting("PING_INTERVAL", 25_000),
      pingTimeout: setting("PING_TIMEOUT", 20_000)
    })
  )
)

NodeRuntime.runMain(Layer.launch(Main))
