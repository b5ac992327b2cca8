/**
 * The server of `soak.ts`: namespaces of every kind, and a census of what it holds when its parent asks for one. Run with `--expose-gc`.
 */
import { readdirSync } from "node:fs"
import { queryObjects } from "node:v8"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer, Schema, Stream } from "effect"

import * as Binary from "../../src/Binary.ts"
import { Session } from "../../src/engine/internal/session/session.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import { Connection } from "../../src/server/internal/connection.ts"
import { NamespaceRuntime } from "../../src/server/internal/namespace.ts"
import { SocketRuntime } from "../../src/server/internal/socket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"

/** Only those who say who they are. */
class Named extends NamespaceMiddleware.Service<Named>()("soak/Named", {
  auth: Schema.Struct({ name: Schema.String })
}) {}

class Chat extends Namespace.make("/", {
  clientToServer: [
    Event.make("join", { payload: Schema.String, ack: Schema.Void }),
    Event.make("leave", { payload: Schema.String, ack: Schema.Void }),
    Event.make("say", {
      payload: { room: Schema.String, text: Schema.String },
      ack: Schema.Int,
      rateLimit: { limit: 1_000 }
    }),
    Event.make("slow", { ack: Schema.Void }),
    Event.make("boom", { ack: Schema.Void }),
    Event.make("bye", { payload: Schema.Boolean })
  ],
  serverToClient: [Event.make("said", { payload: Schema.String }), Event.make("question", { ack: Schema.String })]
}).middleware(Named) {}

const ChatLive = SocketIoServer.layerNamespace(
  Chat,
  Effect.fnUntraced(function* (socket) {
    yield* Effect.forkScoped(Stream.runDrain(socket.stream("say")))
    yield* Effect.forkScoped(Effect.ignore(socket.emitWithAck("question")))
    yield* socket.onDisconnecting(() => socket.to([...socket.rooms]).emit("said", "gone"))
    return Chat.of({
      join: (room) => socket.join(room),
      leave: (room) => socket.leave(room),
      say: ({ room, text }) => Effect.as(socket.to(room).emit("said", text), text.length),
      slow: () => Effect.never,
      boom: () => Effect.die("boom"),
      bye: (close) => socket.disconnect({ close })
    })
  })
).pipe(
  Layer.provide(
    Layer.succeed(
      Named,
      Named.of(() => Effect.void)
    )
  )
)

class Room extends Namespace.dynamic("/room/:id", {
  params: { id: Schema.FiniteFromString },
  clientToServer: [Event.make("echo", { payload: Binary.Bytes, ack: Binary.Bytes })]
}) {}

const RoomLive = SocketIoServer.layerDynamicNamespace(
  Room,
  () => Effect.succeed(() => Effect.succeed(Room.of({ echo: (value) => Effect.succeed(value) }))),
  { idleTimeToLive: "1 second" }
)

const FiberImpl = Effect.runFork(Effect.void).constructor as new () => unknown

/** Everything that may be left, by kind. */
const census = async () => {
  const gc = (globalThis as unknown as { readonly gc: () => void }).gc
  let heap = Infinity
  // A collection frees some only while the next one runs.
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setImmediate(resolve))
    gc()
    heap = Math.min(heap, process.memoryUsage().heapUsed)
  }
  const resources = process.getActiveResourcesInfo()
  return {
    heap,
    descriptors: readdirSync("/proc/self/fd").length,
    timers: resources.filter((kind) => /Timeout|Immediate/.test(kind)).length,
    ...Object.fromEntries(
      [FiberImpl, Session, Connection, SocketRuntime, NamespaceRuntime].map((type) => [
        type.name,
        queryObjects(type, { format: "count" })
      ])
    )
  }
}

process.on("message", () => void census().then((counts) => process.send!(counts)))
process.once("disconnect", () => process.exit(1))

NodeRuntime.runMain(
  Layer.launch(
    Layer.provide(
      Layer.mergeAll(ChatLive, RoomLive),
      NodeSocketIoServer.layer({
        port: 0,
        host: "127.0.0.1",
        heartbeat: { pingInterval: "1 second", pingTimeout: "1 second" },

        limits: { connectTimeout: "2 seconds", rateLimit: { limit: 10_000 } }
      })
    )
  )
)
