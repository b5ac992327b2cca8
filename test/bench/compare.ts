/**
 * The same scenario against two servers, interleaved: ours, and the official one or that of another checkout.
 */
import { Progress } from "../support/progress.ts"
import { Journal } from "./journal.ts"
import type { Figures } from "./load/channel.ts"
import type { Options } from "./options.ts"
import { run, type Run } from "./processes.ts"
import { defaults, quicker, type Row, scenarios, titleOf } from "./scenarios.ts"
import { scriptOf, type ServerName } from "./servers.ts"
import { cells, columns, lines, median, type Pair, ratiosOf, uncertainty } from "./statistics.ts"

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
  private readonly journal: Journal

  /** How many loads there are to be repeated, and how many other steps there are. */
  constructor(options: Options, loads: number, others: number) {
    this.options = options
    this.progress = new Progress({ steps: loads * options.repetitions * 2 + others })
    this.journal = new Journal(options.json, options.resume)
  }

  /** Both servers, once. */
  private async once(name: string, load: Run, repetition: number): Promise<Repetition | undefined> {
    const { against } = this.options
    const reference: ServerName = against === undefined ? "reference" : "other"
    const runOf = (server: ServerName) => ({ scenario: name, server, against, repetition, load })
    const figures: Partial<Record<ServerName, Figures>> = {}
    const servers: ReadonlyArray<ServerName> = [reference, "ours"]
    // Both or none: only what was measured at the same time can be compared.
    const known = servers.map((server) => this.journal.get(runOf(server)))
    if (known.every((figures) => figures !== undefined)) {
      this.progress.step(`${name}, repetition ${repetition + 1}: ${reference}, in the file`)
      this.progress.step(`${name}, repetition ${repetition + 1}: ours, in the file`)
      return { reference: known[0]!, ours: known[1]! }
    }
    for (const server of repetition % 2 === 0 ? servers : servers.toReversed()) {
      this.progress.step(`${name}, repetition ${repetition + 1}: ${server}`)
      try {
        figures[server] = await run(scriptOf(server, against), load)
      } catch (error) {
        process.exitCode = 1
        this.progress.say(`${name}, ${server}: ${error instanceof Error ? error.message : String(error)}`)
      }
      this.journal.add(runOf(server), figures[server])
    }
    const { [reference]: theirs, ours } = figures
    return ours === undefined || theirs === undefined ? undefined : { ours, reference: theirs }
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

/** The table of the scenarios that the options name, and what follows from it. Prints each row as soon as it is known. */
export const compare = async (names: ReadonlyArray<string>, comparison: Comparison): Promise<string> => {
  const { options, progress } = comparison
  const { against } = options
  const within = options.within / 100
  const head =
    against === undefined
      ? ["scenario", "unit", ...columns]
      : ["scenario", "unit", "other", "ours", "ratio", "spread", "±", "pairs"]
  const printed = lines(head, [], 2)
  progress.print(`\n${printed.join("\n")}`)
  const worse: Array<string> = []
  for (const name of names) {
    const scenario = scenarios[name]!
    const full = { ...defaults, ...scenario.parameters }
    const parameters = { ...(options.quick ? quicker(full) : full), ...options.parameters }
    const compared = against === undefined ? scenario.rows : scenario.rows.filter(({ isTime }) => isTime !== true)
    const isSure = (repetitions: ReadonlyArray<Repetition>) =>
      against === undefined ||
      compared.every(({ figure }) => uncertainty(ratiosOf(pairsOf(repetitions, figure))) <= within * SURE)
    const repetitions = await comparison.repeat(name, { kind: scenario.kind, parameters }, isSure)
    const rows: Array<ReadonlyArray<string>> = []
    for (const row of compared) {
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
    const more = lines(head, rows, 2).slice(2)
    progress.print(more.join("\n"))
    printed.push(...more)
  }
  if (against !== undefined) {
    if (worse.length > 0) process.exitCode = 1
    const verdict =
      worse.length === 0
        ? `Every row is within ${options.within} % of the other checkout's, or better.`
        : `Worse than the other checkout's by more than ${options.within} %: ${worse.join("; ")}.`
    progress.print(`\n${verdict}`)
  }
  return printed.join("\n")
}
