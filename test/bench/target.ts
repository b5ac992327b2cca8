/**
 * The server that load generators measure: settings by environment (PORT, USAGE_PORT, PING_INTERVAL and PING_TIMEOUT in
 * milliseconds), contract events with schemas, as applications use them.
 *
 * It does more than the official one in `reference.ts`, which takes what clients send as it comes: every payload and every
 * acknowledgement passes its schema, in and out, and every event has an effect of its own, a plain one or a generator's.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Schema from "effect/Schema"

import { layer as layerAdmin } from "../../src/admin/Admin.ts"
import * as Binary from "../../src/Binary.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as BunSocketIoServer from "../../src/web/BunSocketIoServer.ts"
import * as DenoSocketIoServer from "../../src/web/DenoSocketIoServer.ts"
import type { Edge } from "../support/runtimePrograms.ts"
import { serveUsage, settings } from "./usage.ts"

const Message = Schema.Struct({ id: Schema.Finite, user: Schema.String, text: Schema.String })

const Echo = Event.make("echo", { payload: Schema.Union([Message, Binary.Bytes]) })
const News = Schema.Struct({ seq: Schema.String, d: Schema.String })
const Cast = Event.make("cast", { payload: News })

/** The application of a handler. */
const answer = (message: typeof Message.Type) => Effect.sync(() => message)

class Bench extends Namespace.make("/", {
  clientToServer: [
    Echo,
    Event.make("ack", { payload: Message, ack: Message }),
    Event.make("join", { payload: Schema.String, ack: Schema.Void }),
    Event.make("leave", { payload: Schema.String, ack: Schema.Void }),
    Event.make("fire", { args: [Schema.String, Schema.Int, News] }),
    Event.make("churn", { args: [Schema.Int, Schema.Int], ack: Schema.Int })
  ],
  serverToClient: [Echo, Cast]
}) {}

const acknowledge = Effect.fnUntraced(function* (message: typeof Message.Type) {
  return yield* answer(message)
})

// The other requests of the load generator are not for an application.

const fire = Effect.fnUntraced(function* ([room, count, news]: readonly [string, number, typeof News.Type]) {
  const bench = yield* SocketIoServer.namespace(Bench)
  for (let i = 0; i < count; i++) yield* bench.to(room).emit("cast", news)
})

const churn = Effect.fnUntraced(function* ([rooms, rounds]: readonly [number, number]) {
  const sockets = yield* Effect.flatMap(SocketIoServer.namespace(Bench), ({ sockets }) => sockets)
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

const BenchLive = SocketIoServer.layerNamespace(
  Bench,
  Effect.fnUntraced(function* (socket) {
    const server = yield* SocketIoServer.SocketIoServer
    return Bench.of({
      echo: (message) => socket.emit("echo", message),
      ack: acknowledge,
      join: (room) => socket.join(room),
      leave: (room) => socket.leave(room),
      fire: (what) => Effect.provideService(fire(what), SocketIoServer.SocketIoServer, server),
      churn: (what) => Effect.provideService(churn(what), SocketIoServer.SocketIoServer, server)
    })
  })
)

serveUsage()

/** The option of the same name. `test/recovery/cost.ts` measures what it costs. */
const recovery = process.env["RECOVERY"]

/** The mode of the Admin UI, if it is served. `test/admin/cost.ts` measures what it costs. */
const admin = process.env["ADMIN"]

const AdminLive =
  admin === undefined
    ? Layer.empty
    : Layer.orDie(layerAdmin({ auth: false, mode: admin === "development" ? admin : "production" }))

/** The edge: `node`, `bun` or `deno`. */
const { layer } = { node: NodeSocketIoServer, bun: BunSocketIoServer, deno: DenoSocketIoServer }[
  (process.env["EDGE"] ?? "node") as Edge
]

const Main = Layer.merge(BenchLive, AdminLive).pipe(
  Layer.provide(
    layer({
      port: settings.port,
      heartbeat: { pingInterval: settings.pingInterval, pingTimeout: settings.pingTimeout },
      ...(recovery === undefined ? {} : { recovery: JSON.parse(recovery) }),
      host: "127.0.0.1"
    })
  ),
  Layer.provide(Layer.succeed(References.MinimumLogLevel, "Warn"))
)

NodeRuntime.runMain(Layer.launch(Main))
