/**
 * A node of a rolling restart: a process that tells its parent what it has handled, and that drains on SIGTERM.
 *
 * `PORT`, `DIRECTORY` (of session routing), `NOTICE`, `OVER` (in milliseconds), `RATE`; `REDIS_URL` for a cluster, in which each
 * order is handled once; `RECOVERY=1` switches recovery on, and `STREAMS=1` makes the nodes share it over Redis Streams.
 */
import { monitorEventLoopDelay } from "node:perf_hooks"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit, Layer, Logger } from "effect"

import * as NodeSessionRouting from "../../src/node/NodeSessionRouting.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as UnixSocketDirectory from "../../src/node/UnixSocketDirectory.ts"
import { layerHealth } from "../../src/server/Health.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { Notes } from "./notes.ts"

const { DIRECTORY, NOTICE, OVER, PORT, RATE, RECOVERY, REDIS_URL, STREAMS } = process.env

/**
 * The news of a node: that it listens, or the events since: names of clients and numbers of their events that were handled,
 * by turns, the times of handshakes, in milliseconds since the epoch, and the longest time in which it did nothing, in milliseconds.
 */
export type Told =
  | "listening"
  | {
      readonly handled: ReadonlyArray<string | number>
      readonly handshakes: ReadonlyArray<number>
      readonly pause: number
    }

let handled: Array<string | number> = []
let handshakes: Array<number> = []
const delay = monitorEventLoopDelay()
delay.enable()

const tell = (told: Told) =>
  new Promise<void>((resolve) => {
    if (process.send === undefined || !process.connected) return resolve()
    process.send(told, () => resolve())
  })

const flush = async () => {
  if (handled.length === 0 && handshakes.length === 0) return
  const told = { handled, handshakes, pause: delay.max / 1e6 }
  handled = []
  handshakes = []
  delay.reset()
  await tell(told)
}

const handle = ([client, n]: readonly [client: string, n: number]) =>
  Effect.sync(() => {
    handled.push(client, n)
    return n
  })

const Application = SocketIoServer.layerNamespace(Notes, (socket) =>
  Effect.sync(() => {
    handshakes.push(socket.handshake.issued)
    return Notes.of({ note: handle, order: handle })
  })
)

const redis = Layer.unwrap(
  Effect.promise(async () => {
    if (REDIS_URL === undefined) return Layer.empty
    const { createClient } = await import("redis")
    const { layer } =
      STREAMS === "1"
        ? await import("../../src/redis/RedisStreamsAdapter.ts")
        : await import("../../src/redis/RedisAdapter.ts")
    const RedisClient = await import("../../src/redis/RedisClient.ts")
    const RedisIdempotency = await import("../../src/redis/RedisIdempotency.ts")
    const client = RedisClient.layer(Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url: REDIS_URL }))))
    return Layer.merge(layer(), RedisIdempotency.layer()).pipe(Layer.provide(client))
  })
)

/** It outlives everything else, and tells the rest. */
const Telling = Layer.effectDiscard(
  Effect.acquireRelease(
    Effect.sync(() => setInterval(() => void flush(), 100)),
    (timer) =>
      Effect.promise(() => {
        clearInterval(timer)
        return flush()
      })
  )
)

const Main = Layer.effectDiscard(Effect.promise(() => tell("listening"))).pipe(
  Layer.provide(
    NodeSocketIoServer.serve(Layer.merge(Application, layerHealth()), {
      port: Number(PORT),
      host: "127.0.0.1",
      onShutdown: { notice: Number(NOTICE), over: Number(OVER), rate: Number(RATE) },
      ...(RECOVERY === "1" ? { recovery: true } : {})
    })
  ),
  Layer.provide(Layer.provide(NodeSessionRouting.layer(), UnixSocketDirectory.layer(DIRECTORY!))),
  Layer.provide(redis),
  Layer.provide(Telling),
  Layer.provide(Logger.layer([]))
)

// It does not outlive its parent.
process.once("disconnect", () => process.exit())

NodeRuntime.runMain(Layer.launch(Main), {
  // To be told to end is no failure.
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
})
