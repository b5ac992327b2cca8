/**
 * This server on other runtimes, each with its own edge, beside Node: the processor time of the server for each operation.
 *
 *     node test/bench/runtimes.ts [--repetitions 3] [--scenario echo,ack] [--runtime node24,bun] [--quick]
 *
 * The load generator is that of `npm run bench`, on Node. The runtimes take turns. One table goes to standard output.
 */
import { parseArgs } from "node:util"

import { isInstalled, type RuntimeName, runtimes } from "../support/runtimePrograms.ts"
import { Progress } from "../support/progress.ts"
import { run } from "./processes.ts"
import { defaults, quicker, scenarios, titleOf } from "./scenarios.ts"
import { scriptOf } from "./servers.ts"
import { format, median, table } from "./statistics.ts"

const { values } = parseArgs({
  options: {
    repetitions: { type: "string", default: "3" },
    scenario: { type: "string", default: "echo,echo-1,ack,broadcast,binary,polling,connect" },
    runtime: { type: "string", default: "node24,bun,node-on-bun,deno" },
    quick: { type: "boolean", default: false }
  }
})

const all: ReadonlyArray<readonly [title: string, name: RuntimeName]> = [
  ["Node 24", "node24"],
  ["Bun", "bun"],
  ["Bun, edge of Node", "node-on-bun"],
  ["Deno", "deno"]
]
const targets = all.filter(([, name]) => values.runtime.split(",").includes(name))

const names = values.scenario.split(",")
for (const name of names) {
  if (!Object.hasOwn(scenarios, name)) throw new Error(`no such scenario: ${name}; there are ${Object.keys(scenarios)}`)
}
for (const [title, name] of targets) if (!isInstalled(name)) throw new Error(`${title} is missing: npm install`)

const repetitions = Number(values.repetitions)
const progress = new Progress({ steps: names.length * repetitions * targets.length })
const script = scriptOf("ours")
const rows: Array<ReadonlyArray<string>> = []
for (const name of names) {
  const scenario = scenarios[name]!
  const full = { ...defaults, ...scenario.parameters }
  const parameters = values.quick ? quicker(full) : full
  const figures = targets.map(() => [] as Array<Awaited<ReturnType<typeof run>>>)
  for (let repetition = 0; repetition < repetitions; repetition++) {
    for (const [i, [title, target]] of targets.entries()) {
      progress.step(`${name}, repetition ${repetition + 1}: ${title}`)
      const { command, edge } = runtimes[target]
      // Node needs the flag for its memory, which is not measured on the others.
      const program = edge === "node" && target === "node24" ? [...command, "--expose-gc"] : command
      figures[i]!.push(await run(script, { kind: scenario.kind, parameters }, { EDGE: edge }, program))
    }
  }
  // Each runtime counts its heap in its own way.
  for (const row of scenario.rows.filter(({ unit }) => unit !== "bytes")) {
    const cells = figures.map((ofTarget) => format(median(ofTarget.map((one) => one[row.figure]!))))
    rows.push([titleOf(row, parameters), row.unit, ...cells])
  }
}
progress.print(`\n${table(["scenario", "unit", ...targets.map(([title]) => title)], rows, 2)}`)
progress.end()
