/**
 * Official clusters and this library's under the same faults, in turn:
 *
 *     node test/cluster/faults.ts --adapter redis --fault redis-kill
 *     node test/cluster/faults.ts --adapter sharded --rows
 *     node test/cluster/faults.ts --rows --json faults.jsonl
 *
 * It prints a table, and with `--json` appends a line with all figures of each run to a file.
 */
import { appendFileSync } from "node:fs"
import { parseArgs } from "node:util"

import type { AdapterName, Kind } from "./nodes.ts"
import { type FaultName, faults } from "./strikes.ts"
import { type FaultReport, runUnderFault, type Scenario } from "./underFault.ts"

const { values } = parseArgs({
  options: {
    adapter: { type: "string" },
    fault: { type: "string" },
    for: { type: "string" },
    hz: { type: "string" },
    pad: { type: "string" },
    after: { type: "string" },
    masters: { type: "string" },
    env: { type: "string", default: "{}" },
    kinds: { type: "string", default: "official,ours" },
    times: { type: "string", default: "1" },
    rows: { type: "boolean", default: false },
    json: { type: "string" }
  }
})

interface Row extends Omit<Scenario, "adapter"> {
  readonly title: string
  readonly adapters: ReadonlyArray<AdapterName>
}

const redis: ReadonlyArray<AdapterName> = ["redis", "sharded", "streams"]

/** Official nodes end with Redis otherwise. */
const alive = { NODE_OPTIONS: "--unhandled-rejections=warn" }

/** Known facts of official clusters, with the figures that count. */
const rows: ReadonlyArray<Row> = [
  { title: "node killed, fetch under way", fault: "node-kill", after: 6_000, adapters: [...redis, "cluster"] },
  { title: "node hangs 1.5 s, then killed", fault: "node-pause-kill", for: 1_500, after: 7_000, adapters: redis },
  { title: "node hangs 8 s", fault: "node-pause", for: 8_000, after: 6_000, adapters: redis },
  { title: "node hangs 7 s at 10 MB/s", fault: "node-pause", for: 7_000, hz: 500, pad: 20_000, adapters: redis },
  {
    title: "node hangs 7 s at 500/s, maxLen 1,000",
    fault: "node-pause",
    for: 7_000,
    hz: 500,
    env: { ADAPTER_OPTIONS: '{"maxLen":1000}' },
    adapters: ["streams"]
  },
  { title: "node closes", fault: "node-close", after: 6_000, adapters: redis },
  { title: "Redis killed, back after 2 s", fault: "redis-kill", for: 2_000, adapters: redis },
  { title: "Redis killed, back after 2 s, kept alive", fault: "redis-kill", for: 2_000, env: alive, adapters: redis },
  { title: "Redis away 20 s, kept alive", fault: "redis-kill", for: 20_000, env: alive, adapters: redis },
  { title: "Redis paused 8 s", fault: "redis-pause", for: 8_000, adapters: redis },
  { title: "subscribers cut", fault: "redis-drop-subscribers", after: 4_000, adapters: redis },
  { title: "all connections cut", fault: "redis-drop-all", after: 4_000, adapters: redis },
  { title: "malformed messages", fault: "malformed", after: 3_000, adapters: redis },
  { title: "10 MB/s of malformed messages", fault: "malformed-flood", for: 6_000, after: 2_000, adapters: redis },
  { title: "Redis Cluster: master killed", fault: "master-kill", after: 12_000, adapters: redis },
  { title: "Redis Cluster: planned failover", fault: "master-failover", after: 6_000, adapters: redis }
]

const adapters = values.adapter === undefined ? redis : (values.adapter.split(",") as Array<AdapterName>)
const kinds = values.kinds.split(",") as Array<Kind>

const number = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text))

/** Without what is not given. */
const given = Object.fromEntries(
  Object.entries({
    for: number(values.for),
    hz: number(values.hz),
    pad: number(values.pad),
    after: number(values.after),
    masters: number(values.masters)
  }).filter(([, value]) => value !== undefined)
)

const env = JSON.parse(values.env) as Record<string, string>

const chosen = (adapter: AdapterName): ReadonlyArray<Omit<Row, "adapters">> => {
  if (values.rows) {
    return rows.filter(
      ({ adapters, fault }) => adapters.includes(adapter) && (values.fault === undefined || values.fault === fault)
    )
  }
  const fault = values.fault ?? "none"
  if (!Object.hasOwn(faults, fault)) {
    throw new Error(`no such fault: ${fault}; there are ${Object.keys(faults).join(", ")}`)
  }
  return [{ title: fault, fault: fault as FaultName }]
}

/** The figures of a report in few words. */
const summaryOf = ({
  counts,
  crashes,
  delayMs,
  far,
  fetches,
  lostInSilence,
  own,
  pauseMs,
  sent,
  statuses,
  turnMs,
  victim
}: FaultReport): string => {
  const sum = (name: "lost" | "dropped" | "refused") =>
    statuses.reduce((total, status) => total + (status[name] ?? 0), 0)
  const parts = [
    `crashes ${crashes.length}`,
    `lost ${far.lost} / ${victim.lost} of ${sent}`,
    `in silence ${lostInSilence}`,
    `own silent ${own.silenceMs} ms, late ${own.latestMs} ms (± ${Math.round(delayMs)}), of its own ${Math.round(pauseMs)} ms, turn ≤ ${Math.round(turnMs)} ms`,
    `far silent ${far.silenceMs} ms`,
    `disordered ${far.disordered}`,
    `fetch ≤ ${fetches.longestMs} ms, ${fetches.failed} of ${fetches.asked} failed`
  ]
  if (fetches.fewest !== undefined) parts.push(`≥ ${fetches.fewest} sockets`)
  if (fetches.incomplete > 0) parts.push(`${fetches.incomplete} incomplete with ≥ ${fetches.fewestIncomplete}`)
  parts.push(`counts ${counts.map(({ at, count }) => `${count}${Number.isFinite(at) ? `@${at}` : ""}`).join(" ")}`)
  const counted = (["lost", "dropped", "refused"] as const).map((name) => `${name} ${sum(name)}`).join(", ")
  return `${parts.join("; ")}${statuses.some(({ lost }) => lost !== undefined) ? `; counted: ${counted}` : ""}`
}

console.log(`| adapter | fault | ${kinds.join(" | ")} |\n|---|---|${"---|".repeat(kinds.length)}`)
for (const adapter of adapters) {
  for (const { title, ...row } of chosen(adapter)) {
    for (let time = 0; time < Number(values.times); time++) {
      const cells: Array<string> = []
      for (const kind of kinds) {
        const scenario: Scenario = { adapter, ...row, ...given, env: { ...row.env, ...env } }
        try {
          const report = await runUnderFault(kind, scenario)
          cells.push(summaryOf(report))
          if (values.json !== undefined) appendFileSync(values.json, `${JSON.stringify({ title, scenario, report })}\n`)
        } catch (error) {
          cells.push(`no figures: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`)
        }
      }
      console.log(`| ${adapter} | ${title} | ${cells.join(" | ")} |`)
    }
  }
}
