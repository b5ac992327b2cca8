/**
 * One node of the cluster. `main.ts` starts three of them. Alone, beside a Redis:
 *
 *     NODE=a PORT=3001 REDIS_URL=redis://localhost npx node examples/cluster/node.ts
 */
import { NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer } from "effect"
import { NodeSessionRouting, NodeSocketIoServer } from "effect-socket.io/node"
import { RedisAdapter, RedisNodeDirectory } from "effect-socket.io/redis"
import * as NodeRedisClient from "effect-socket.io/redis/NodeRedisClient"
import { SocketIoServer } from "effect-socket.io/server"

import { Board } from "./contract.ts"

const BoardLive = SocketIoServer.layerNamespace(
  Board,
  Effect.fnUntraced(function* (socket) {
    const node = yield* Effect.orDie(Config.String("NODE"))
    const board = yield* SocketIoServer.namespace(Board)
    yield* socket.setData({ node })
    yield* socket.emit("welcome", node)
    return Board.of({
      // It reaches the clients of all nodes.
      say: (text) => board.emit("said", [node, text]),
      clients: Effect.fnUntraced(function* () {
        const sockets = yield* board.fetchSockets.pipe(
          // A node has just died: the sockets of the others will do.
          Effect.catchTag("ServersMissingError", ({ partial }) => Effect.succeed(partial))
        )
        const counts: Record<string, number> = {}
        for (const { data } of sockets) {
          const name = data.node ?? "unknown"
          counts[name] = (counts[name] ?? 0) + 1
        }
        return counts
      })
    })
  })
)

/** Requests of sessions that other nodes have are passed on to them. On several machines: `{ host: "10.0.0.7" }`. */
const RoutingLive = NodeSessionRouting.layer().pipe(Layer.provide(RedisNodeDirectory.layer()))

const Main = NodeSocketIoServer.serve(BoardLive, {
  port: Number(process.env.PORT ?? 3001),
  trustedProxies: ["127.0.0.1"],
  // Clients move to the other nodes before this one ends: nginx asks those when this one refuses.
  onShutdown: { notice: "500 millis", over: "1 second" }
}).pipe(
  Layer.provide([RedisAdapter.layer(), RoutingLive]),
  // The Redis of `REDIS_URL`.
  Layer.provide(NodeRedisClient.layerConfig())
)

NodeRuntime.runMain(Layer.launch(Main).pipe(Effect.annotateLogs("node", process.env.NODE)))
