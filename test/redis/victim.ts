/**
 * A real server in a cluster, and the test as whoever else writes to its bus.
 */
import { Context, Effect, Layer, Logger, Metric, References } from "effect"
import { createClient } from "redis"

import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import type { Adapter } from "../../src/adapter/Adapter.ts"
import * as ClusterMetrics from "../../src/adapter/ClusterMetrics.ts"
import { ClusterStatus } from "../../src/adapter/ClusterStatus.ts"
import * as RedisAdapter from "../../src/redis/RedisAdapter.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisStreamsAdapter from "../../src/redis/RedisStreamsAdapter.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import { call, connect, serve } from "../support/serve.ts"
import { wait } from "../support/redisClients.ts"
import type { RunningServers } from "../support/redisServer.ts"
import { type Format, NAMESPACE } from "./wire/officialNode.ts"

/** The memory of an adapter for questions, its own and those of others. */
export const questionsOf = (adapter: Adapter): { readonly open: number; readonly work: number } => {
  const { answering, questions } = adapter as unknown as {
    readonly questions: { readonly open: ReadonlyMap<unknown, unknown> }
    readonly answering: { readonly work: ReadonlyMap<unknown, unknown> }
  }
  return { open: questions.open.size, work: answering.work.size }
}

/** The events between servers that this server handles: `die` dies, `never` does not end. */
const application = Layer.mergeAll(
  SocketIoServer.layerNamespace(
    NAMESPACE,
    Effect.fnUntraced(function* (socket) {
      yield* socket.on("enter", (room) => socket.join(String(room)))
      yield* socket.on("echo", (value) => Effect.succeed(value))
      yield* socket.on("rooms", () => Effect.succeed(socket.rooms.size))
    })
  ),
  Layer.effectDiscard(
    Effect.gen(function* () {
      const handle = yield* SocketIoServer.namespace(NAMESPACE)
      yield* handle.onServerSide("die", () => Effect.die(new Error("a handler has died")))
      yield* handle.onServerSide("never", () => Effect.never)
      yield* handle.onServerSide("name", () => Effect.succeed("name"))
    })
  )
)

type AdapterLayer = Layer.Layer<ClusterStatus, unknown>

/** A server with the adapter of a layer, and what it counts and logs. */
export const victim = Effect.fnUntraced(function* (layer: AdapterLayer, options?: NodeOptions) {
  const logs: Array<string> = []
  const logger = Logger.make(({ fiber, message }) => {
    const annotations = fiber.getRef(References.CurrentLogAnnotations)
    logs.push(`${[message].flat().map(String).join(" ")} ${JSON.stringify(annotations)}`)
  })
  const context = yield* Layer.build(Layer.provide(Layer.orDie(layer), Logger.layer([logger])))
  const status = Context.get(context, ClusterStatus)
  const factory = Context.get(context, AdapterFactory)
  let adapter!: Adapter
  const serving = yield* Effect.provideService(serve(application, options), AdapterFactory, (host) =>
    Effect.tap(factory(host), (made) =>
      Effect.sync(() => {
        if (host.namespace === NAMESPACE) adapter = made
      })
    )
  )
  const handle = yield* Effect.provideContext(SocketIoServer.namespace(NAMESPACE), serving.server)
  return { ...serving, logs, serverLogs: serving.logs, status, handle, adapter: () => adapter }
})

export type Victim = Effect.Success<ReturnType<typeof victim>>

const redisClient = ({ url }: RunningServers) =>
  RedisClient.layer(Effect.suspend(() => RedisClient.fromNodeRedis(createClient({ url }))))

export const layerOf = (format: Format, running: RunningServers): AdapterLayer => {
  const layer = {
    classic: RedisAdapter.layer,
    sharded: RedisAdapter.layerSharded,
    streams: RedisStreamsAdapter.layer
  }[format]()
  return Layer.provide(layer, redisClient(running))
}

/** A server over Redis that is connected. */
export const redisVictim = Effect.fnUntraced(function* (
  format: Format,
  running: RunningServers,
  options?: NodeOptions
) {
  const self = yield* victim(layerOf(format, running), options)
  yield* whenConnected(self)
  return self
})

export const whenConnected = ({ status }: Victim) =>
  status.current.pipe(
    Effect.tap(() => Effect.sleep(10)),
    Effect.repeat({ until: ({ connected }) => connected })
  )

/** The messages that a registry has counted as refused. */
export const refusedMetric = Effect.map(Metric.value(ClusterMetrics.messagesRefused), ({ count }) => count)

/** A server answers a new client, and what another one sends reaches it. */
export const isAlive = Effect.fnUntraced(function* (self: Victim, other: Victim) {
  const client = yield* connect(self.url + NAMESPACE)
  if ((yield* call(client, "echo", "alive")) !== "alive") throw new Error("no echo")
  let heard = 0
  client.on("still there", () => heard++)
  yield* other.handle.emit("still there")
  yield* wait("a broadcast of the other server", () => heard > 0)
  const sockets = yield* other.handle.to(client.id!).fetchSockets
  if (sockets.length !== 1) throw new Error(`${sockets.length} sockets of one`)
  client.disconnect()
})

/** A client of Redis that only sends. All that is sent in one turn leaves together. */
export const attacker = ({ url }: RunningServers) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = createClient({ url })
      client.on("error", () => {})
      await client.connect()
      return client
    }),
    (client) => Effect.sync(() => client.destroy())
  ).pipe(
    Effect.map((client) => {
      type Part = string | Uint8Array
      const bytes = (part: Part) => (typeof part === "string" ? part : Buffer.from(part))
      const send = (...args: ReadonlyArray<Part>) => client.sendCommand(args.map(bytes))
      return {
        send,
        publish: (channel: string, body: Part, isSharded: boolean) =>
          send(isSharded ? "SPUBLISH" : "PUBLISH", channel, body),
        /** The channels that are subscribed to. */
        channels: async () => {
          const common = (await client.sendCommand(["PUBSUB", "CHANNELS"])) as unknown as Array<string>
          const sharded = (await client.sendCommand(["PUBSUB", "SHARDCHANNELS"])) as unknown as Array<string>
          const patterns = (await client.sendCommand(["PUBSUB", "NUMPAT"])) as unknown as number
          return { common: common.toSorted(), sharded: sharded.toSorted(), patterns }
        }
      }
    })
  )

export type Attacker = Effect.Success<ReturnType<typeof attacker>>
