/**
 * The tables of faults in the guide, from the figures that `faults.ts` has written: the worst of the runs of each fault.
 *
 *     node test/cluster/figures.ts faults.jsonl
 */
import { readFileSync } from "node:fs"

import type { AdapterName, Kind } from "./nodes.ts"
import type { FaultReport } from "./underFault.ts"

interface Run {
  readonly title: string
  readonly report: FaultReport
}

const runs = readFileSync(process.argv[2]!, "utf8")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => JSON.parse(line) as Run)

const adapters: ReadonlyArray<AdapterName> = ["redis", "sharded", "streams"]
const kinds: ReadonlyArray<Kind> = ["official", "ours"]

const of = (title: string, kind: Kind, adapter: AdapterName): ReadonlyArray<FaultReport> =>
  runs
    .filter((run) => run.title === title && run.report.kind === kind && run.report.adapter === adapter)
    .map(({ report }) => report)

const worst = (reports: ReadonlyArray<FaultReport>, value: (report: FaultReport) => number): number =>
  Math.max(...reports.map(value))

const thousands = (count: number): string => count.toLocaleString("en-US")
const seconds = (ms: number, digits = 1): string => (ms / 1_000).toFixed(digits)

type Cell = (reports: ReadonlyArray<FaultReport>) => string

/** The numbers that both far clients have missed in silence, and those that were counted. */
const lost: Cell = (reports) => {
  const silent = worst(reports, ({ lostInSilence }) => lostInSilence)
  const told = worst(reports, ({ far, lostInSilence, victim }) => far.lost + victim.lost - lostInSilence)
  const crashes = worst(reports, ({ crashes }) => crashes.length)
  const isOurs = reports[0]!.kind === "ours"
  const extra = [...(isOurs && told > 0 ? [thousands(told)] : []), ...(crashes > 0 ? [`${crashes} died`] : [])]
  return `${thousands(silent)}${extra.length > 0 ? ` (${extra.join(", ")})` : ""}`
}

const silence: Cell = (reports) =>
  `${seconds(
    worst(reports, ({ pauseMs }) => pauseMs),
    2
  )} s`

const fewest: Cell = (reports) => `${-worst(reports, ({ fetches }) => -(fetches.fewest ?? 3))} of 3`

const failures = (reports: ReadonlyArray<FaultReport>): string => {
  const failed = worst(reports, ({ fetches }) => fetches.failed)
  return failed > 0 ? `, ${failed} fail` : ""
}

const longest: Cell = (reports) =>
  `${seconds(worst(reports, ({ fetches }) => fetches.longestMs))} s${failures(reports)}`

const afterEnd: Cell = (reports) =>
  `${seconds(
    worst(reports, ({ fetches }) => fetches.afterEndMs),
    2
  )} s${failures(reports)}`

const answer: Cell = (reports) => {
  const { fewestIncomplete, missing } = reports[0]!.fetches
  return missing.length === 0 ? "none" : `${fewestIncomplete} sockets, ${missing.join(" or ")} missing`
}

const cell = (title: string, kind: Kind, adapter: AdapterName, make: Cell): string => {
  const reports = of(title, kind, adapter)
  return reports.length === 0 ? "–" : make(reports)
}

const KILLED = "Redis killed, back after 2 s, kept alive"
const NODE = "node killed, fetch under way"

console.log("| fault | | classic | sharded | streams |\n|---|---|---|---|---|")
const table: ReadonlyArray<readonly [title: string, what: string, make: Cell]> = [
  [KILLED, "Redis killed: lost in silence", lost],
  [KILLED, "own clients silent, see below", silence],
  [KILLED, "fewest sockets of an answer without an error", fewest],
  [KILLED, "longest question", longest],
  [KILLED, "its answer", answer],
  [NODE, "a server killed: longest question after its end", afterEnd],
  [NODE, "its answer", answer],
  ["no fault", "without a fault: own clients silent", silence]
]
for (const [title, what, make] of table) {
  for (const kind of kinds) {
    const cells = adapters.map((adapter) => cell(title, kind, adapter, make))
    if (cells.every((text) => text === "–")) continue
    console.log(
      `| ${kind === "official" ? what : ""} | ${kind === "official" ? kind : "here"} | ${cells.join(" | ")} |`
    )
  }
}

console.log("\n| fault | lost in silence, official | here | longest question, official | here |\n|---|---|---|---|---|")
for (const title of new Set(runs.map((run) => run.title))) {
  const cells = [lost, longest].flatMap((make) =>
    kinds.map((kind) => adapters.map((adapter) => cell(title, kind, adapter, make)).join(" / "))
  )
  console.log(`| ${title} | ${cells.join(" | ")} |`)
}

const own = runs.filter(({ report }) => report.kind === "ours")
const most = (value: (report: FaultReport) => number) => Math.max(...own.map(({ report }) => value(report)))
console.log(
  `\nhere, in all faults: longest turn ${Math.round(most(({ turnMs }) => turnMs))} ms; own clients silent ` +
    `${Math.round(most(({ pauseMs }) => pauseMs))} ms at most, ${Math.round(most(({ own }) => own.silenceMs))} ms with the time ` +
    `without a processor; ${own.reduce((sum, { report }) => sum + report.lostInSilence, 0)} lost in silence; ` +
    `${own.reduce((sum, { report }) => sum + report.crashes.length, 0)} crashes`
)
