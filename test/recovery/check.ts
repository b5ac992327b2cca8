/**
 * Connection state recovery under cuts, official servers and this library's in turn:
 *
 *     npm run recovery:check -- --adapter memory --seconds 60 --cuts reset,close,stall --hz 200 --seed 7
 *     npm run recovery:check -- --adapter streams --kinds ours --hop --kill 5000 --transport both
 *     npm run recovery:check -- --adapter streams --kinds ours --nodes 2 --officials 2 --hop --strike 1000
 *
 * It prints a table, and with `--json` appends a line with all figures of each run to a file. It fails if a server of this library has
 * lost something in silence, or has sent something twice or in disorder.
 */
import { appendFileSync } from "node:fs"
import { parseArgs } from "node:util"

import type { AdapterName } from "../cluster/nodes.ts"
import type { Cut } from "./clients.ts"
import type { Kind } from "./servers.ts"
import { type Outcome, runStorm, type StormOptions, type StormReport } from "./storm.ts"

const { values } = parseArgs({
  options: {
    adapter: { type: "string", default: "memory" },
    kinds: { type: "string", default: "official,ours" },
    nodes: { type: "string" },
    clients: { type: "string", default: "12" },
    transport: { type: "string", default: "websocket" },
    seconds: { type: "string", default: "30" },
    hz: { type: "string", default: "50" },
    cuts: { type: "string", default: "reset,close,stall" },
    every: { type: "string", default: "1500" },
    down: { type: "string", default: "800" },
    hop: { type: "boolean", default: false },
    kill: { type: "string", default: "0" },
    strike: { type: "string", default: "0" },
    officials: { type: "string", default: "0" },
    seed: { type: "string", default: "1" },
    recovery: { type: "string", default: "30000" },
    env: { type: "string", default: "{}" },
    json: { type: "string" }
  }
})

const scenario: Omit<StormOptions, "kind"> = {
  adapter: values.adapter as AdapterName,
  ...(values.nodes !== undefined && { nodes: Number(values.nodes) }),
  clients: Number(values.clients),
  transport: values.transport as "websocket" | "polling" | "both",
  duration: Number(values.seconds) * 1_000,
  hz: Number(values.hz),
  cuts: values.cuts.split(",") as ReadonlyArray<Cut>,
  every: Number(values.every),
  down: Number(values.down),
  hop: values.hop,
  kill: Number(values.kill),
  strike: Number(values.strike),
  officials: Number(values.officials),
  seed: Number(values.seed),
  maxDisconnection: Number(values.recovery),
  env: JSON.parse(values.env)
}

const reports: Array<StormReport> = []
for (const kind of values.kinds.split(",") as ReadonlyArray<Kind>) {
  const report = await runStorm({ ...scenario, kind })
  reports.push(report)
  if (values.json !== undefined) appendFileSync(values.json, `${JSON.stringify({ scenario, report })}\n`)
}

const share = (outcome: Outcome | undefined): string => {
  if (outcome === undefined) return "-"
  const { recovered, refused } = outcome
  return `${recovered} of ${recovered + refused}`
}

const row = (title: string, cell: (report: StormReport) => string) =>
  console.log(`| ${title} | ${reports.map(cell).join(" | ")} |`)

console.log(`| | ${reports.map(({ kind }) => kind).join(" | ")} |\n|---|${"---|".repeat(reports.length)}`)
row("numbers heard", ({ received }) => String(received))
row("lost in silence (clients)", ({ clientsThatLost, lostInSilence }) => `${lostInSilence} (${clientsThatLost})`)
row("lost, and told so", ({ lost, lostInSilence }) => String(Math.max(0, lost - lostInSilence)))
row("heard twice", ({ duplicates }) => String(duplicates))
row("heard in disorder", ({ disordered }) => String(disordered))
row("recovered where it was possible", ({ recoverable }) => share(recoverable))
if (scenario.strike! > 0) {
  row("connections of Redis that were killed", ({ struck }) => String(struck))
  row("never in the log (counted as dropped)", ({ dropped, unlogged }) => `${unlogged} (${dropped})`)
}
if (scenario.officials! > 0) {
  row("lost in silence by clients of official nodes", ({ atOfficials }) => String(atOfficials.lostInSilence))
}
for (const name of [...new Set(reports.flatMap(({ outcomes }) => Object.keys(outcomes)))].toSorted()) {
  row(`recovered: ${name}`, ({ outcomes }) => share(outcomes[name]))
}

for (const { kind, losers } of reports) {
  // Official servers have many.
  if (kind === "ours") for (const loser of losers) console.log(JSON.stringify(loser))
}

const isHonest = ({ contradictions, disordered, duplicates, lostInSilence }: StormReport): boolean =>
  contradictions + disordered + duplicates + lostInSilence === 0
process.exit(reports.every((report) => report.kind === "official" || isHonest(report)) ? 0 : 1)
