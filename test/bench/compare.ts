/**
 * The same scenario against two servers, interleaved: ours, and the official one or that of another checkout.
 */
import { appendFileSync } from "node:fs"

import { Progress } from "../support/progress.ts"
import type { Figures } from "./load/channel.ts"
import type { Options } from "./options.ts"
import { run, type Run } from "./processes.ts"
import { defaults, quicker, type Row, scenarios, titleOf } from "./scenarios.ts"
import { scriptOf } from "./servers.ts"
import { cells, columns, median, type Pair, ratiosOf, table, uncertainty } from "./statistics.ts"

/** The figures of a repetition. */
export interface Repetition {
  readonly reference: Figures
  readonly ours: Figures
}

/** How often a scenario is measured at the most, in place of once, where its ratios vary. */
const MOST = 5

/** How uncertain a ratio may be, as a part of what it may be worse by. */
const SURE = 1 / 3

/** Runs of both servers. */
export class Comparison {
  readonly options: Options
  readonly progress: Progress

  /** How many loads there are to be repeated, and how many other steps there are. */
  constructor(options: Options, loads: number, others: number) {
    this.options = options
    this.progress = new Progress({ steps: loads * options.repetitions * 2 + others })
  }

  /** Both servers, once. */
  private async once(name: string, load: Run, repetition: number): Promise<Repetition | undefined> {
    const { against, json } = this.options
    const sides = ["reference", "ours"] as const
    const figures: Partial<Record<(typeof sides)[number], Figures>> = {}
    for (const side of repetition % 2 === 0 ? sides : sides.toReversed()) {
      const server = side === "reference" && against !== undefined ? "other" : side
      this.progress.step(`${name}, repetition ${repetition + 1}: ${server}`)
      try {
        figures[side] = await run(scriptOf(server, against), load)
      } catch (error) {
        process.exitCode = 1
        this.progress.say(`${name}, ${server}: ${error instanceof Error ? error.message : String(error)}`)
      }
      if (json !== undefined) {
        const entry = { scenario: name, server, repetition, ...figures[side] }
        appendFileSync(json, `${JSON.stringify(entry)}\n`)
      }
    }
    const { ours, reference } = figures
    return ours === undefined || reference === undefined ? undefined : { ours, reference }
  }

  /**
   * Runs a load against both servers, as often as the options say, each time in the other order. A repetition in which something
   * goes wrong is told and counts for nothing. It goes on while it is not `enough`, five times as long at the most.
   */
  async repeat(
    name: string,
    load: Run,
    enough: (repetitions: ReadonlyArray<Repetition>) => boolean = () => true
  ): Promise<ReadonlyArray<Repetition>> {
    const repetitions: Array<Repetition> = []
    const { repetitions: least } = this.options
    for (let i = 0; i < least || (i < MOST * least && !enough(repetitions)); i++) {
      if (i >= least) this.progress.add(2)
      const repetition = await this.once(name, load, i)
      if (repetition !== undefined) repetitions.push(repetition)
    }
    return repetitions
  }
}

/** One figure of both servers, of all repetitions. */
export const pairsOf = (repetitions: ReadonlyArray<Repetition>, figure: string): ReadonlyArray<Pair> =>
  repetitions.map(({ ours, reference }) => ({ ours: ours[figure]!, reference: reference[figure]! }))

/** By how much a row is worse than that of the other checkout, as a part of it; less than nothing where it is better. */
const worseBy = ({ isMoreBetter }: Row, pairs: ReadonlyArray<Pair>): number => {
  const ratio = median(ratiosOf(pairs))
  return (isMoreBetter === true ? 1 / ratio : ratio) - 1
}

/** The table of the scenarios that the options name, and what follows from it. */
export const compare = async (names: ReadonlyArray<string>, comparison: Comparison): Promise<string> => {
  const { options } = comparison
  const { against } = options
  const within = options.within / 100
  const rows: Array<ReadonlyArray<string>> = []
  const worse: Array<string> = []
  for (const name of names) {
    const scenario = scenarios[name]!
    const full = { ...defaults, ...scenario.parameters }
    const parameters = { ...(options.quick ? quicker(full) : full), ...options.parameters }
    const isSure = (repetitions: ReadonlyArray<Repetition>) =>
      against === undefined ||
      scenario.rows.every(({ figure }) => uncertainty(ratiosOf(pairsOf(repetitions, figure))) <= within * SURE)
    const repetitions = await comparison.repeat(name, { kind: scenario.kind, parameters }, isSure)
    for (const row of scenario.rows) {
      const title = titleOf(row, parameters)
      const pairs = pairsOf(repetitions, row.figure)
      if (pairs.length === 0)
        rows.push([title, row.unit, ...columns.map(() => "–"), ...(against === undefined ? [] : ["–", "0"])])
      else if (against === undefined) rows.push([title, row.unit, ...cells(pairs)])
      else {
        const error = uncertainty(ratiosOf(pairs))
        const sure = Number.isFinite(error) ? `${(100 * error).toFixed(1)} %` : "–"
        rows.push([title, row.unit, ...cells(pairs, 3), sure, String(pairs.length)])
      }
      if (against !== undefined && !(pairs.length > 0 && worseBy(row, pairs) <= within)) worse.push(title)
    }
  }
  if (against === undefined) return table(["scenario", "unit", ...columns], rows, 2)
  if (worse.length > 0) process.exitCode = 1
  const verdict =
    worse.length === 0
      ? `Every row is within ${options.within} % of the other checkout's, or better.`
      : `Worse than the other checkout's by more than ${options.within} %: ${worse.join("; ")}.`
  const head = ["scenario", "unit", "other", "ours", "ratio", "spread", "±", "pairs"]
  return `${table(head, rows, 2)}\n\n${verdict}`
}
