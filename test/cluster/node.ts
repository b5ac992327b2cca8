/**
 * A node of a cluster: this library's server with one of its adapters, behind the control protocol.
 */
import { createServer } from "node:http"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Effect, Exit, Layer, Option, Result, Stream } from "effect"

import { ackArguments } from "../../src/AckArguments.ts"
import { ClusterStatus } from "../../src/adapter/ClusterStatus.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import type { BroadcastOperator } from "../../src/server/BroadcastOperator.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import type { Untyped } from "../../src/Namespace.ts"
import { type Answers, type EventInput, type Heard, type Selection, serveControl, settings } from "./control.ts"

type AdapterLayer = Layer.Layer<ClusterStatus, unknown>

const { adapterOptions, redisUrls } = settings

/** Redis by either client. Their packages are loaded when they are used. */
const redis = Layer.unwrap(
  Effect.promise(async () => {
    const RedisClient = await import("../../src/redis/RedisClient.ts")
    const isCluster = redisUrls.length > 1
    const url = redisUrls[0]!
    if (settings.redisClient === "ioredis") {
      const { Cluster, Redis } = await import("ioredis")
      if (!isCluster) return RedisClient.layer(RedisClient.fromIoredis(new Redis(url, { lazyConnect: true })))
      const made = Effect.acquireRelease(
        Effect.sync(() => new Cluster([...redisUrls], { lazyConnect: true })),
        (cluster) => Effect.sync(() => cluster.disconnect())
      )
      return RedisClient.layer(Effect.flatMap(made, (cluster) => RedisClient.fromIoredisCluster(cluster)))
    }
    const { createClient, createCluster } = await import("redis")
    if (!isCluster) return RedisClient.layer(RedisClient.fromNodeRedis(createClient({ url })))
    const made = Effect.acquireRelease(
      Effect.sync(() => createCluster({ rootNodes: redisUrls.map((url) => ({ url })) })),
      (cluster) => Effect.sync(() => cluster.destroy())
    )
    return RedisClient.layer(Effect.flatMap(made, (cluster) => RedisClient.fromNodeRedisCluster(cluster)))
  })
)

/** The adapters by their names. */
const adapters: Record<string, () => Promise<AdapterLayer>> = {
  cluster: async () => (await import("../../src/cluster/ClusterAdapter.ts")).layer(adapterOptions),
  redis: async () => (await import("../../src/redis/RedisAdapter.ts")).layer(adapterOptions).pipe(Layer.provide(redis)),
  sharded: async () =>
    (await import("../../src/redis/RedisAdapter.ts")).layerSharded(adapterOptions).pipe(Layer.provide(redis)),
  streams: async () =>
    (await import("../../src/redis/RedisStreamsAdapter.ts")).layer(adapterOptions).pipe(Layer.provide(redis))
}

const adapter: AdapterLayer | Layer.Layer<never> =
  settings.adapter === "memory" ? Layer.empty : await adapters[settings.adapter]!()

// ---------------------------------------------------------------- the application

const heard: Array<Heard> = []

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

const application = (nsp: string) =>
  Layer.mergeAll(
    SocketIoServer.layerNamespace(
      nsp,
      Effect.fnUntraced(function* (socket) {
        const { data, rooms } = isRecord(socket.auth) ? socket.auth : {}
        if (Array.isArray(rooms) && !socket.recovered) yield* socket.join(rooms)
        if (isRecord(data)) yield* socket.setData(data)
        yield* socket.on("sync", () => Effect.succeed(ackArguments()))
      })
    ),
    Layer.effectDiscard(
      Effect.gen(function* () {
        const handle = yield* SocketIoServer.namespace(nsp)
        yield* handle.onServerSide("note", (...args) =>
          Effect.sync(() => void heard.push({ event: "note", nsp, args }))
        )
        yield* handle.onServerSide("ask", (question) => Effect.succeed({ name: settings.name, question }))
      })
    )
  )

// ---------------------------------------------------------------- what it is told

const handleOf = (nsp = "/") => SocketIoServer.namespace(nsp)

type Operator = BroadcastOperator<Untyped>

const narrow = (operator: Operator, { compress, except, local, to = [], volatile }: Selection): Operator => {
  let target = operator
  if (to.length > 0) target = target.to(to)
  if (except !== undefined) target = target.except(except)
  if (volatile) target = target.volatile
  if (local) target = target.local
  return compress === false ? target.compress(false) : target
}

const select = Effect.fnUntraced(function* (selection: Selection) {
  const { from, nsp } = selection
  const handle = yield* handleOf(nsp)
  return narrow(from === undefined ? handle.all : Option.getOrThrow(yield* handle.socket(from)).broadcast, selection)
})

const emit = ({ args = [], event, ...to }: EventInput) =>
  Effect.flatMap(select(to), (target) => target.emit(event, ...args))

/** The values of a stream, with its failure if there is one, and within a time. */
const collect = Effect.fnUntraced(function* <A, E>(
  stream: Stream.Stream<A, E>,
  timeout: number
): Effect.fn.Return<{ readonly responses: ReadonlyArray<A>; readonly error?: string }> {
  const responses: Array<A> = []
  const all = Stream.runForEach(stream, (value) => Effect.sync(() => void responses.push(value)))
  const exit = yield* Effect.exit(Effect.timeout(all, timeout))
  return Exit.isSuccess(exit) ? { responses } : { responses, error: Cause.pretty(exit.cause) }
})

const first = (args: unknown): unknown => (Array.isArray(args) ? args[0] : args)

/** The servers that a node knows of: those that answer a question, and those that it misses. */
const serverCount = Effect.fnUntraced(function* (nsp: string) {
  const handle = yield* handleOf(nsp)
  let count = 1
  yield* Stream.runForEach(handle.serverSideEmitWithAck("ask", "count"), () => Effect.sync(() => void count++)).pipe(
    Effect.catchTag("ServersMissingError", ({ missing }) => Effect.sync(() => void (count += missing))),
    Effect.orDie
  )
  return { count }
})

const http = createServer()

/** Listens after all else is built. */
const Control = Layer.effectDiscard(
  Effect.gen(function* () {
    const context = yield* Effect.context<SocketIoServer.SocketIoServer>()
    const run = Effect.runPromiseWith(context)
    const fork = Effect.runForkWith(context)
    const cluster = yield* Effect.serviceOption(ClusterStatus)
    const current = Option.match(cluster, { onNone: () => Effect.succeed({}), onSome: ({ current }) => current })
    const server = yield* Effect.promise(() =>
      serveControl(
        http,
        {
          errors: () => 0,
          status: () => run(current),
          emitEach: (to, event, payloads) => {
            const emitAll = Effect.flatMap(handleOf(to.nsp), ({ all }) =>
              Effect.forEach(payloads, (payload) => narrow(all, to).emit(event, payload), { discard: true })
            )
            fork(emitAll)
          },
          operations: {
            emit: (input) => run(Effect.as(emit(input), {})),
            emitWithAck: ({ args = [], event, timeout = 2000, ...to }) =>
              run(
                Effect.gen(function* () {
                  const target = yield* select(to)
                  const { error, responses } = yield* collect(target.emitWithAck(event, ...args), timeout)
                  const values = responses.map(({ response }) => first(Result.getOrUndefined(response)))
                  return { responses: values, ...(error !== undefined && { error }) } satisfies Answers
                })
              ),
            fetchSockets: (to) =>
              run(
                Effect.gen(function* () {
                  const target = yield* select(to)
                  const { missing, sockets } = yield* Effect.map(target.fetchSockets, (sockets) => ({
                    missing: 0,
                    sockets
                  })).pipe(
                    Effect.catchTag("ServersMissingError", ({ missing, partial }) =>
                      Effect.succeed({ missing, sockets: partial })
                    )
                  )
                  return {
                    missing,
                    at: Date.now(),
                    sockets: sockets.map(({ data, handshake, id, rooms }) => ({
                      id,
                      rooms: [...rooms],
                      data,
                      auth: handshake.auth
                    }))
                  }
                })
              ),
            socketsJoin: ({ rooms, ...to }) =>
              run(
                Effect.as(
                  Effect.flatMap(select(to), (target) => target.socketsJoin(rooms)),
                  {}
                )
              ),
            socketsLeave: ({ rooms, ...to }) =>
              run(
                Effect.as(
                  Effect.flatMap(select(to), (target) => target.socketsLeave(rooms)),
                  {}
                )
              ),
            disconnectSockets: ({ close = false, ...to }) =>
              run(
                Effect.as(
                  Effect.flatMap(select(to), (target) => target.disconnectSockets({ close })),
                  {}
                )
              ),
            serverSideEmit: ({ args = [], event, nsp }) =>
              run(
                Effect.as(
                  Effect.flatMap(handleOf(nsp), (handle) => handle.serverSideEmit(event, ...args)),
                  {}
                )
              ),
            serverSideEmitWithAck: ({ args = [], event, nsp, timeout = 5000 }) =>
              run(
                Effect.gen(function* () {
                  const handle = yield* handleOf(nsp)
                  const answers = yield* collect(handle.serverSideEmitWithAck(event, ...args), timeout)
                  return { ...answers, responses: answers.responses.map(first) }
                })
              ),
            serverCount: ({ nsp = "/" }) => run(serverCount(nsp))
          }
        },
        heard
      )
    )
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
    )
  })
)

/** Closes the listener after everything else. */
const Listener = Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => http.close())))

const Main = Control.pipe(
  Layer.provideMerge(Layer.merge(application("/"), application("/other"))),
  Layer.provideMerge(
    NodeSocketIoServer.layerAttached(http, {
      heartbeat: { pingInterval: settings.pingInterval, pingTimeout: settings.pingTimeout },
      drainTimeout: "5 seconds",
      recovery: settings.recovery > 0 && { maxDisconnection: settings.recovery }
    })
  ),
  Layer.provideMerge(adapter),
  Layer.provide(Listener)
)

NodeRuntime.runMain(Layer.launch(Main), {
  // To be told to end is no failure.
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
})
