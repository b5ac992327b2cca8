/**
 * A server on every core of the machine: one program is the primary and all of its workers, which
 * share one port. Any client works, polling ones too: a worker passes requests on to the worker that
 * has the session.
 *
 *     npx node examples/cluster-workers.ts
 *
 * In another terminal, in `npx node`:
 *
 *     const { io } = require("socket.io-client")
 *     const sockets = Array.from({ length: 20 }, () => io("http://localhost:3000", { forceNew: true }))
 *     sockets[0].onAny((...event) => console.log(event))
 *     await sockets[0].emitWithAck("workers")               // the clients of each worker, by its process id
 *     sockets[1].emit("say", "hello")                       // everybody hears it, and which worker it came from
 *
 * Kill a worker: its clients come back to others, and a new one takes its place. A request that Node
 * has just handed to it gets no answer, and its client waits until the heartbeat expires: in 45
 * seconds, or sooner with `SOCKETIO_HEARTBEAT_PING_INTERVAL="5 seconds"` in the environment.
 */
import { tmpdir } from "node:os"
import { join } from "node:path"
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer, Schema } from "effect"
import { Event, Namespace } from "effect-socket.io"
import { ClusterAdapter, ClusterPrimary } from "effect-socket.io/cluster"
import { NodeConfig, NodeSessionRouting, NodeSocketIoServer, UnixSocketDirectory } from "effect-socket.io/node"
import { SocketIoServer } from "effect-socket.io/server"

class Square extends Namespace.make("/", {
  // `fetchSockets` gives it with each socket, also with those of other workers.
  data: { worker: Schema.Int },
  clientToServer: [
    Event.make("say", { payload: Schema.String }),
    Event.make("workers", { ack: Schema.Record(Schema.String, Schema.Int) })
  ],
  serverToClient: [Event.make("said", { args: [Schema.Int, Schema.String] })]
}) {}

const SquareLive = SocketIoServer.layerNamespace(
  Square,
  Effect.fnUntraced(function* (socket) {
    const square = yield* SocketIoServer.namespace(Square)
    yield* socket.setData({ worker: process.pid })
    return Square.of({
      say: (text) => square.all.emit("said", [process.pid, text]),
      workers: Effect.fnUntraced(function* () {
        const sockets = yield* square.all.fetchSockets.pipe(
          // A worker has just died: the sockets of the others will do.
          Effect.catchTag("ServersMissingError", ({ partial }) => Effect.succeed(partial))
        )
        const counts: Record<string, number> = {}
        for (const { data } of sockets) {
          const worker = data.worker ?? "unknown"
          counts[worker] = (counts[worker] ?? 0) + 1
        }
        return counts
      })
    })
  })
)

/** Workers find one another in this folder. It belongs to one user. */
const folder = join(tmpdir(), `cluster-workers-${process.getuid?.() ?? ""}`)

/** Options come from the environment. */
const ServerLive = Layer.unwrap(
  Effect.map(NodeConfig.attached, (options) =>
    NodeSocketIoServer.layer({ ...options, port: Number(process.env.PORT ?? 3000) })
  )
)

/** A worker. */
const Main = SquareLive.pipe(
  Layer.provide(ServerLive),
  Layer.provide(ClusterAdapter.layer()),
  Layer.provide(NodeSessionRouting.layer().pipe(Layer.provide(UnixSocketDirectory.layer(folder))))
)

const program = Effect.gen(function* () {
  const workers = yield* Config.Int("WORKERS").pipe(Config.option)
  return yield* ClusterPrimary.run(Layer.launch(Main), workers._tag === "Some" ? { workers: workers.value } : {})
})

NodeRuntime.runMain(program)
