/**
 * The cost of clients that stop reading: a room of 1,000, of which 10 do not read the 200 MB (20 MB each) that are broadcast to
 * them, beside the same room without those.
 *
 *     node test/bench/stalled.ts [--policy dropNewest] [--clients 1000] [--stalled 10] [--megabytes 200] [--size 16384]
 *                                [--maxOutbox 1048576]
 *
 * Server and clients are processes of their own. The next broadcast is sent when everybody who reads has got the one before: how
 * fast that goes is the machine's business. It fails where memory grows by more than the outboxes of those that are stalled
 * and 20 MB, where others lose something or have to wait, or where what is counted as dropped is not what is missing.
 */
import { createServer } from "node:http"
import type { AddressInfo, Socket as NetSocket } from "node:net"
import { fileURLToPath } from "node:url"

import { Effect, Layer, Logger, Metric, Scope } from "effect"
import { WebSocket } from "ws"

import type { OutboxOverflow } from "../../src/engine/Outbox.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { answer, check, now, quantile, type Role, settings, sleep, start, table } from "./roles.ts"

const script = fileURLToPath(import.meta.url)

/** `42["m","<number>,<time>,<filling>"]`: always of the same size. */
const head = (n: number, time: number) => `${String(n).padStart(8, "0")},${time.toFixed(3).padStart(20, "0")},`

/** The engine's counts, by name and the values of the attributes. */
const counted = Effect.map(Metric.snapshot, (metrics) => {
  const values: Record<string, number> = {}
  for (const { attributes, id, state } of metrics) {
    const name = [id.replace("socketio_", ""), ...Object.values(attributes ?? {}).map((value) => `{${value}}`)].join("")
    if ("count" in state) values[name] = Number(state.count)
    else if ("value" in state) values[name] = Number(state.value)
  }
  return values
})

// ---------------------------------------------------------------- the server

const serve = () => {
  const scope = Scope.makeUnsafe()
  const http = createServer()
  let broadcast: (text: string) => void
  let filling: string | undefined
  let peak = 0
  answer({
    listen: async (options: { readonly maxOutbox: number; readonly outboxOverflow: OutboxOverflow }) => {
      await new Promise<void>((resolve) => http.listen({ port: 0, host: "127.0.0.1", backlog: 1_024 }, resolve))
      const layer = SocketIoServer.layerNamespace("/", (socket) => socket.join("room")).pipe(
        Layer.provideMerge(
          NodeSocketIoServer.layerAttached(http, { limits: options, heartbeat: { pingInterval: "5 minutes" } })
        ),
        Layer.provide(Logger.layer([]))
      )
      const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
      const all = Effect.runSync(Effect.provideContext(SocketIoServer.namespace("/"), context))
      broadcast = (text) => void Effect.runFork(all.to("room").emit("m", text))
      return (http.address() as AddressInfo).port
    },
    broadcast: ({ n, size }: { readonly n: number; readonly size: number }) => {
      filling ??= "x".repeat(size - head(0, 0).length)
      broadcast(head(n, now()) + filling)
      peak = Math.max(peak, process.memoryUsage.rss())
    },
    usage: async () => {
      // Garbage does not count.
      for (let i = 0; i < 5; i++) {
        globalThis.gc?.()
        await sleep(50)
      }
      return {
        rss: process.memoryUsage.rss(),
        peak,
        cpu: process.cpuUsage(),
        ...Effect.runSync(counted)
      }
    }
  })
}

// ---------------------------------------------------------------- the clients

interface Client {
  readonly connection: NetSocket
  received: number
  inOrder: boolean
  last: number
  reads: boolean
}

const connectClients = () => {
  const clients: Array<Client> = []
  let latencies: Array<number> = []
  // How many of those who read have got the newest broadcast, and who waits for all of them to have it.
  let current = -1
  let arrived = 0
  let awaited: { readonly n: number; readonly count: number; readonly resolve: () => void } | undefined
  const tell = () => {
    if (awaited === undefined || awaited.n !== current || arrived < awaited.count) return
    awaited.resolve()
    awaited = undefined
  }
  const open = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const ws = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`, {
        perMessageDeflate: false,
        skipUTF8Validation: true
      })
      ws.on("error", reject)
      ws.on("open", () => ws.send("40"))
      let client: Client | undefined
      ws.on("message", (data: Buffer) => {
        if (client !== undefined && data[1] === 50) {
          const n = Number(data.toString("latin1", 8, 16))
          const sent = Number(data.toString("latin1", 17, 37))
          client.inOrder &&= n > client.last
          client.last = n
          client.received++
          if (!client.reads) return
          latencies.push(now() - sent)
          arrived = n === current ? arrived + 1 : 1
          current = n
          tell()
        } else if (data[0] === 50) ws.send("3")
        else if (data.toString("latin1", 0, 2) === "40") {
          client = {
            connection: (ws as unknown as { readonly _socket: NetSocket })._socket,
            received: 0,
            inOrder: true,
            last: -1,
            reads: true
          }
          clients.push(client)
          resolve()
        }
      })
    })
  answer({
    open: async ({ count, port }: { readonly count: number; readonly port: number }) => {
      for (let i = 0; i < count; i += 50) {
        await Promise.all(Array.from({ length: Math.min(50, count - i) }, () => open(port)))
      }
    },
    stop: (count: number) => {
      for (const client of clients.slice(0, count)) {
        client.reads = false
        client.connection.pause()
      }
    },
    resume: (count: number) => {
      for (const { connection } of clients.slice(0, count)) connection.resume()
    },
    begin: () => {
      latencies = []
    },
    /** Answers when everybody who reads has got the broadcast of a number. */
    arrival: (n: number) =>
      new Promise<void>((resolve) => {
        awaited = { n, count: clients.filter(({ reads }) => reads).length, resolve }
        tell()
      }),
    received: () => clients.map(({ inOrder, received }) => ({ received, inOrder })),
    latency: () => [0.5, 0.99, 1].map((part) => quantile(latencies, part))
  })
}

// ---------------------------------------------------------------- the measurement

const measure = async (stalled: number, count: number, all: ReturnType<typeof defaults>) => {
  const server: Role = start(script, "server")
  const clients: Role = start(script, "clients")
  const port = await server.ask("listen", { maxOutbox: all.maxOutbox, outboxOverflow: all.policy })
  await clients.ask("open", { port, count: all.clients })
  let n = 0
  const broadcast = async (times: number) => {
    for (const end = n + times; n < end; n++) {
      const arrival = clients.ask("arrival", n)
      await server.ask("broadcast", { n, size: all.size })
      await arrival
    }
  }
  await broadcast(WARM)
  const before = await server.ask("usage")
  await clients.ask("stop", stalled)
  await clients.ask("begin")
  await broadcast(count)
  const after = await server.ask("usage")
  const [p50, p99, max] = await clients.ask("latency")
  // Kept messages reach them when they read again.
  await clients.ask("resume", stalled)
  for (let i = 0; i < 100 && ((await server.ask("usage")).outbox_bytes ?? 0) > 0; i++) await sleep(100)
  await sleep(500)
  const received: ReadonlyArray<{ received: number; inOrder: boolean }> = await clients.ask("received")
  await clients.stop()
  await server.stop()
  return { before, after, p50, p99, max, received, sent: n }
}

/** Broadcasts until everything is compiled. */
const WARM = 100

const defaults = () =>
  settings({
    policy: "dropOldest",
    clients: 1_000,
    stalled: 10,
    megabytes: 200,
    size: 16 * 1_024,
    maxOutbox: 1_024 * 1_024
  })

const MB = 1e6

const run = async () => {
  const all = defaults()
  const count = Math.ceil((all.megabytes * MB) / all.stalled / all.size)
  console.log(
    `${all.clients} clients, ${count} broadcasts of ${all.size} bytes; ${all.policy}, maxOutbox ${all.maxOutbox}`
  )
  const without = await measure(0, count, all)
  const within = await measure(all.stalled, count, all)
  const counted = (name: string) => (within.after[`${name}{${all.policy}}`] as number | undefined) ?? 0
  const grown = ({ after, before }: typeof within) => after.rss - before.rss
  const missing = within.received.slice(0, all.stalled).reduce((sum, { received }) => sum + within.sent - received, 0)
  const others = within.received.slice(all.stalled)
  const megabytes = (bytes: number) => `${(bytes / MB).toFixed(1)} MB`
  const millis = (value: number) => `${value.toFixed(1)} ms`
  const row = (title: string, show: (run: typeof within) => string): readonly [string, ...Array<string>] => [
    title,
    show(without),
    show(within)
  ]
  table(
    ["all read", `${all.stalled} stalled`],
    [
      row("memory before", ({ before }) => megabytes(before.rss)),
      row("memory after", ({ after }) => megabytes(after.rss)),
      row("growth", (run) => megabytes(grown(run))),
      row("most on the way", ({ after }) => megabytes(after.peak)),
      row("waiting in outboxes", ({ after }) => megabytes(after.outbox_bytes ?? 0)),
      row("latency p50", ({ p50 }) => millis(p50)),
      row("latency p99", ({ p99 }) => millis(p99)),
      row("latency max", ({ max }) => millis(max)),
      row("server CPU", ({ after, before }) =>
        millis((after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system) / 1_000)
      ),
      row("packets dropped", ({ after }) => String(after[`packets_dropped{${all.policy}}`] ?? 0)),
      row("bytes dropped", ({ after }) => megabytes(after[`bytes_dropped{${all.policy}}`] ?? 0)),
      row("packets missing", ({ received, sent }) =>
        String(received.reduce((sum, client) => sum + sent - client.received, 0))
      )
    ]
  )
  const budget = all.stalled * all.maxOutbox + 20 * MB
  check(`memory grew by no more than the outboxes and 20 MB (${megabytes(budget)})`, grown(within) <= budget)
  check(
    "the others have everything, in its order",
    [...others, ...without.received].every(({ inOrder, received }) => inOrder && received === within.sent)
  )
  check(`their p99 is within 1.5 times (${(within.p99 / without.p99).toFixed(2)})`, within.p99 <= without.p99 * 1.5)
  check(
    "something was dropped, and exactly what is missing was counted",
    missing > 0 && counted("packets_dropped") === missing
  )
  // `42["m","…"]`
  check("to the byte", counted("bytes_dropped") === missing * (all.size + 10))
}

const role = process.argv[2]
if (role === "server") serve()
else if (role === "clients") connectClients()
else await run()
