/**
 * The cost of one client that floods for the others: the time of their acknowledgements while another sends as much as it can, beside
 * that without it. Once its events are handled at once, once their handlers take a while, so that it is not read for most of the time.
 *
 *     node test/bench/flood.ts [--clients 100] [--rate 50] [--rounds 5] [--seconds 4] [--size 20] [--work 5] [--limit 10000] [--young 16]
 *
 * Both are measured again with a `rateLimit` of `limit` packets per second and connection, and the first with the official server.
 *
 * Server, clients and flood are processes of their own, the server on a processor of its own. The flood's process gives way to the
 * clients', whose processor it shares, and writes frames that were made beforehand: what it costs itself is nothing that is measured.
 * Conditions take turns, for `seconds` each. A percentile is that of one second, and what is said of a condition the median of its
 * seconds: what a shared machine does now and then is in few of them. It fails where the others' p99 is more than twice as long.
 */
import { randomBytes } from "node:crypto"
import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"
import { setPriority } from "node:os"
import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks"
import type { Duplex } from "node:stream"
import { fileURLToPath } from "node:url"

import { Duration, Effect, Layer, Logger, Metric, Scope } from "effect"
import { Server } from "socket.io"
import { WebSocket } from "ws"

import * as EngineMetrics from "../../src/engine/EngineMetrics.ts"
import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { text } from "./load/frames.ts"
import { answer, check, now, quantile, type Role, settings, sleep, start, table } from "./roles.ts"

const script = fileURLToPath(import.meta.url)

// ---------------------------------------------------------------- the server

/** The servers: ours, and the official one, whose handlers are functions. */
type Kind = "ours" | "limited" | "reference"

/** The figures that a server tells. */
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
  /** Ends the connections that have flooded. */
  const ends = new Set<() => unknown>()
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) collecting = Math.max(collecting, duration)
  }).observe({ entryTypes: ["gc"] })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const serveReference = () => {
    const io = new Server(http, { pingInterval: 300_000 })
    io.on("connection", (socket) => {
      socket.on("ask", (n, acknowledge) => acknowledge(n))
      const end = () => socket.disconnect(true)
      socket.on("quick", () => {
        handled++
        ends.add(end)
      })
    })
  }
  const serveOurs = async (work: number, limit: number | undefined) => {
    const slow = Effect.sleep(Duration.millis(work))
    const done = Effect.sync(() => {
      running--
      handled++
    })
    const layer = SocketIoServer.layerNamespace("/", (socket) =>
      Effect.gen(function* () {
        const end = () => Effect.runPromise(socket.disconnect({ close: true }))
        yield* socket.on("ask", (n) => Effect.succeed(n))
        yield* socket.on("quick", () =>
          Effect.sync(() => {
            handled++
            ends.add(end)
          })
        )
        yield* socket.on("slow", () =>
          Effect.suspend(() => {
            most = Math.max(most, ++running)
            ends.add(end)
            return Effect.ensuring(slow, done)
          })
        )
      })
    ).pipe(
      Layer.provide(
        NodeSocketIoServer.layerAttached(http, {
          heartbeat: { pingInterval: "5 minutes" },
          ...(limit === undefined ? {} : { limits: { rateLimit: { limit } } })
        })
      ),
      Layer.provide(Logger.layer([]))
    )
    await Effect.runPromise(Layer.buildWithScope(layer, scope))
  }
  answer({
    listen: async ({ kind, limit, work }: { readonly kind: Kind; readonly limit: number; readonly work: number }) => {
      await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve))
      if (kind === "reference") serveReference()
      else await serveOurs(work, kind === "limited" ? limit : undefined)
      return (http.address() as AddressInfo).port
    },
    /** Ends the flood: what it has sent before its process ended may take the server a while. */
    end: async () => {
      for (const end of ends) await end()
      ends.clear()
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

/** A WebSocket connection's stream. */
const upgrade = (port: number): Promise<Duplex> =>
  new Promise((resolve, reject) => {
    const headers = {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": randomBytes(16).toString("base64")
    }
    request({ host: "127.0.0.1", port, path: "/socket.io/?EIO=4&transport=websocket", headers })
      .on("upgrade", (_response, stream) => resolve(stream))
      .on("error", reject)
      .end()
  })

const flood = () => {
  answer({
    flood: async ({ event, port, size }: { readonly event: string; readonly port: number; readonly size: number }) => {
      const stream = await upgrade(port)
      stream.on("error", () => stream.destroy())
      stream.resume()
      stream.write(text("40"))
      setPriority(19)
      // As much as the connection takes. The frames are made beforehand: their sender shares the clients' processor.
      const packets = Buffer.concat(Array.from({ length: 2_000 }, () => text(`42["${event}","${"x".repeat(size)}"]`)))
      const send = () => {
        while (stream.writable && stream.write(packets)) continue
      }
      stream.on("drain", send)
      send()
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
  /** The events of the flood, if there is one. */
  readonly event?: string
}

/** The figures of one turn of a condition. */
interface Turn extends Usage {
  readonly rate: number
  readonly lost: number
  readonly quantiles: ReadonlyArray<ReadonlyArray<number>>
}

const run = async () => {
  const all = settings({ clients: 100, rate: 50, rounds: 5, seconds: 4, size: 20, work: 5, limit: 10_000, young: 16 })
  console.log(
    `${all.clients} clients ask ${all.rate} times per second, for ${all.rounds} times ${all.seconds} s; ` +
      `the flood's events are of ${all.size} bytes, slow handlers take ${all.work} ms`
  )
  const open = async (kind: Kind): Promise<Site> => {
    const server = start(script, "server", all.young)
    const clients = start(script, "clients")
    const port = await server.ask("listen", { kind, limit: all.limit, work: all.work })
    await clients.ask("open", { port, count: all.clients })
    return { server, clients, port }
  }
  const measure = async ({ event, site: { clients, port, server } }: Condition, seconds: number): Promise<Turn> => {
    const flooding = start(script, "flood")
    if (event !== undefined) await flooding.ask("flood", { port, event, size: all.size })
    await clients.ask("ask", { rate: all.rate, seconds: 1 })
    await server.ask("begin")
    const before = await server.ask("usage")
    const began = now()
    const { lost, quantiles } = await clients.ask("ask", { rate: all.rate, seconds })
    const usage = await server.ask("usage")
    const rate = (usage.handled - before.handled) / ((now() - began) / 1_000)
    await server.ask("end")
    await flooding.stop()
    return { ...usage, pauses: usage.pauses - before.pauses, rate, quantiles, lost }
  }
  const ours = await open("ours")
  const limited = await open("limited")
  const reference = await open("reference")
  const conditions: ReadonlyArray<Condition> = [
    { name: "no flood", site: ours },
    { name: "handled at once", site: ours, event: "quick" },
    { name: "handlers behind", site: ours, event: "slow" },
    { name: "at once, limited", site: limited, event: "quick" },
    { name: "behind, limited", site: limited, event: "slow" },
    { name: "reference, no flood", site: reference },
    { name: "reference, at once", site: reference, event: "quick" }
  ]
  const turns = conditions.map((): Array<Turn> => [])
  // Everything is compiled after the first round, which does not count.
  for (let round = 0; round <= all.rounds; round++) {
    for (const [i, condition] of conditions.entries()) {
      const turn = await measure(condition, round === 0 ? 2 : all.seconds)
      if (round > 0) turns[i]!.push(turn)
    }
  }
  for (const { clients, server } of [ours, limited, reference]) {
    await clients.stop()
    await server.stop()
  }
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
  for (const [i, { event, name, site }] of conditions.entries()) {
    if (event === undefined) continue
    const without = site === reference ? "reference, no flood" : "no flood"
    const unflooded = turns[conditions.findIndex(({ name }) => name === without)]!
    const ratio = percentile(turns[i]!, 2) / percentile(unflooded, 2)
    const what = `the others' p99 is within twice that without a flood (${name}: ${ratio.toFixed(2)})`
    if (site === reference) console.log(`${ratio <= 2 ? "yes" : "no"}:  ${what}`)
    else check(what, ratio <= 2)
  }
  check(
    "handlers were never further behind than they may be",
    turns.flat().every((turn) => turn.most <= 1_000)
  )
}

const role = process.argv[2]
if (role === "server") serve()
else if (role === "clients") ask()
else if (role === "flood") flood()
else await run()
