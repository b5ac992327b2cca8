/**
 * The same scenario against both servers, interleaved.
 */
import { appendFileSync } from "node:fs"

import type { Figures } from "./load/channel.ts"
import type { Options } from "./options.ts"
import { run, type Run } from "./processes.ts"
import type { ServerName } from "./servers.ts"
import { defaults, quicker, scenarios, titleOf } from "./scenarios.ts"
import { cells, columns, type Pair, table } from "./statistics.ts"

/** The figures of a repetition. */
export type Repetition = Readonly<Record<ServerName, Figures>>

/** Progress goes where it does not mix with the tables. */
export const say = (text: string): void => console.error(text)

/**
 * Runs a load against both servers, as often as the options say, each time in the other order. A repetition in which something
 * goes wrong is told and counts for nothing.
 */
export const repeat = async (name: string, load: Run, options: Options): Promise<ReadonlyArray<Repetition>> => {
  const repetitions: Array<Repetition> = []
  for (let repetition = 0; repetition < options.repetitions; repetition++) {
    const order: ReadonlyArray<ServerName> = repetition % 2 === 0 ? ["reference", "ours"] : ["ours", "reference"]
    const figures: Partial<Record<ServerName, Figures>> = {}
    for (const server of order) {
      say(`${name}, ${repetition + 1} of ${options.repetitions}: ${server}`)
      try {
        figures[server] = await run(server, load)
      } catch (error) {
        process.exitCode = 1
        say(`${name}, ${server}: ${error instanceof Error ? error.message : String(error)}`)
      }
      if (options.json !== undefined) {
        const entry = { scenario: name, server, repetition, ...figures[server] }
        appendFileSync(options.json, `${JSON.stringify(entry)}\n`)
      }
    }
    const { ours, reference } = figures
    if (ours !== undefined && reference !== undefined) repetitions.push({ ours, reference })
  }
  return repetitions
}

/** One figure of both servers, of all repetitions. */
export const pairsOf = (repetitions: ReadonlyArray<Repetition>, figure: string): ReadonlyArray<Pair> =>
  repetitions.map(({ ours, reference }) => ({ ours: ours[figure]!, reference: reference[figure]! }))

/** The table of the scenarios that the options name. */
export const compare = async (names: ReadonlyArray<string>, options: Options): Promise<string> => {
  const rows: Array<ReadonlyArray<string>> = []
  for (const name of names) {
    const scenario = scenarios[name]!
    const full = { ...defaults, ...scenario.parameters }
    const parameters = { ...(options.quick ? quicker(full) : full), ...options.parameters }
    const repetitions = await repeat(name, { kind: scenario.kind, parameters }, options)
    for (const row of scenario.rows) {
      const pairs = pairsOf(repetitions, row.figure)
      rows.push([titleOf(row, parameters), row.unit, ...(pairs.length === 0 ? columns.map(() => "–") : cells(pairs))])
    }
  }
  return table(["scenario", "unit", ...columns], rows, 2)
}
