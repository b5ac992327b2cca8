/**
 * A rolling restart of three processes behind nginx, under the eyes of official clients and of this library's.
 */
import { type ChildProcess, fork } from "node:child_process"
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { fileURLToPath } from "node:url"
import { Effect, Fiber, Stream } from "effect"
import { io, type Socket } from "socket.io-client"

import * as RetryingEmitter from "../../src/client/RetryingEmitter.ts"
import * as ClientExtras from "../../src/client/ClientExtras.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as RedisClient from "../../src/redis/RedisClient.ts"
import * as RedisEmitter from "../../src/redis/RedisEmitter.ts"
import { startNginx } from "../support/nginx.ts"
import { within } from "../support/RawClient.ts"
import { startRedis, until } from "../support/redisServer.ts"
import type { Told } from "./node.ts"
import { Notes } from "./notes.ts"

export interface RollingOptions {
  /** Official clients, and clients of this library. */
  readonly official: number
  readonly ours: number
  /** Events of all clients together in a second, and broadcasts to all of them. */
  readonly events: number
  readonly broadcasts: number
  /** The times of each node, in milliseconds. */
  readonly notice: number
  readonly over: number
  readonly rate: number
  /** The `retries` of official clients: they send an event again until it is acknowledged. */
  readonly retries: number
  /** Whether events have ids, so that a repeated one is handled once. Then clients of this library have the same `retries`. */
  readonly once: boolean
  /** Whether there is a cluster, by Redis: without it there are no broadcasts. */
  readonly redis: boolean
  /** Further variables of the nodes, such as `RECOVERY`. */
  readonly env: Readonly<Record<string, string>>
}

/** The fate of numbered messages. */
export interface Fate {
  sent: number
  lost: number
  twice: number
}

export interface RollingReport {
  /** Events of official clients that they had sent before they saw a close frame. */
  readonly official: Fate
  /** Events that official clients have dropped: emitted after a close frame, before they knew of the end. */
  readonly dropped: number
  readonly ours: Fate
  /** Broadcasts, by the kind of their recipients. */
  readonly toOfficial: Fate
  readonly toOurs: Fate
  /** Acknowledgements that clients of this library did not get. */
  readonly unanswered: number
  /** Disconnections that clients saw. */
  readonly officialOutages: number
  readonly ourOutages: number
  /** The longest time that an official client was away, in milliseconds. */
  readonly longestOutage: number
  /** Handshakes, as the nodes have taken them: their number, and the most in any second. */
  readonly handshakes: number
  readonly peak: number
  /**
   * The longest times in which a node, and the process of all clients, did nothing, in milliseconds: others had the processor. Clients whose
   * delays end meanwhile come back together.
   */
  readonly pause: number
  readonly pauseOfClients: number
  /** The time of each node's end, in milliseconds. */
  readonly exits: ReadonlyArray<number>
}

/** How long messages may still come after the last one was sent, in milliseconds. */
const LATEST = 30_000

/** The `ackTimeout` of clients, in milliseconds. */
const ACK_TIMEOUT = 5_000

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

/** Which numbers each client's events had, and how often they were handled. */
class Ledger {
  private readonly sent = new Map<string, Array<number>>()
  private readonly counts = new Map<string, Map<number, number>>()

  send(client: string, n: number): void {
    const sent = this.sent.get(client) ?? []
    this.sent.set(client, sent)
    sent.push(n)
  }

  handle(client: string, n: number): void {
    const counts = this.counts.get(client) ?? new Map<number, number>()
    this.counts.set(client, counts)
    counts.set(n, (counts.get(n) ?? 0) + 1)
  }

  fate(kind: string): Fate {
    const fate: Fate = { sent: 0, lost: 0, twice: 0 }
    for (const [client, sent] of this.sent) {
      if (!client.startsWith(kind)) continue
      for (const n of sent) {
        const count = this.counts.get(client)?.get(n) ?? 0
        fate.sent++
        if (count === 0) fate.lost++
        else fate.twice += count - 1
      }
    }
    return fate
  }
}

/** The broadcasts that one client has got. */
class Receipts {
  private readonly counts = new Map<number, number>()
  private readonly first: number

  constructor(first: number) {
    this.first = first
  }

  add(n: number): void {
    this.counts.set(n, (this.counts.get(n) ?? 0) + 1)
  }

  addTo(fate: Fate, last: number): void {
    for (let n = this.first; n <= last; n++) {
      const count = this.counts.get(n) ?? 0
      fate.sent++
      if (count === 0) fate.lost++
      else fate.twice += count - 1
    }
  }
}

/** The most times within any second. */
const peakOf = (times: ReadonlyArray<number>): number => {
  const sorted = times.toSorted((a, b) => a - b)
  let peak = 0
  let from = 0
  for (let to = 0; to < sorted.length; to++) {
    while (sorted[to]! - sorted[from]! >= 1_000) from++
    peak = Math.max(peak, to - from + 1)
  }
  return peak
}

/**
 * Whether an official client has not seen a close frame. From there on until it learns that its connection has ended, a round trip
 * later, it drops what is emitted.
 */
const isIntact = ({ io: { engine } }: Socket): boolean =>
  (engine.transport as unknown as { readonly ws?: WebSocket }).ws?.readyState !== WebSocket.CLOSING

export const roll = async (options: RollingOptions, say: (line: string) => void): Promise<RollingReport> => {
  const folder = mkdtempSync(join(tmpdir(), "rolling-"))
  const ends: Array<() => unknown> = [() => rmSync(folder, { recursive: true, force: true })]
  const ledger = new Ledger()
  let handshakes: Array<number> = []
  let longestPause = 0
  const delay = monitorEventLoopDelay()
  delay.enable()
  try {
    const redis = options.redis ? await startRedis() : undefined
    if (redis !== undefined) ends.push(() => redis.stop())
    const ports = [await freePort(), await freePort(), await freePort()]

    const start = async (port: number): Promise<ChildProcess> => {
      const child = fork(fileURLToPath(new URL("node.ts", import.meta.url)), {
        env: {
          ...process.env,
          ...options.env,
          PORT: String(port),
          DIRECTORY: join(folder, "run"),
          NOTICE: String(options.notice),
          OVER: String(options.over),
          RATE: String(options.rate),
          ...(redis === undefined ? {} : { REDIS_URL: redis.server.url })
        }
      })
      ends.push(() => child.exitCode ?? child.kill("SIGKILL"))
      await within(
        "start of a node",
        new Promise<void>((resolve, reject) => {
          child.once("exit", (code) => reject(new Error(`a node has ended with ${code}`)))
          child.on("message", (told: Told) => {
            if (told === "listening") return resolve()
            for (let i = 0; i < told.handled.length; i += 2) {
              ledger.handle(told.handled[i] as string, told.handled[i + 1] as number)
            }
            handshakes.push(...told.handshakes)
            longestPause = Math.max(longestPause, told.pause)
          })
        })
      )
      return child
    }

    const nodes = await Promise.all(ports.map(start))
    const nginx = await startNginx({
      connections: 4 * (options.official + 2 * options.ours) + 500,
      http: `
        upstream servers { ${ports.map((port) => `server 127.0.0.1:${port} max_fails=0;`).join(" ")} }
        map $http_upgrade $connection_upgrade { default upgrade; "" ""; }`,
      server: `location / {
        proxy_pass http://servers;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        proxy_next_upstream error timeout http_503;
        proxy_read_timeout 120s;
      }`
    })
    ends.push(() => nginx.stop())

    // ---------------------------------------------------------------- clients

    const senders: Array<(n: number) => void> = []
    const receipts = { official: [] as Array<Receipts>, ours: [] as Array<Receipts> }
    let broadcasts = 0
    let dropped = 0
    let unanswered = 0
    let officialOutages = 0
    let ourOutages = 0
    let longestOutage = 0

    const connectOfficial = async (i: number) => {
      const name = `official ${i}`
      const socket = io(nginx.url, {
        transports: i % 5 === 4 ? ["polling", "websocket"] : ["websocket"],
        forceNew: true,
        ...(options.retries > 0 ? { retries: options.retries, ackTimeout: ACK_TIMEOUT } : {})
      })
      ends.push(() => socket.disconnect())
      let left: number | undefined
      socket.on("connect", () => {
        if (left !== undefined) longestOutage = Math.max(longestOutage, performance.now() - left)
        left = undefined
      })
      socket.on("disconnect", () => {
        officialOutages++
        left = performance.now()
      })
      await within(`connection of ${name}`, new Promise<void>((resolve) => socket.once("connect", resolve)), 60_000)
      const mine = new Receipts(broadcasts + 1)
      receipts.official.push(mine)
      socket.on("news", (n: number) => mine.add(n))
      senders.push((n) => {
        if (isIntact(socket)) ledger.send(name, n)
        else dropped++
        if (options.once) return void socket.emit("order", name, n, { id: randomUUID() }, () => {})
        // With retries every event is acknowledged.
        if (options.retries > 0) socket.emit("note", name, n, () => {})
        else socket.emit("note", name, n)
      })
    }

    const connectOurs = Effect.fnUntraced(function* (i: number) {
      const name = `ours ${i}`
      const transports = i % 5 === 4 ? (["polling", "websocket"] as const) : (["websocket"] as const)
      const client = yield* SocketIoClient.make({ url: nginx.url, transports, extras: [ClientExtras.moves] })
      const provide = Effect.provideService(SocketIoClient.SocketIoClient, client)
      const socket = yield* provide(SocketIoClient.connect(Notes))
      const mine = new Receipts(broadcasts + 1)
      receipts.ours.push(mine)
      yield* socket.stream("news").pipe(
        Stream.runForEach((n) => Effect.sync(() => mine.add(n))),
        Effect.forkScoped({ startImmediately: true })
      )
      yield* socket.status.pipe(
        Stream.runForEach((status) =>
          Effect.sync(() => {
            if (status._tag !== "Disconnected") return
            ourOutages++
            say(`${name} has lost its connection: ${status.reason}, ${status.description}`)
          })
        ),
        Effect.forkScoped({ startImmediately: true })
      )
      const orders = yield* RetryingEmitter.make(socket, { retries: options.retries, ackTimeout: ACK_TIMEOUT })
      senders.push((n) => {
        ledger.send(name, n)
        if (!options.once && n % 4 !== 0) return void Effect.runFork(socket.emit("note", [name, n]))
        unanswered++
        const answer = options.once ? orders.emitWithAck("order", [name, n]) : socket.emitWithAck("note", [name, n])
        Effect.runFork(Effect.map(answer, () => unanswered--))
      })
    })

    const inParallel = async (count: number, width: number, run: (i: number) => Promise<unknown>) => {
      let next = 0
      const lane = async () => {
        while (next < count) await run(next++)
      }
      await Promise.all(Array.from({ length: width }, lane))
    }
    await inParallel(options.official, 50, connectOfficial)
    const ours = Effect.runFork(
      Effect.scoped(
        Effect.andThen(
          Effect.forEach(
            Array.from({ length: options.ours }, (_, i) => i),
            connectOurs,
            { concurrency: 50 }
          ),
          Effect.never
        )
      )
    )
    ends.push(() => Effect.runPromise(Fiber.interrupt(ours)))
    await until("our clients", () => (senders.length === options.official + options.ours ? true : undefined), {
      timeout: 60_000
    })
    say(`${senders.length} clients are connected`)
    // Those that are still told are of before.
    const restartAt = Date.now()
    longestPause = 0
    delay.reset()

    // ---------------------------------------------------------------- traffic

    const began = performance.now()
    let events = 0
    const timer = setInterval(() => {
      const due = Math.floor(((performance.now() - began) / 1_000) * options.events)
      for (; events < due; events++) senders[events % senders.length]!(Math.floor(events / senders.length))
    }, 5)
    ends.push(() => clearInterval(timer))
    let isPublishing = true
    const publishing =
      redis === undefined
        ? undefined
        : Effect.runFork(
            Effect.gen(function* () {
              const everybody = yield* RedisEmitter.namespace("/")
              const publish = Effect.andThen(
                Effect.suspend(() => everybody.emit("news", ++broadcasts)),
                Effect.sleep(1_000 / options.broadcasts)
              )
              yield* Effect.repeat(publish, { while: () => isPublishing })
            }).pipe(
              Effect.provide(options.env?.["STREAMS"] === "1" ? RedisEmitter.layerStreams() : RedisEmitter.layer()),
              Effect.provide(
                RedisClient.layer(
                  Effect.flatMap(
                    Effect.promise(() => import("redis")),
                    ({ createClient }) => RedisClient.fromNodeRedis(createClient({ url: redis.server.url }))
                  )
                )
              )
            )
          )
    if (publishing !== undefined) ends.push(() => Effect.runPromise(Fiber.interrupt(publishing)))
    const pause = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))
    await pause(500)

    // ---------------------------------------------------------------- the restart

    const exits: Array<number> = []
    for (const [i, node] of nodes.entries()) {
      const asked = performance.now()
      const ended = new Promise<number | null>((resolve) => node.once("exit", resolve))
      node.removeAllListeners("exit").once("exit", () => {})
      const exit = new Promise<void>((resolve) => node.once("exit", () => resolve()))
      node.kill("SIGTERM")
      await within("end of a node", Promise.race([exit, ended]), 600_000)
      exits.push(performance.now() - asked)
      say(`node ${i + 1} has ended after ${(exits[i]! / 1_000).toFixed(1)} s`)
      nodes[i] = await start(ports[i]!)
      await pause(1_000)
    }

    // Everybody is back, and everything that is under way has arrived.
    await pause(2_000)
    clearInterval(timer)
    // The last broadcast is sent, too: one that was interrupted would count as lost.
    isPublishing = false
    if (publishing !== undefined) await Effect.runPromise(Fiber.join(publishing))
    await pause(2_500)
    // A machine that is overloaded takes its time: late is not lost.
    const isDone = () => unanswered === 0 && ledger.fate("").lost === 0
    for (let waited = 0; waited < LATEST && !isDone(); waited += 500) await pause(500)
    handshakes = handshakes.filter((at) => at >= restartAt)
    const toOfficial: Fate = { sent: 0, lost: 0, twice: 0 }
    const toOurs: Fate = { sent: 0, lost: 0, twice: 0 }
    for (const mine of receipts.official) mine.addTo(toOfficial, broadcasts)
    for (const mine of receipts.ours) mine.addTo(toOurs, broadcasts)
    return {
      official: ledger.fate("official"),
      ours: ledger.fate("ours"),
      dropped,
      toOfficial,
      toOurs,
      unanswered,
      officialOutages,
      ourOutages,
      longestOutage,
      handshakes: handshakes.length,
      peak: peakOf(handshakes),
      pause: longestPause,
      pauseOfClients: delay.max / 1e6,
      exits
    }
  } finally {
    for (const end of ends.toReversed()) await end()
  }
}
