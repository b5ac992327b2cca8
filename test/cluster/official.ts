/**
 * A node of a cluster: the official server with one of its adapters, behind the control protocol.
 */
import { createServer } from "node:http"
import { createAdapter as createClusterAdapter } from "@socket.io/cluster-adapter"
import { createAdapter as createRedisAdapter, createShardedAdapter } from "@socket.io/redis-adapter"
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter"
import { Cluster, Redis } from "ioredis"
import { createClient, createCluster } from "redis"
import { Server } from "socket.io"

import { type Answers, type Heard, type Own, type Selection, serveControl, settings } from "./control.ts"

const { adapterOptions, redisClient, redisUrls } = settings
let errors = 0

const makeClient = (): any => {
  const url = redisUrls[0]!
  if (redisClient === "ioredis") {
    return redisUrls.length > 1 ? new Cluster([...redisUrls], { shardedSubscribers: true }) : new Redis(url)
  }
  return redisUrls.length > 1 ? createCluster({ rootNodes: redisUrls.map((url) => ({ url })) }) : createClient({ url })
}

const connect = async (): Promise<any> => {
  const client = makeClient()
  client.on("error", () => errors++)
  if (redisClient !== "ioredis") await client.connect()
  return client
}

const adapters: Record<string, () => any> = {
  memory: () => undefined,
  redis: async () => createRedisAdapter(await connect(), await connect(), adapterOptions),
  sharded: async () => createShardedAdapter(await connect(), await connect(), adapterOptions),
  streams: async () => createStreamsAdapter(await connect(), adapterOptions),
  cluster: () => createClusterAdapter(adapterOptions)
}

const http = createServer()
const io = new Server(http, {
  adapter: await adapters[settings.adapter]!(),
  pingInterval: settings.pingInterval,
  pingTimeout: settings.pingTimeout,
  ...(settings.recovery > 0 && { connectionStateRecovery: { maxDisconnectionDuration: settings.recovery } })
})

// ---------------------------------------------------------------- the application

const heard: Array<Heard> = []
for (const nsp of [io.of("/"), io.of("/other")]) {
  nsp.on("connection", (socket) => {
    const { data, rooms = [] } = socket.handshake.auth
    if (!socket.recovered) void socket.join(rooms as Array<string>)
    Object.assign(socket.data, data)
    socket.on("sync", (done: () => void) => done())
  })
  nsp.on("note", (...args: Array<unknown>) => void heard.push({ event: "note", nsp: nsp.name, args }))
  nsp.on("ask", (question: unknown, answer: (value: unknown) => void) => answer({ name: settings.name, question }))
}

// ---------------------------------------------------------------- what it is told

const select = ({ compress, except = [], from, local, nsp = "/", timeout, to = [], volatile }: Selection): any => {
  let target: any = from === undefined ? io.of(nsp) : io.of(nsp).sockets.get(from)!.broadcast
  if (to.length > 0) target = target.to(to)
  if (except.length > 0) target = target.except(except)
  if (volatile) target = target.volatile
  if (local) target = target.local
  if (compress === false) target = target.compress(false)
  return timeout === undefined ? target : target.timeout(timeout)
}

/** The answers, also of those who did answer where others did not. */
const answers = (
  ask: (done: (error: Error | undefined, responses?: ReadonlyArray<unknown>) => void) => void
): Promise<Answers> =>
  new Promise((resolve) =>
    ask((error, responses = []) => resolve({ responses, ...(error && { error: error.message }) }))
  )

const own: Own = {
  errors: () => errors,
  status: () => ({}),
  emitEach: (to, event, payloads) => {
    for (const payload of payloads) select(to).emit(event, payload)
  },
  operations: {
    emit: async ({ args = [], event, ...to }) => select(to).emit(event, ...args) && {},
    emitWithAck: ({ args = [], event, timeout = 2000, ...to }) =>
      answers((done) => select({ ...to, timeout }).emit(event, ...args, done)),
    fetchSockets: async (to) => {
      const sockets: ReadonlyArray<any> = await select(to).fetchSockets()
      return {
        at: Date.now(),
        sockets: sockets.map(({ data, handshake, id, rooms }) => ({
          id,
          rooms: [...rooms],
          data,
          auth: handshake.auth
        }))
      }
    },
    socketsJoin: async ({ rooms, ...to }) => select(to).socketsJoin(rooms) ?? {},
    socketsLeave: async ({ rooms, ...to }) => select(to).socketsLeave(rooms) ?? {},
    disconnectSockets: async ({ close = false, ...to }) => select(to).disconnectSockets(close) ?? {},
    serverSideEmit: async ({ args = [], event, nsp = "/" }) => {
      io.of(nsp).serverSideEmit(event, ...args)
      return {}
    },
    serverSideEmitWithAck: ({ args = [], event, nsp = "/" }) =>
      answers((done) => io.of(nsp).serverSideEmit(event, ...args, done)),
    serverCount: async ({ nsp = "/" }) => ({ count: await io.of(nsp).adapter.serverCount() })
  }
}

await serveControl(http, own, heard)
process.once("SIGTERM", () => void io.close(() => process.exit(0)))
