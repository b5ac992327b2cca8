/**
 * The cost of a value of a resumable stream for a server, beside the same value in a plain emit: the CPU time of the server's process, with
 * the clients in another one. Rounds alternate, so that a busy machine concerns both.
 *
 *     npm run streams:cost                     1,000 streams of 50 values a second
 *     node test/streams/cost.ts 200 1 5        streams, seconds, rounds
 */
import { fork } from "node:child_process"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { fileURLToPath } from "node:url"
import { Effect, Exit, Layer, Schema, Scope, Stream } from "effect"
import { io } from "socket.io-client"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as StreamEvent from "../../src/StreamEvent.ts"
import * as StreamLog from "../../src/streams/StreamLog.ts"

const RATE = 50

/** The rounds that only warm up. */
const WARMUP = 2
const PER_SOCKET = 10

const Item = Schema.Struct({ word: Schema.String, n: Schema.Int })
const Count = { count: Schema.Int }

const Answer = StreamEvent.make("answer", { payload: Count, item: Item })
const Tell = Event.make("tell", { payload: Count, ack: Schema.Boolean })
const Told = Event.make("told", { payload: Item })

class Bench extends Namespace.make("/bench", { clientToServer: [Tell], serverToClient: [Told] }).add(Answer) {}

const words = (count: number) =>
  Stream.range(1, count).pipe(
    Stream.rechunk(1),
    Stream.mapEffect((n) => Effect.delay(Effect.succeed({ word: "some words of an answer ", n }), 1_000 / RATE))
  )

const BenchLive = SocketIoServer.layerNamespace(Bench, (socket) =>
  Effect.succeed(
    Bench.of({
      answer: ({ count }) => words(count),
      tell: ({ count }) =>
        words(count).pipe(
          Stream.runForEach((item) => socket.emit("told", item)),
          Effect.as(true)
        )
    })
  )
)

/** The clients: they start streams, or plain emits, and say when all values have come. */
const clients = async (url: string, streams: number): Promise<void> => {
  const sockets = await Promise.all(
    Array.from({ length: Math.ceil(streams / PER_SOCKET) }, async () => {
      const socket = io(`${url}/bench`, { transports: ["websocket"], forceNew: true })
      await new Promise<void>((resolve) => socket.once("connect", resolve))
      return socket
    })
  )
  process.on("message", async ({ count, kind }: { readonly kind: "answer" | "tell"; readonly count: number }) => {
    const ends = sockets.flatMap((socket) =>
      Array.from({ length: PER_SOCKET }, async () => {
        if (kind === "tell") return void (await socket.emitWithAck("tell", { count }))
        const { stream } = await socket.emitWithAck("answer", { count })
        await new Promise<void>((resolve) => {
          const onItems = (items: { readonly stream: string; readonly end?: object }) => {
            if (items.stream !== stream || items.end === undefined) return
            socket.off("answer:items", onItems)
            resolve()
          }
          socket.on("answer:items", onItems)
          socket.emit("answer:read", { stream, after: 0 }, () => {})
        })
      })
    )
    await Promise.all(ends)
    process.send!("done")
  })
  process.send!("done")
}

/** The CPU time of a value in microseconds, in a stream and in a plain emit. */
export const measure = async (streams: number, seconds: number, rounds: number) => {
  const scope = Scope.makeUnsafe()
  const http = createServer()
  const running = Math.ceil(streams / PER_SOCKET) * PER_SOCKET
  await Effect.runPromise(
    Layer.buildWithScope(
      BenchLive.pipe(
        Layer.provide(NodeSocketIoServer.layerAttached(http)),
        Layer.provide(StreamLog.layerMemory({ maxRunning: running }))
      ),
      scope
    )
  )
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve))
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  const child = fork(fileURLToPath(import.meta.url), ["clients", url, String(streams)])
  const done = () => new Promise<void>((resolve) => child.once("message", () => resolve()))
  const count = Math.round(RATE * seconds)
  const costs = { answer: [] as Array<number>, tell: [] as Array<number> }
  try {
    await done()
    for (let round = -WARMUP; round < rounds; round++) {
      for (const kind of round % 2 === 0 ? (["tell", "answer"] as const) : (["answer", "tell"] as const)) {
        const before = process.cpuUsage()
        child.send({ kind, count })
        await done()
        const { system, user } = process.cpuUsage(before)
        if (round >= 0) costs[kind].push((user + system) / (running * count))
      }
    }
  } finally {
    child.kill()
    await Effect.runPromise(Scope.close(scope, Exit.void))
    http.closeAllConnections()
    http.close()
  }
  // Other processes on the machine only make a round dearer.
  const [stream, plain] = [Math.min(...costs.answer), Math.min(...costs.tell)]
  return { stream, plain, ratio: stream / plain }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [first = "1000", second = "3", third = "5"] = process.argv.slice(2)
  if (first === "clients") await clients(second, Number(third))
  else {
    const { plain, ratio, stream } = await measure(Number(first), Number(second), Number(third))
    console.log(
      `${first} streams of ${RATE} values a second: ${stream.toFixed(1)} µs of CPU for a value, ` +
        `${plain.toFixed(1)} µs in a plain emit, ratio ${ratio.toFixed(2)}`
    )
  }
}
