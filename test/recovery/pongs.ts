/**
 * Whether a pong proves receipt: a client hears numbered events between pings over a connection that is cut at some byte. Whenever the
 * server reads a pong, the handler of the client's application must have been called with everything that was sent before its ping.
 */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, Exit, Logger, Scope } from "effect"
import { Server, type Socket as ServerSocket } from "socket.io"
import { io } from "socket.io-client"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"
import { makeRandom } from "./random.ts"
import { type CutPoint, Relay } from "./relay.ts"

export type Way = "polling" | "websocket"

/** A client of this kind calls `onEvent` from its handler; `onEnd` when it has lost the connection. */
type Connect = (url: string, ways: ReadonlyArray<Way>, run: Run) => () => void

/** One connection, from its opening to its cut. */
interface Run {
  readonly id: string
  /** The numbers that the handler was called with. */
  readonly handed: Array<number>
  readonly onEnd: () => void
}

/** Handlers take turns: a pong does not wait for their ends. */
const turns = () => new Promise((resolve) => setTimeout(resolve, 20))

const official: Connect = (url, ways, { handed, id, onEnd }) => {
  const socket = io(url, { transports: [...ways], forceNew: true, reconnection: false, auth: { run: id } })
  socket.on("e", async (n: number) => {
    handed.push(n)
    await turns()
  })
  socket.on("disconnect", onEnd)
  socket.on("connect_error", onEnd)
  return () => void socket.disconnect()
}

const ours: Connect = (url, ways, { handed, id, onEnd }) => {
  const scope = Scope.makeUnsafe()
  const program = Effect.gen(function* () {
    const client = yield* SocketIoClient.make({ url, transports: ways, reconnection: false })
    yield* Effect.gen(function* () {
      const socket = yield* SocketIoClient.socket("/", { auth: { run: id } })
      const handler = (n: unknown) =>
        Effect.andThen(
          Effect.sync(() => handed.push(n as number)),
          Effect.promise(turns)
        )
      yield* socket.respond("e", handler)
      yield* Effect.forkScoped(Effect.map(socket.disconnected, onEnd), { startImmediately: true })
    }).pipe(Effect.provideService(SocketIoClient.SocketIoClient, client))
  })
  void Effect.runPromise(
    program.pipe(Scope.provide(scope), Effect.provide(NodeClientPlatform.layer), Effect.provide(Logger.layer([])))
  )
  return () => void Effect.runPromise(Scope.close(scope, Exit.void))
}

export const clients = { official, ours } satisfies Record<string, Connect>

export type ClientName = keyof typeof clients

/** The packets of the server in one turn of its event loop: events with numbers of their own, and pings. */
export type Step = "ping" | { readonly payload: unknown }

export type Script = ReadonlyArray<ReadonlyArray<Step>>

/** A script of events of all kinds, in turns of different lengths, with pings before, between and after them. */
export const makeScript = (seed: number, large = 0): Script => {
  const { below } = makeRandom(seed)
  const payloads: ReadonlyArray<() => unknown> = [
    () => below(1_000),
    () => "text \u2603",
    () => Buffer.alloc(1 + below(20), 7),
    () => ({ deep: [Buffer.alloc(1 + below(9), 8), { also: Buffer.alloc(0) }] }),
    () => "x".repeat(large === 0 ? below(40) : below(large))
  ]
  const turns = Array.from({ length: 3 + below(3) }, () =>
    Array.from({ length: 1 + below(6) }, (): Step => (below(3) === 0 ? "ping" : { payload: payloads[below(5)]!() }))
  )
  return [...turns, ["ping"], [{ payload: "last" }, "ping"]]
}

interface Known {
  readonly script: Script
  /** Whether pings wait for no pong. This library's client answers several at once. */
  readonly many: boolean
  /** Between two turns, in milliseconds. */
  readonly pause: number
  readonly run: Run
  /** The number of events before each ping that was sent and not answered yet. */
  readonly pings: Array<number>
  /** Of a cut that the server would not notice. */
  socket?: ServerSocket
  pongs: number
  readonly broken: Array<string>
  readonly onDone: () => void
}

export interface CutReport {
  readonly cuts: number
  /** The pongs that the server has read, each a proof. */
  readonly pongs: number
  /** Pongs that were read though an event from before their pings had not been handed over. */
  readonly broken: ReadonlyArray<string>
  readonly handed: number
}

/** An official server that plays scripts, and connections to it that are cut. */
export const startPongServer = async () => {
  const runs = new Map<string, Known>()
  const http = Http.createServer()
  const server = new Server(http, { serveClient: false, pingInterval: 3_600_000, pingTimeout: 3_600_000 })

  server.on("connection", async (socket) => {
    const known = runs.get(String(socket.handshake.auth["run"]))
    if (known === undefined) return void socket.disconnect(true)
    const { broken, pings, run, script } = known
    known.socket = socket
    // An upgrade takes its time.
    const pause = known.pause
    let sent = 0
    socket.conn.on("packet", ({ type }: { readonly type: string }) => {
      if (type !== "pong") return
      const before = pings.shift()
      known.pongs++
      const { length } = run.handed
      if (before === undefined) broken.push("a pong without a ping")
      else if (length < before) broken.push(`a pong after ${length} of ${before} events`)
      if (due > 0 && !known.many) {
        due--
        ping()
      } else if (pings.length === 0 && isPlayed) known.onDone()
    })
    let isPlayed = false
    let due = 0
    const ping = () => {
      if (pings.length > 0 && !known.many) return void due++
      pings.push(sent)
      // The engine's own heartbeat sends it in the same way.
      ;(socket.conn as unknown as { sendPacket(type: string): void }).sendPacket("ping")
    }
    for (const steps of script) {
      for (const step of steps) {
        if (step === "ping") ping()
        else socket.emit("e", ++sent, step.payload)
      }
      await new Promise((resolve) => setTimeout(resolve, pause))
      if (!socket.connected) return known.onDone()
    }
    isPlayed = true
    if (pings.length === 0) known.onDone()
  })
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve))
  const { port } = http.address() as AddressInfo
  let number = 0

  /** Plays the script to one client; gives what has passed and what was proved. */
  const play = async (client: ClientName, ways: ReadonlyArray<Way>, script: Script, point?: CutPoint) => {
    const id = String(number++)
    const relay = await Relay.start(port)
    const done = Promise.withResolvers<void>()
    // Nobody is told of some cuts.
    if (point !== undefined) relay.cutAfter(point, () => setTimeout(done.resolve, point.how === "deaf" ? 40 : 200))
    const handed: Array<number> = []
    const known: Known = {
      script,
      many: client === "official",
      pause: ways.length > 1 ? 4 : 0,
      run: { id, handed, onEnd: done.resolve },
      pings: [],
      pongs: 0,
      broken: [],
      onDone: done.resolve
    }
    runs.set(id, known)
    const leave = clients[client](relay.url, ways, known.run)
    await done.promise
    // A pong may still be on its way, and what it proves is looked at when it is read.
    await new Promise((resolve) => setTimeout(resolve, 25))
    const unordered = handed.some((n, i) => n !== i + 1)
    if (unordered) known.broken.push(`handed over: ${handed.join(" ")}`)
    leave()
    known.socket?.disconnect(true)
    relay.close()
    runs.delete(id)
    return { passed: { ...relay.passed }, pongs: known.pongs, broken: known.broken, handed: handed.length }
  }

  return {
    play,
    /** Plays the script again and again, and cuts the connection at each of these points. */
    cutAt: async (
      client: ClientName,
      ways: ReadonlyArray<Way>,
      script: Script,
      points: ReadonlyArray<CutPoint>,
      atOnce = 24
    ): Promise<CutReport> => {
      const total = { cuts: 0, pongs: 0, handed: 0 }
      const broken: Array<string> = []
      const rest = points.toReversed()
      const work = async () => {
        for (let point = rest.pop(); point !== undefined; point = rest.pop()) {
          const result = await play(client, ways, script, point)
          total.cuts++
          total.pongs += result.pongs
          total.handed += result.handed
          for (const text of result.broken) {
            broken.push(`${client}, ${ways.join()}, ${point.how} ${point.direction} at ${point.bytes}: ${text}`)
          }
        }
      }
      await Promise.all(Array.from({ length: atOnce }, work))
      return { ...total, broken }
    },
    stop: () => server.close()
  }
}
