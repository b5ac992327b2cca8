/**
 * What one client that floods costs the others: the time of their acknowledgements while another sends as much as it can, beside
 * that without it. Once its events are handled at once, once their handlers take a while, so that it is not read for most of the time.
 *
 *     node test/bench/flood.ts [--clients 100] [--rate 50] [--rounds 5] [--seconds 4] [--size 20] [--work 5] [--limit 10000]
 *
 * Both are measured again with a `rateLimit` of `limit` packets per second and connection.
 *
 * Server, clients and flood are processes of their own, the server on a processor of its own; the flood's process gives way to the
 * clients', as its own work is nothing that is measured. It still takes time of the clients' processor, so what counts is the difference
 * to the same flood at another server, which is on that processor, too, and gives way as well: that is worse for the clients than the
 * flood alone, as no flood at all is better, so both are said. Conditions take turns, for `seconds`
 * each. A percentile is that of one second, and what is said of a condition the median of its seconds: what a shared machine
 * does now and then is in few of them. It fails where the others' p99 is more than twice as long.
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
import type { PlainSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { answer, check, now, quantile, type Role, settings, sleep, start, table } from "./roles.ts"

const script = fileURLToPath(import.meta.url)

// ---------------------------------------------------------------- the server

/** What a server says of itself. */
interface Usage {
  /** Events of the flood since the beginning. */
  readonly handled: number
  /** The longest garbage collection since it was last asked to begin, in milliseconds. */
  readonly collecting: number
  /** The delay of its event loop, p99, in milliseconds. */
  readonly delay: number
  /** The most handlers of the flood's that were at work at once. */
  readonly most: number
  readonly rss: number
  readonly pauses: number
}

const serve = () => {
  const scope = Scope.makeUnsafe()
  const http = createServer()
  let handled = 0
  let running = 0
  let most = 0
  let collecting = 0
  const flooding = new Set<PlainSocket>()
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
          yield* socket.on("quick", () =>
            Effect.sync(() => {
              handled++
              flooding.add(socket)
            })
          )
          yield* socket.on("slow", () =>
            Effect.suspend(() => {
              most = Math.max(most, ++running)
              flooding.add(socket)
              return Effect.ensuring(slow, done)
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
    /** Ends the flood: what it has sent before its process ended may take the server a while. */
    end: async () => {
      for (const socket of flooding) await Effect.runPromise(socket.disconnect({ close: true }))
      flooding.clear()
    },
    begin: () => {
      collecting = 0
      delay.reset()
    },
    usage: (): Usage => {
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
  let ids = 0
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
    /** The percentiles of each second. */
    ask: async ({ rate, seconds }: { readonly rate: number; readonly seconds: number }) => {
      const perSecond = rate * sockets.length
      const quantiles: Array<ReadonlyArray<number>> = []
      const began = now()
      for (let second = 0; second < seconds; second++) {
        latencies = []
        for (let n = second * perSecond; n < (second + 1) * perSecond; n++) {
          const pause = began + (n * 1_000) / perSecond - now()
          if (pause > 1) await sleep(pause)
          const id = ids++
          sent.set(id, now())
          sockets[id % sockets.length]!.send(`42${id}["ask",${id}]`)
        }
        quantiles.push([0.5, 0.9, 0.99, 1].map((part) => quantile(latencies, part)))
      }
      for (let i = 0; i < 100 && sent.size > 0; i++) await sleep(100)
      return { lost: sent.size, quantiles }
    }
  })
}

const flood = () => {
  answer({
    flood: async ({ event, port, size }: { readonly event: string; readonly port: number; readonly size: number }) => {
      const ws = await connect(port, () => {})
      setPriority(19)
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

/** A server, and what asks it. */
interface Site {
  readonly server: Role
  readonly clients: Role
  readonly port: number
}

interface Condition {
  readonly name: string
  readonly site: Site
  /** What the flood sends, if there is one. */
  readonly event?: string
  /** The server that it sends to, if it is another one. */
  readonly elsewhere?: Pick<Site, "server" | "port">
}

/** What was measured within one turn of a condition. */
interface Turn extends Usage {
  readonly rate: number
  readonly lost: number
  readonly quantiles: ReadonlyArray<ReadonlyArray<number>>
}

const run = async () => {
  const all = settings({ clients: 100, rate: 50, rounds: 5, seconds: 4, size: 20, work: 5, limit: 10_000 })
  console.log(
    `${all.clients} clients ask ${all.rate} times per second, for ${all.rounds} times ${all.seconds} s; ` +
      `the flood's events are of ${all.size} bytes, slow handlers take ${all.work} ms`
  )
  const open = async (limit?: number): Promise<Site> => {
    const server = start(script, "server")
    const clients = start(script, "clients")
    const port = await server.ask("listen", { limit, work: all.work })
    await clients.ask("open", { port, count: all.clients })
    return { server, clients, port }
  }
  const measure = async ({ elsewhere, event, site }: Condition, seconds: number): Promise<Turn> => {
    const { clients, server } = site
    const flooded = elsewhere ?? site
    const flooding = start(script, "flood")
    if (event !== undefined) await flooding.ask("flood", { port: flooded.port, event, size: all.size })
    await clients.ask("ask", { rate: all.rate, seconds: 1 })
    await server.ask("begin")
    const before = await server.ask("usage")
    const { handled } = await flooded.server.ask("usage")
    const began = now()
    const { lost, quantiles } = await clients.ask("ask", { rate: all.rate, seconds })
    const usage = await server.ask("usage")
    const rate = ((await flooded.server.ask("usage")).handled - handled) / ((now() - began) / 1_000)
    await flooded.server.ask("end")
    await flooding.stop()
    return { ...usage, pauses: usage.pauses - before.pauses, rate, quantiles, lost }
  }
  const unlimited = await open()
  const limited = await open(all.limit)
  const other = start(script, "other server")
  // About what it takes of the server beside others.
  const elsewhere = { server: other, port: await other.ask("listen", { limit: 25_000, work: all.work }) }
  const conditions: ReadonlyArray<Condition> = [
    { name: "flood elsewhere", site: unlimited, event: "quick", elsewhere },
    { name: "no flood", site: unlimited },
    { name: "handled at once", site: unlimited, event: "quick" },
    { name: "handlers behind", site: unlimited, event: "slow" },
    { name: "at once, limited", site: limited, event: "quick" },
    { name: "behind, limited", site: limited, event: "slow" }
  ]
  const turns = conditions.map((): Array<Turn> => [])
  // Everything is compiled after the first round, which does not count.
  for (let round = 0; round <= all.rounds; round++) {
    for (const [i, condition] of conditions.entries()) {
      const turn = await measure(condition, round === 0 ? 2 : all.seconds)
      if (round > 0) turns[i]!.push(turn)
    }
  }
  for (const { clients, server } of [unlimited, limited]) {
    await clients.stop()
    await server.stop()
  }
  await other.stop()
  const row = (title: string, show: (turns: ReadonlyArray<Turn>) => string): readonly [string, ...Array<string>] => [
    title,
    ...turns.map(show)
  ]
  const percentile = (turns: ReadonlyArray<Turn>, which: number) =>
    quantile(
      turns.flatMap(({ quantiles }) => quantiles.map((second) => second[which]!)),
      0.5
    )
  const middle = (turns: ReadonlyArray<Turn>, of: (turn: Turn) => number) => quantile(turns.map(of), 0.5)
  const most = (turns: ReadonlyArray<Turn>, of: (turn: Turn) => number) => Math.max(...turns.map(of))
  const millis = (value: number) => `${value.toFixed(2)} ms`
  table(
    conditions.map(({ name }) => name),
    [
      row("latency p50", (turns) => millis(percentile(turns, 0))),
      row("latency p90", (turns) => millis(percentile(turns, 1))),
      row("latency p99", (turns) => millis(percentile(turns, 2))),
      row("latency max", (turns) => millis(percentile(turns, 3))),
      row("delay of the server's event loop p99", (turns) => millis(middle(turns, ({ delay }) => delay))),
      row("longest garbage collection", (turns) => millis(middle(turns, ({ collecting }) => collecting))),
      row("events of the flood per second", (turns) => middle(turns, ({ rate }) => rate).toFixed(0)),
      row("most handlers at once", (turns) => String(most(turns, (turn) => turn.most))),
      row("times that reading was paused", (turns) => String(middle(turns, ({ pauses }) => pauses))),
      row("memory of the server", (turns) => `${(most(turns, ({ rss }) => rss) / 1e6).toFixed(1)} MB`)
    ]
  )
  check(
    "every question was answered",
    turns.flat().every(({ lost }) => lost === 0)
  )
  for (const [i, { elsewhere, event, name }] of conditions.entries()) {
    if (event === undefined || elsewhere !== undefined) continue
    const [ratio, beside] = [0, 1].map((other) => percentile(turns[i]!, 2) / percentile(turns[other]!, 2)) as [
      number,
      number
    ]
    const figures = `${name}: ${ratio.toFixed(2)}, beside no flood ${beside.toFixed(2)}`
    check(`the others' p99 is within twice that with the flood elsewhere (${figures})`, ratio <= 2)
  }
  check(
    "handlers were never further behind than they may be",
    turns.flat().every((turn) => turn.most <= 1_000)
  )
}

const role = process.argv[2]
if (role === "server") serve()
else if (role === "other server") {
  setPriority(19)
  serve()
} else if (role === "clients") ask()
else if (role === "flood") flood()
else await run()
