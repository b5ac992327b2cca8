/**
 * The most that one connection can make a server with default options hold: everything that a
 * client may leave there, at once.
 *
 *     node test/hostile/one-connection.ts
 *
 * The server is a process of its own. Its figure is its heap and the memory outside of it, after a
 * collection, beyond what it held before the connection; and what waits to be written to HTTP
 * connections, which Node keeps outside of both. A client finds out how much of each thing it may
 * leave by going too far on connections before.
 */
import { createServer } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { fileURLToPath } from "node:url"

import { Context, Effect, Layer, Logger, Scope } from "effect"

import type * as Namespace from "../../src/Namespace.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import { answer, start } from "../bench/roles.ts"
import { Target } from "./cost/traffic.ts"
import { Client, type Connection } from "./oneConnectionClient.ts"

/** The figure of the guide on limits, in bytes. */
export const MOST = 60_000_000

const script = fileURLToPath(import.meta.url)

// ---------------------------------------------------------------- the server

/** Handlers that keep what they are given, and take their time. */
const keeping = Effect.fnUntraced(function* (socket: ServerSocket<Namespace.Untyped>) {
  yield* socket.on("keep", (value) => Effect.as(Effect.sleep("1 hour"), value))
  yield* socket.on("ask", (value) => Effect.as(Effect.ignore(socket.emitWithAck("question")), value))
  yield* socket.on("echo", (value) => Effect.succeed(value))
  yield* socket.on("done", () => Effect.void)
  yield* socket.on("join", (room) => Effect.catchCause(socket.join(String(room).slice(0, 100)), () => Effect.void))
})

const serve = () => {
  const http = createServer()
  const open = new Set<Socket>()
  let closedBytes = 0
  http.on("connection", (socket) => {
    open.add(socket)
    socket.once("close", () => {
      open.delete(socket)
      closedBytes += socket.bytesRead
    })
  })
  let server: SocketIoServer.SocketIoServerShape | undefined
  answer({
    listen: async () => {
      const layer = Layer.mergeAll(
        SocketIoServer.layerNamespace("/", keeping),
        SocketIoServer.layerDynamicNamespace(/^\/n\d+$/, () => Effect.succeed((socket) => keeping(socket.untyped)))
      ).pipe(Layer.provideMerge(NodeSocketIoServer.layerAttached(http)), Layer.provide(Logger.layer([])))
      const context = await Effect.runPromise(Layer.buildWithScope(layer, Scope.makeUnsafe()))
      server = Context.get(context, SocketIoServer.SocketIoServer)
      await new Promise<void>((resolve) => {
        http.listen(0, "127.0.0.1", resolve)
      })
      return (http.address() as AddressInfo).port
    },
    progress: () => {
      let bytes = closedBytes
      for (const socket of open) bytes += socket.bytesRead
      const { system, user } = process.cpuUsage()
      return { bytes, sessions: Effect.runSync(server!.connectionCount), cpu: system + user }
    },
    memory: () => {
      for (let i = 0; i < 3; i++) globalThis.gc!()
      const { external, heapUsed } = process.memoryUsage()
      let waiting = 0
      for (const socket of open as Set<Socket & { parser?: object | null; _handle?: { writeQueueSize?: number } }>) {
        // Of a WebSocket these are buffers, which count already.
        if (socket.parser != null) waiting += socket._handle?.writeQueueSize ?? 0
      }
      return heapUsed + external + waiting
    }
  })
}

// ---------------------------------------------------------------- the client

const NAMESPACES = 100

const namespaceOf = (i: number): string => (i === 0 ? "" : `/n${i},`)

/** An object with an array of 35 places, and how many of them are in each other. */
const LEVEL = '{"34":'
const LEVELS = 50

/** Sparse objects: 51 bytes for each byte of text. Nothing else makes as much of as little. */
const SPARSE = `${LEVEL.repeat(LEVELS)}0${"}".repeat(LEVELS)}`

/** A list of them, of so many bytes. */
const objects = (bytes: number): string =>
  `[${Array(Math.max(1, Math.floor(bytes / (SPARSE.length + 1))))
    .fill(SPARSE)
    .join(",")}]`

/** The largest event that may wait alone, with what it has beside its objects. */
const ALONE = 615_000

/** How much of each thing a client leaves. */
interface Amounts {
  /** The size of its auth payload in each namespace, in bytes. */
  auth: number
  rooms: number
  /** Handlers that await an acknowledgement of the client. */
  asks: number
  /** Events with large payloads, and whether one that is as large as may be comes last. */
  events: number
  largest: boolean
  /** Answers of a megabyte that are not read. A wide character makes them take two bytes for each. */
  unread: number
  /** Answers without a value that are not read, and leave one by one. */
  answers: number
  /** Attachments that came of a packet that waits for others, of a megabyte each. */
  attachments: number
  /** The size of the data that waits with them, in bytes. */
  waiting: number
}

const nothing: Amounts = {
  auth: 0,
  rooms: 0,
  asks: 0,
  events: 0,
  largest: false,
  unread: 0,
  answers: 0,
  attachments: 0,
  waiting: 0
}

/**
 * How far one has got: all the way, or until the connection was closed, after so many of what was
 * sent last.
 */
interface Progress {
  readonly isOpen: boolean
  readonly last: number
}

/** Leaves so much. */
const leave = async (connection: Connection, amounts: Amounts): Promise<Progress> => {
  let last = 0
  const times = async (count: number, atOnce: number, packet: (i: number) => string | Uint8Array): Promise<boolean> => {
    for (last = 0; last < count; last += atOnce) {
      const packets = Array.from({ length: Math.min(atOnce, count - last) }, (_, i) => packet(last + i))
      if (!(await connection.send(...packets))) return false
    }
    return true
  }
  const sendAnswers = async (count: number): Promise<boolean> => {
    for (last = 0; last < count; last += ANSWERS) {
      if (!(await connection.sendSmall(Math.min(ANSWERS, count - last), '421["done"]'))) return false
    }
    return true
  }
  const to = (i: number) => namespaceOf(i % NAMESPACES)
  const auth = amounts.auth === 0 ? "" : `{"a":${objects(amounts.auth)}}`
  const payload = objects(EVENT)
  const text = `\u20ac${"x".repeat(980_000)}`
  const holders = Array.from({ length: 10 }, (_, num) => `{"_placeholder":true,"num":${num}}`)
  const isOpen =
    (await times(NAMESPACES, 10, (i) => `40${to(i)}${auth}`)) &&
    (await times(amounts.rooms, 500, (i) => `42${to(i)}["join","${"r".repeat(80)}${i}"]`)) &&
    (await times(amounts.asks, 500, (i) => `42${to(i)}["ask",1]`)) &&
    (await times(amounts.events, 1, (i) => `42${to(i)}["keep",${payload}]`)) &&
    (!amounts.largest || (await times(1, 1, () => `42["keep",${objects(ALONE)}]`))) &&
    (connection.stopReading(), await times(amounts.unread, 1, () => `421["echo","${text}"]`)) &&
    // The system takes what comes first.
    (amounts.answers === 0 || amounts.unread > 0 || (await times(8, 1, () => `421["echo","${text}"]`))) &&
    (await sendAnswers(amounts.answers)) &&
    (amounts.attachments === 0 ||
      ((await connection.send(`4510-["keep",${objects(amounts.waiting)},${holders.join(",")}]`)) &&
        (await times(amounts.attachments, 1, () => Buffer.alloc(connection.largest)))))
  return { isOpen, last }
}

const EVENT = 99_000

/** The largest data of a packet that waits for attachments. */
const LARGEST = ALONE

/** The answers after which a client looks whether it is connected. */
const ANSWERS = 1_000

/** The bytes that one connection can make a server hold, by each thing alone and by all at once. */
export interface Outcome {
  readonly transport: string
  readonly alone: Readonly<Record<string, number>>
  readonly together: number
  readonly amounts: Amounts
}

/** From where on a client looks for how far it may go: from far beyond, or from what the server's defaults let expect. */
const far = { auths: [900_000, 16_000, 8_000, 4_000, 2_000, 1_000, 300, 100, 30], rooms: 20_000, events: 800 }
export const near = { auths: [16_000, 1_000, 100], rooms: 1_500, events: 7 }

/** Goes as far as one can over a transport. */
export const measure = async (
  transport: "websocket" | "polling",
  told = (_line: string) => {},
  { auths, events: mostEvents, rooms: mostRooms } = far
): Promise<Outcome> => {
  const server = start(script, "server")
  try {
    const target = new Target({ port: await server.ask("listen") })
    const client = new Client(server, target)
    let last = 0
    const attempt = async (amounts: Partial<Amounts>): Promise<number | undefined> => {
      const before: number = await server.ask("memory")
      const connection = await client.open(transport)
      const progress = await leave(connection, { ...nothing, ...amounts })
      last = progress.last
      const isOpen = progress.isOpen && (await client.settle())
      const held = isOpen ? (await server.ask("memory")) - before : undefined
      await client.end(connection)
      return held
    }
    // Resources that are made once.
    await attempt({ auth: 10, rooms: 100, asks: 100, events: 1, unread: 1, answers: 10, attachments: 1, waiting: 10 })
    const alone: Record<string, number> = {}
    /** The greatest amount with which the connection stays open, at the most `most`. */
    const furthest = async (name: keyof Amounts, most: number, step = 1, others = {}): Promise<number> => {
      let amount = most
      let held = await attempt({ ...others, [name]: amount })
      while (held === undefined && amount > 0) {
        amount = Math.max(0, Math.min(last, amount - step))
        held = await attempt({ ...others, [name]: amount })
      }
      alone[name] = held ?? 0
      told(`${transport}, ${name}: ${amount}, ${(alone[name] / 1e6).toFixed(1)} MB`)
      return amount
    }
    // A refused message leaves nothing: sizes are tried from the largest on.
    let auth = 0
    for (const size of auths) {
      const held = await attempt({ auth: size })
      if (held === undefined || held < (alone["auth"] ?? 0)) continue
      auth = size
      alone["auth"] = held
    }
    told(`${transport}, auth: ${auth}, ${((alone["auth"] ?? 0) / 1e6).toFixed(1)} MB`)
    const rooms = await furthest("rooms", mostRooms)
    const asks = await furthest("asks", 9_500)
    const events = await furthest("events", mostEvents)
    const unread = await furthest("unread", transport === "polling" ? 140 : 40)
    const answers = await furthest("answers", transport === "polling" ? 90_000 : 56_000, 4_000)
    const attachments = await furthest("attachments", 9, 1, { waiting: LARGEST })
    const all = {
      auth,
      rooms,
      // Both are events whose handlers are not done.
      asks: Math.max(0, asks - events - 1),
      events: Math.max(0, events - 1),
      largest: true,
      // The kernel does not always take the same part of it.
      ...(alone["answers"]! > alone["unread"]!
        ? { unread: 0, answers: Math.max(0, answers - 3_000) }
        : { unread: Math.max(0, unread - 2), answers: 0 }),
      attachments,
      waiting: 100_000
    }
    let amounts: Amounts = all
    let together = await attempt(amounts)
    if (together === undefined) together = await attempt((amounts = { ...all, largest: false }))
    for (let less = 1; together === undefined && less < 10; less++) {
      // Over polling, events that the server does not read yet look as if it took any number of them.
      const events = amounts.events > 10 ? Math.floor(amounts.events / 2) : Math.max(0, amounts.events - less)
      const unread = Math.max(0, amounts.unread - less)
      amounts = { ...amounts, events, unread, answers: Math.max(0, amounts.answers - 3_000 * less) }
      together = await attempt(amounts)
    }
    if (together === undefined) throw new Error("the connection was closed, however little it left")
    // Data that takes more than all events may has to be alone, except for what is not read.
    const other = { ...amounts, asks: 0, events: 0, largest: false, waiting: LARGEST }
    const instead = await attempt(other)
    if (instead !== undefined && instead > together) [together, amounts] = [instead, other]
    told(`${transport}, together: ${(together / 1e6).toFixed(1)} MB`)
    return { transport, alone, together, amounts }
  } finally {
    await server.stop()
  }
}

if (process.argv[2] === "server") serve()
else if (import.meta.main) {
  for (const transport of ["websocket", "polling"] as const) {
    const { amounts } = await measure(transport, console.log)
    console.log(`  ${JSON.stringify(amounts)}`)
  }
  process.exit(0)
}
