/**
 * The cost of passing requests on: the CPU time of two servers per round trip, direct and through the other server, in turns. Beside
 * them a plain HTTP proxy of Node in front of the same server, for polling.
 *
 *     node test/cluster/bench/routing.ts [rounds = 6] [seconds per measurement = 2]
 */
import { type ChildProcess, fork } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { io } from "socket.io-client"
import { WebSocket } from "ws"

import { type RunningWorker, startRoutedWorker } from "../../support/workers.ts"

/** The plain proxy: one request per request, over connections that it keeps. */
function proxy(): void {
  const target = Number(process.argv[2])
  const agent = new Http.Agent({ keepAlive: true })
  const server = Http.createServer((request, response) => {
    const { headers, method, url } = request
    const options = { agent, port: target, host: "127.0.0.1", path: url!, method: method!, headers }
    const upstream = Http.request(options, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    })
    upstream.on("error", () => response.destroy())
    request.pipe(upstream)
  })
  server.listen(0, "127.0.0.1", () => process.send!((server.address() as AddressInfo).port))
  process.on("message", () => {
    const { system, user } = process.cpuUsage()
    process.send!(system + user)
  })
  process.on("disconnect", () => process.exit())
}

interface Target {
  readonly url: string
  /** The CPU time until now, in microseconds. */
  readonly cpu: () => Promise<number>
}

async function main(): Promise<void> {
  const rounds = Number(process.argv[2] ?? 6)
  const time = Number(process.argv[3] ?? 2) * 1_000
  const folder = mkdtempSync(join(tmpdir(), "routing-"))
  const owner = await startRoutedWorker(join(folder, "run"))
  const other = await startRoutedWorker(join(folder, "run"))
  const alone = await startRoutedWorker("")
  const child = fork(fileURLToPath(import.meta.url), [new URL(owner.url).port])
  const targets = {
    owner: await targetOf(owner),
    other: await targetOf(other),
    alone: await targetOf(alone),
    proxy: await proxyOf(child)
  }
  const { alone: unrouted, other: entry, owner: direct, proxy: plain } = targets
  // Where the session is opened, where its requests go, and which processes work for it.
  const measurements = [
    ["polling, without session routing", () => pollingAt(unrouted, unrouted, time), [unrouted]],
    ["polling, direct", () => pollingAt(direct, direct, time), [direct]],
    ["polling, passed on", () => pollingAt(direct, entry, time), [direct, entry]],
    ["polling, plain proxy", () => pollingAt(direct, plain, time), [direct, plain]],
    ...[1, 10].flatMap((burst) => [
      [`WebSocket, ${burst} at a time, direct`, () => webSocketsAt(direct, direct, time, burst), [direct]] as const,
      [
        `WebSocket, ${burst} at a time, passed on`,
        () => webSocketsAt(direct, entry, time, burst),
        [direct, entry]
      ] as const
    ])
  ] as ReadonlyArray<readonly [name: string, run: () => Promise<number>, processes: ReadonlyArray<Target>]>
  const costs = new Map<string, Array<ReadonlyArray<number>>>()
  for (let round = -1; round < rounds; round++) {
    for (const [name, run, processes] of measurements) {
      const before = await Promise.all(processes.map(({ cpu }) => cpu()))
      const trips = await run()
      const after = await Promise.all(processes.map(({ cpu }) => cpu()))
      // The first round warms up.
      if (round < 0) continue
      const list = costs.get(name) ?? []
      costs.set(name, list)
      list.push(after.map((value, i) => (value - before[i]!) / trips))
    }
  }
  console.log("CPU time in microseconds per round trip (median of the rounds): of the owner, of the other process")
  for (const [name, list] of costs) {
    const columns = list[0]!.map((_, i) => median(list.map((costs) => costs[i]!)).toFixed(1))
    console.log(`${name.padEnd(40)} ${columns.join("  ")}`)
  }
  child.disconnect()
  await Promise.all([owner, other, alone].map((worker) => worker.stop()))
  rmSync(folder, { recursive: true, force: true })
  process.exit()
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

async function targetOf({ url }: RunningWorker): Promise<Target> {
  const socket = io(url, { transports: ["websocket"] })
  return { url, cpu: async () => (await socket.emitWithAck("usage")).cpu }
}

async function proxyOf(child: ChildProcess): Promise<Target> {
  const ask = () => new Promise<number>((resolve) => child.once("message", (value) => resolve(Number(value))))
  const port = await ask()
  return {
    url: `http://127.0.0.1:${port}`,
    cpu: () => {
      const answer = ask()
      child.send("usage")
      return answer
    }
  }
}

const agent = new Http.Agent({ keepAlive: true })

const request = (url: string, method = "GET", body = ""): Promise<string> =>
  new Promise((resolve, reject) => {
    const request = Http.request(url, { agent, method }, (response) => {
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => {
        text += chunk
      })
      response.on("end", () => (response.statusCode === 200 ? resolve(text) : reject(new Error(`${method}: ${text}`))))
    })
    request.on("error", reject)
    request.end(body)
  })

const CLIENTS = 20

/** Clients that poll while they post. Returns the number of round trips: an event, and its acknowledgement. */
async function pollingAt(opened: Target, used: Target, time: number): Promise<number> {
  let trips = 0
  const end = performance.now() + time
  const client = async () => {
    const base = "/socket.io/?EIO=4&transport=polling"
    const { sid } = JSON.parse((await request(opened.url + base)).slice(1))
    const url = `${used.url}${base}&sid=${sid}`
    await request(url, "POST", "40")
    await request(url)
    while (performance.now() < end) {
      const poll = request(url)
      await request(url, "POST", '420["echo",1]')
      const answer = await poll
      if (answer.includes("430")) trips++
      // A ping came first.
      else {
        await request(url, "POST", "3")
        await request(url)
      }
    }
    await request(url, "POST", "1")
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return trips
}

/** Clients that send a few events at once and wait for their acknowledgements. Returns the number of round trips. */
async function webSocketsAt(opened: Target, used: Target, time: number, burst: number): Promise<number> {
  let trips = 0
  const end = performance.now() + time
  const client = async () => {
    const { sid } = JSON.parse((await request(`${opened.url}/socket.io/?EIO=4&transport=polling`)).slice(1))
    const url = `${used.url}/socket.io/?EIO=4&transport=websocket&sid=${sid}`
    const socket = new WebSocket(url.replace("http", "ws"), { perMessageDeflate: false })
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject))
    let missing = 0
    let onAll = () => {}
    const opening = new Promise<void>((resolve) => {
      socket.on("message", (data: Buffer) => {
        const text = data.toString()
        if (text === "3probe") {
          socket.send("5")
          socket.send("40")
        } else if (text.startsWith("40")) resolve()
        else if (text === "2") socket.send("3")
        else if (text.startsWith("43") && --missing === 0) onAll()
      })
    })
    socket.send("2probe")
    await opening
    while (performance.now() < end) {
      missing = burst
      const all = new Promise<void>((resolve) => {
        onAll = resolve
      })
      for (let i = 0; i < burst; i++) socket.send('420["echo",1]')
      await all
      trips += burst
    }
    socket.close()
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
  return trips
}

if (process.send === undefined) await main()
else proxy()
