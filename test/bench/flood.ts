/**
 * What one client that floods costs the others: the time of their acknowledgements while another sends as much as it can, beside
 * that without it. Once its events are handled at once, once their handlers take a while, so that it is not read for most of the time.
 *
 *     node test/bench/flood.ts [--clients 100] [--rate 50] [--seconds 10] [--size 20] [--work 5] [--limit 10000]
 *
 * Both are measured again with a `rateLimit` of `limit` packets per second and connection.
 *
 * Server, clients and flood are processes of their own; the flood's gives way to the others, as its own work is nothing
 * that is measured. It fails where the others' p99 is more than twice as long.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { setPriority } from "node:os"
import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks"
import { fileURLToPath } from "node:url"

import { Duration, Effect, Layer, Logger, Metric, Scope } from "effect"
import { WebSocket } from "ws"

import * as EngineMetrics from "../../src/engine/EngineMetrics.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { answer, check, now, quantile, settings, sleep, start, table } from "./roles.ts"

const script = fileURLToPath(import.meta.url)

// ---------------------------------------------------------------- the server

const serve = () => {
  const scope = Scope.makeUnsafe()
  const http = createServer()
  let handled = 0
  let running = 0
  let most = 0
  let collecting = 0
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) collecting = Math.max(collecting, duration)
  }).observe({ entryTypes: ["gc"] })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  answer({
    listen: async ({ limit, work }: { readonly limit: number | undefined; readonly work: number }) => {
      await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve))
      const slow = Effect.sleep(Duration.millis(work))
      const done = Effect.sync(() => {
        running--
        handled++
      })
      const layer = SocketIoServer.layerNamespace("/", (socket) =>
        Effect.gen(function* () {
          yield* socket.on("ask", (n) => Effect.succeed(n))
          yield* socket.on("quick", () => Effect.sync(() => void handled++))
          yield* socket.on("slow", () =>
            Effect.suspend(() => {
              most = Math.max(most, ++running)
              return Effect.andThen(slow, done)
            })
          )
        })
      ).pipe(
        Layer.provide(
          NodeSocketIoServer.layerAttached(http, {
            pingInterval: "5 minutes",
            ...(limit === undefined ? {} : { rateLimit: { limit } })
          })
        ),
        Layer.provide(Logger.layer([]))
      )
      await Effect.runPromise(Layer.buildWithScope(layer, scope))
      return (http.address() as AddressInfo).port
    },
    begin: () => {
      collecting = 0
      delay.reset()
    },
    usage: () => {
      return {
        handled,
        collecting,
        delay: delay.percentile(99) / 1e6,
        most,
        rss: process.memoryUsage.rss(),
        pauses: Number(Effect.runSync(Metric.value(EngineMetrics.readPauses)).count)
      }
    }
  })
}

// ---------------------------------------------------------------- the clients

const connect = (port: number, onMessage: (data: string) => void): Promise<WebSocket> =>
  new Promise((resolve, reject) => {
    const ws = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`, {
      perMessageDeflate: false
    })
    ws.on("error", reject)
    ws.on("open", () => ws.send("40"))
    ws.on("message", (data: Buffer) => {
      const text = data.toString()
      if (text.startsWith("40")) resolve(ws)
      else onMessage(text)
    })
  })

const ask = () => {
  const sockets: Array<WebSocket> = []
  const sent = new Map<number, number>()
  let latencies: Array<number> = []
  answer({
    open: async ({ count, port }: { readonly count: number; readonly port: number }) => {
      for (let i = 0; i < count; i++) {
        sockets.push(
          await connect(port, (text) => {
            const id = Number.parseInt(text.slice(2), 10)
            const at = sent.get(id)
            if (at === undefined) return
            sent.delete(id)
            latencies.push(now() - at)
          })
        )
      }
    },
    ask: async ({ rate, seconds }: { readonly rate: number; readonly seconds: number }) => {
      latencies = []
      const total = rate * seconds * sockets.length
      const began = now()
      for (let id = 0; id < total; id++) {
        const pause = began + (id * 1_000) / (rate * sockets.length) - now()
        if (pause > 1) await sleep(pause)
        sent.set(id, now())
        sockets[id % sockets.length]!.send(`42${id}["ask",${id}]`)
      }
      for (let i = 0; i < 100 && sent.size > 0; i++) await sleep(100)
      return { answered: latencies.length, total, quantiles: [0.5, 0.99, 1].map((part) => quantile(latencies, part)) }
    }
  })
}

const flood = () => {
  answer({
    flood: async ({ event, port, size }: { readonly event: string; readonly port: number; readonly size: number }) => {
      const ws = await connect(port, () => {})
      setPriority(5)
      const packet = `42["${event}","${"x".repeat(size)}"]`
      const batch = () => {
        // As much as the connection takes, in portions: what was written is given back only between them.
        for (let i = 0; i < 2_000 && ws.bufferedAmount < 256 * 1_024; i++) ws.send(packet)
        // What it does while it cannot send is not to cost the others anything either.
        if (ws.readyState === WebSocket.OPEN) setTimeout(batch, ws.bufferedAmount < 256 * 1_024 ? 0 : 5)
      }
      batch()
    }
  })
}

// ---------------------------------------------------------------- the measurement

const run = async () => {
  const all = settings({ clients: 100, rate: 50, seconds: 10, size: 20, work: 5, limit: 10_000 })
  console.log(
    `${all.clients} clients ask ${all.rate} times per second, for ${all.seconds} s; ` +
      `the flood's events are of ${all.size} bytes, slow handlers take ${all.work} ms`
  )
  const measure = async (event?: string, limit?: number) => {
    const server = start(script, "server")
    const clients = start(script, "clients")
    const port = await server.ask("listen", { limit, work: all.work })
    await clients.ask("open", { port, count: all.clients })
    const flooding = start(script, "flood")
    if (event !== undefined) await flooding.ask("flood", { port, event, size: all.size })
    // Everything is compiled by then.
    await clients.ask("ask", { ...all, seconds: 3 })
    await server.ask("begin")
    const before = await server.ask("usage")
    const began = now()
    const { answered, quantiles, total } = await clients.ask("ask", all)
    const rate = ((await server.ask("usage")).handled - before.handled) / ((now() - began) / 1_000)
    const usage = await server.ask("usage")
    await flooding.stop()
    await clients.stop()
    await server.stop()
    return { ...usage, rate, quantiles, lost: total - answered }
  }
  const runs = [
    await measure(),
    await measure("quick"),
    await measure("slow"),
    await measure("quick", all.limit),
    await measure("slow", all.limit)
  ] as const
  const row = (title: string, show: (run: (typeof runs)[number]) => string): readonly [string, ...Array<string>] => [
    title,
    ...runs.map(show)
  ]
  const millis = (value: number) => `${value.toFixed(2)} ms`
  table(
    ["no flood", "handled at once", "handlers behind", "at once, limited", "behind, limited"],
    [
      row("latency p50", ({ quantiles }) => millis(quantiles[0])),
      row("latency p99", ({ quantiles }) => millis(quantiles[1])),
      row("latency max", ({ quantiles }) => millis(quantiles[2])),
      row("delay of the server's event loop p99", ({ delay }) => millis(delay)),
      row("longest garbage collection", ({ collecting }) => millis(collecting)),
      row("events of the flood per second", ({ rate }) => rate.toFixed(0)),
      row("most handlers at once", ({ most }) => String(most)),
      row("times that reading was paused", ({ pauses }) => String(pauses)),
      row("memory of the server", ({ rss }) => `${(rss / 1e6).toFixed(1)} MB`)
    ]
  )
  const [quiet, quick, slow, limited, slowLimited] = runs
  check(
    "every question was answered",
    runs.every(({ lost }) => lost === 0)
  )
  for (const [name, { quantiles }] of [
    ["handled at once", quick],
    ["handlers behind", slow],
    [`handled at once, rateLimit ${all.limit}`, limited],
    [`handlers behind, rateLimit ${all.limit}`, slowLimited]
  ] as const) {
    const ratio = quantiles[1] / quiet.quantiles[1]
    check(`the others' p99 is within twice that without the flood (${name}: ${ratio.toFixed(2)})`, ratio <= 2)
  }
  check("handlers were never further behind than they may be", slow.most <= 1_000)
}

const role = process.argv[2]
if (role === "server") serve()
else if (role === "clients") ask()
else if (role === "flood") flood()
else await run()
