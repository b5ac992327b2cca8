/**
 * The cost of recovery:
 *
 *     npm run recovery:cost -- --clients 10000 --hz 100 --seconds 300
 *     npm run recovery:cost -- --parts ratios --against ../before
 *
 * - `growth`: the memory of a server with `--clients` sockets and `--hz` broadcasts a second, over time, against the bounds of the options.
 * - `waiting`: the memory of sessions that wait for their clients.
 * - `ratios`: echoes, broadcasts and idle connections with recovery on against off, in turn; with `--against` also off against another
 *   checkout of this project, such as one from before there was recovery.
 *
 * The ratios mean something on a machine that does nothing else. It fails where something is beyond its bound, or with `--within` beyond
 * what recovery may cost: 10 % of an echo, and 2 % of a delivery.
 */
import { parseArgs } from "node:util"

import { addressOf, connect, pool } from "../bench/load/connect.ts"
import { text } from "../bench/load/frames.ts"
import { sleep, usageOf } from "../bench/load/measure.ts"
import { joinAll } from "../bench/load/messages.ts"
import { ignore } from "../bench/load/WebSocketPeer.ts"
import { maxOpenFiles, run, withServer } from "../bench/processes.ts"
import { arePinned } from "../bench/processors.ts"
import { defaults, quicker, type Row, scenarios, titleOf } from "../bench/scenarios.ts"
import { type ServerName, scriptOf } from "../bench/servers.ts"
import { cells, columns, format, median, type Pair, ratiosOf, table } from "../bench/statistics.ts"
import { Progress } from "../support/progress.ts"

const { values } = parseArgs({
  options: {
    parts: { type: "string", default: "growth,waiting,ratios" },
    clients: { type: "string", default: "10000" },
    hz: { type: "string", default: "100" },
    seconds: { type: "string", default: "300" },
    /** The members of the room that a broadcast goes to. */
    members: { type: "string", default: "100" },
    bytes: { type: "string", default: "100" },
    "max-bytes": { type: "string" },
    repetitions: { type: "string", default: "5" },
    scenario: { type: "string", default: "echo,echo-1,broadcast,broadcast-burst,connect" },
    against: { type: "string" },
    within: { type: "boolean", default: false },
    quick: { type: "boolean", default: false }
  }
})

const number = (name: "clients" | "hz" | "seconds" | "members" | "bytes" | "repetitions"): number => {
  const value = Number(values[name])
  if (!(value > 0)) throw new Error(`--${name}: not a positive number: ${values[name]}`)
  return value
}

const parts = values.parts.split(",")
const MB = 1024 * 1024
const inMB = (bytes: number): string => (bytes / MB).toFixed(1)

/** Says whether something holds, and fails the program where it does not. */
const check = (what: string, holds: boolean): void => {
  console.log(`${holds ? "ok " : "NOT"} ${what}`)
  if (!holds) process.exitCode = 1
}

const recoveryOptions = { maxBytes: values["max-bytes"] === undefined ? 64 * MB : Number(values["max-bytes"]) }
const on = { RECOVERY: JSON.stringify(recoveryOptions) }

/** The heap of a server in use, after collections. */
const heapOf = async (usagePort: number): Promise<number> => {
  const first = await usageOf(usagePort, true)
  await sleep(300)
  const second = await usageOf(usagePort, true)
  return Math.min(first.heapUsed, second.heapUsed)
}

/** As many connections as this process may have. */
const clientsOf = (wanted: number): number => Math.min(wanted, (maxOpenFiles() ?? Infinity) - 200)

// ---------------------------------------------------------------- memory over time

/** The bytes that a session may take beside the log. */
const PER_SESSION = 400

const growth = async (progress: Progress): Promise<void> => {
  const clients = clientsOf(number("clients"))
  const [hz, seconds, members, bytes] = [number("hz"), number("seconds"), number("members"), number("bytes")]
  const samples = 10
  const sampleHeap = async (env: Readonly<Record<string, string>>, name: string) =>
    withServer(scriptOf("ours"), env, async ({ port, usagePort }) => {
      progress.step(`growth, ${name}: ${clients} clients`)
      const peers = await pool(clients, 64, (index) => connect(addressOf(port, index)))
      const rooms = Math.max(1, Math.floor(clients / members))
      for (let room = 0; room < rooms; room++) {
        await joinAll(
          peers.filter((_, index) => index % rooms === room),
          `room${room}`
        )
      }
      for (const peer of peers) peer.onFrame = ignore
      const news = { seq: "00000001", d: "x".repeat(Math.max(0, bytes - 26)) }
      const fire = (room: number) => text(`42${JSON.stringify(["fire", `room${room}`, 1, news])}`)
      const before = await heapOf(usagePort)
      const heaps: Array<number> = []
      const share = (seconds * 1_000) / samples
      let sent = 0
      for (let sample = 1; sample <= samples; sample++) {
        progress.step(`growth, ${name}: ${sample} of ${samples}`)
        // The time of the measurement itself does not count.
        const began = performance.now() - (sample - 1) * share
        for (let now = 0; now < sample * share; await sleep(10)) {
          now = Math.min(performance.now() - began, sample * share)
          for (const due = Math.floor((now * hz) / 1_000); sent < due; sent++) {
            peers[sent % peers.length]!.write(fire(sent % rooms))
          }
        }
        heaps.push((await heapOf(usagePort)) - before)
      }
      for (const peer of peers) peer.destroy()
      return heaps
    })
  const without = await sampleHeap({}, "off")
  const kept = await sampleHeap(on, "on")
  const after = (sample: number) => `${Math.round((sample * seconds) / samples)} s`
  progress.print(
    [
      `\nGrowth of the heap in MB, ${clients} clients, ${hz} broadcasts a second of ${bytes} bytes to ${members}:\n`,
      table(
        ["recovery", ...kept.map((_, i) => after(i + 1))],
        [
          ["off", ...without.map(inMB)],
          ["on", ...kept.map(inMB)]
        ]
      )
    ].join("\n")
  )
  const most = Math.max(...kept.map((heap, i) => heap - without[i]!))
  const bound = recoveryOptions.maxBytes + PER_SESSION * clients
  check(
    `with recovery the heap grows by at most maxBytes + ${PER_SESSION} bytes a session: ${inMB(most)} of ${inMB(bound)} MB`,
    most <= bound
  )
}

// ---------------------------------------------------------------- sessions that wait

const waiting = async (progress: Progress): Promise<void> => {
  const clients = clientsOf(Math.min(number("clients"), 10_000))
  const heapAfter = (env: Readonly<Record<string, string>>) =>
    withServer(scriptOf("ours"), env, async ({ port, usagePort }) => {
      const visit = async (count: number) => {
        const peers = await pool(count, 64, (index) => connect(addressOf(port, index)))
        const before = peers.length
        for (const peer of peers) peer.destroy()
        await sleep(500)
        return before
      }
      await visit(Math.min(clients, 500))
      const before = await heapOf(usagePort)
      await visit(clients)
      return (await heapOf(usagePort)) - before
    })
  progress.step(`waiting: ${clients} sessions`)
  const grown = (await heapAfter(on)) - (await heapAfter({}))
  progress.print(`\nA session that waits takes ${Math.round(grown / clients)} bytes (${clients} of them).`)
}

// ---------------------------------------------------------------- ratios

interface Side {
  readonly name: string
  readonly server: ServerName
  readonly env: Readonly<Record<string, string>>
}

/** The most by which a figure may be greater with recovery on, where it is said. */
const ALLOWED: Readonly<Record<string, number>> = { echo: 1.1, "echo-1": 1.1, broadcast: 1.02, "broadcast-burst": 1.02 }

const ratios = async (progress: Progress): Promise<void> => {
  const off: Side = { name: "off", server: "ours", env: {} }
  const comparisons: Array<readonly [title: string, reference: Side, ours: Side]> = [
    ["Recovery on, against off:", off, { name: "on", server: "ours", env: on }]
  ]
  if (values.against !== undefined) {
    const other: Side = { name: "other", server: "other", env: {} }
    comparisons.push(["Recovery off, against the other checkout:", other, off])
  }
  for (const [title, reference, ours] of comparisons) {
    const rows: Array<ReadonlyArray<string>> = []
    for (const name of values.scenario.split(",")) {
      const scenario = scenarios[name]
      if (scenario === undefined) throw new Error(`no such scenario: ${name}`)
      const full = { ...defaults, ...scenario.parameters }
      const parameters = values.quick ? quicker(full) : full
      const pairs = new Map<Row, Array<Pair>>(scenario.rows.map((row) => [row, []]))
      for (let repetition = 0; repetition < number("repetitions"); repetition++) {
        const figures = new Map<Side, Record<string, number>>()
        for (const side of repetition % 2 === 0 ? [reference, ours] : [ours, reference]) {
          progress.step(`${name}, repetition ${repetition + 1}: ${side.name}`)
          const script = scriptOf(side.server, values.against)
          figures.set(side, { ...(await run(script, { kind: scenario.kind, parameters }, side.env)) })
        }
        for (const [row, list] of pairs) {
          list.push({ reference: figures.get(reference)![row.figure]!, ours: figures.get(ours)![row.figure]! })
        }
      }
      for (const [row, list] of pairs) {
        rows.push([titleOf(row, parameters), row.unit, ...cells(list, 3)])
        const allowed = row.figure === "cpu" && ours.name === "on" ? ALLOWED[name] : undefined
        const ratio = median(ratiosOf(list))
        if (values.within && allowed !== undefined) {
          check(`${titleOf(row, parameters)}: ×${format(ratio)} of ×${allowed}`, ratio <= allowed)
        }
      }
    }
    const [, , , ...rest] = columns
    progress.print(`\n${title}\n\n${table(["scenario", "unit", reference.name, ours.name, "ratio", ...rest], rows, 2)}`)
  }
}

const steps = (): number => {
  const scenarioRuns = values.scenario.split(",").length * number("repetitions") * 2
  return (
    (parts.includes("growth") ? 22 : 0) +
    (parts.includes("waiting") ? 1 : 0) +
    (parts.includes("ratios") ? scenarioRuns * (values.against === undefined ? 1 : 2) : 0)
  )
}

const progress = new Progress({ steps: steps() })
console.log(
  `Node ${process.versions.node}, ${arePinned ? "a processor each for server and load" : "not pinned to processors"}.`
)
if (parts.includes("growth")) await growth(progress)
if (parts.includes("waiting")) await waiting(progress)
if (parts.includes("ratios")) await ratios(progress)
progress.end()
