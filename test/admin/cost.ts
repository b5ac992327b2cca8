/**
 * The cost of the Admin UI for a server in production mode, while its page is open:
 *
 *     npm run admin:cost -- --clients 5000 --pairs 20
 *
 * One server has all connections. A page comes and leaves, and the processor time of the server is measured with it and without it, in
 * turn: at rest, and while every client asks for an echo each second or so. It fails beyond 1 %, of a processor at rest, and of the time
 * per echo under load. On a machine that does other things, the time per echo varies by more than that: the time at rest is what the
 * numbers take.
 */
import { parseArgs } from "node:util"

import { addressOf, connect, pool } from "../bench/load/connect.ts"
import { text } from "../bench/load/frames.ts"
import { sleep, usageOf } from "../bench/load/measure.ts"
import type { WebSocketPeer } from "../bench/load/WebSocketPeer.ts"
import { maxOpenFiles, withServer } from "../bench/processes.ts"
import { scriptOf } from "../bench/servers.ts"
import { median } from "../bench/statistics.ts"

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "5000" },
    pairs: { type: "string", default: "10" },
    /** The seconds of one measurement: a multiple of the 10 seconds between two sums of bytes. */
    seconds: { type: "string", default: "10" },
    /** `rest`, `load`, or both. */
    parts: { type: "string", default: "rest,load" },
    /** Echoes in a second, of all clients together. */
    hz: { type: "string", default: "5000" }
  }
})

const [clients, pairs, seconds, hz] = [values.clients, values.pairs, values.seconds, values.hz].map(Number) as [
  number,
  number,
  number,
  number
]

const count = Math.min(clients, (maxOpenFiles() ?? Infinity) - 200)

const echo = text(`42${JSON.stringify(["echo", { id: 1, user: "ada", text: "x".repeat(60) }])}`)

/** The processor time of the server in microseconds, and the echoes, while `run` runs. */
const measure = async (usagePort: number, run: () => Promise<number>) => {
  const before = await usageOf(usagePort)
  const echoes = await run()
  const after = await usageOf(usagePort)
  return { cpu: after.user + after.system - before.user - before.system, echoes }
}

const rest = async () => {
  await sleep(seconds * 1_000)
  return 0
}

/** Asks for echoes at the pace, one client after the other; gives their number. */
const load = (peers: ReadonlyArray<WebSocketPeer>) => async () => {
  const counts = { sent: 0, received: 0 }
  for (const peer of peers) peer.onFrame = () => void counts.received++
  const began = performance.now()
  for (let now = 0; now < seconds * 1_000; await sleep(5)) {
    now = Math.min(performance.now() - began, seconds * 1_000)
    for (const due = Math.floor((now * hz) / 1_000); counts.sent < due; counts.sent++) {
      peers[counts.sent % peers.length]!.write(echo)
    }
  }
  while (counts.received < counts.sent) await sleep(5)
  return counts.sent
}

/** Measures with a page and without, in turn; gives both for each pair. */
const compare = async (port: number, usagePort: number, run: () => Promise<number>) => {
  const measured: Array<{ readonly with: number; readonly without: number }> = []
  let echoes = 0
  for (let pair = 0; pair < pairs; pair++) {
    const figures = { with: 0, without: 0 }
    for (const side of pair % 2 === 0 ? (["with", "without"] as const) : (["without", "with"] as const)) {
      let page: WebSocketPeer | undefined
      if (side === "with") {
        page = await connect(addressOf(port, pair))
        page.write(text("40/admin,"))
        await sleep(300)
      }
      const { cpu, echoes: done } = await measure(usagePort, run)
      figures[side] = cpu
      echoes = done
      page?.destroy()
      await sleep(300)
    }
    measured.push(figures)
  }
  return { measured, echoes }
}

const check = (what: string, share: number): void => {
  console.log(`${share <= 0.01 ? "ok " : "NOT"} ${what}: ${(share * 100).toFixed(3)} %, of 1 % that are allowed`)
  if (share > 0.01) process.exitCode = 1
}

const atRest = async (port: number, usagePort: number): Promise<void> => {
  const { measured } = await compare(port, usagePort, rest)
  const used = (side: "with" | "without") => median(measured.map((pair) => pair[side] / (seconds * 1_000)))
  console.log(
    `    at rest: ${used("with").toFixed(2)} ms in a second with a page, ${used("without").toFixed(2)} without`
  )
  check("at rest, of one processor", median(measured.map((pair) => (pair.with - pair.without) / (seconds * 1e6))))
}

const underLoad = async (port: number, usagePort: number, peers: ReadonlyArray<WebSocketPeer>): Promise<void> => {
  const { echoes, measured } = await compare(port, usagePort, load(peers))
  const ratios = measured.map((pair) => pair.with / pair.without - 1).toSorted((a, b) => a - b)
  const perEcho = median(measured.map(({ without }) => without)) / echoes
  const [least, most] = [ratios[0]!, ratios.at(-1)!].map((ratio) => (ratio * 100).toFixed(1))
  console.log(`    pairs under load differ by ${least} % to ${most} %, at ${perEcho.toFixed(1)} µs per echo`)
  check(`with ${hz} echoes in a second, of the time without`, median(ratios))
}

// Heartbeats would be most of what a server does at rest.
const env = { ADMIN: "production", PING_INTERVAL: "600000", PING_TIMEOUT: "600000" }

await withServer(scriptOf("ours"), env, async ({ port, usagePort }) => {
  const peers = await pool(count, 64, (index) => connect(addressOf(port, index)))
  console.log(`${count} connections, ${pairs} pairs of ${seconds} seconds each\n`)
  await sleep(2_000)
  if (values.parts.includes("rest")) await atRest(port, usagePort)
  if (values.parts.includes("load")) await underLoad(port, usagePort, peers)
  for (const peer of peers) peer.destroy()
})
