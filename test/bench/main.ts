/**
 * `npm run bench`: this server against the official one, or against that of another checkout. Tables go to standard output, progress to
 * standard error.
 */
import { readFileSync, writeFileSync } from "node:fs"

import { compare, Comparison } from "./compare.ts"
import { growth, sizes } from "./growth.ts"
import { help, type Options, parse } from "./options.ts"
import { parsers } from "./parsers.ts"
import { draw, rowsOf } from "./picture.ts"
import { arePinned } from "./processors.ts"
import { scenarios } from "./scenarios.ts"

/** Draws the table of a text. */
const drawTo = (file: string, text: string, { against }: Options): void =>
  writeFileSync(file, draw(rowsOf(text), against === undefined ? "socket.io" : "the other checkout"))

const bench = async (options: Options): Promise<void> => {
  if (options.from !== undefined) return drawTo(options.svg!, readFileSync(options.from, "utf8"), options)
  const repetitions = `${options.repetitions} repetition${options.repetitions === 1 ? "" : "s"}`
  const pinned = arePinned ? "a processor each for server and load" : "not pinned to processors"
  console.log(`Node ${process.versions.node}, ${repetitions}${options.quick ? ", quick" : ""}, ${pinned}.`)
  const names = options.names.filter((name) => Object.hasOwn(scenarios, name))
  const levels = options.names.includes("growth") ? sizes(options.quick).length : 0
  const alone = options.names.includes("parsers") ? options.repetitions : 0
  const comparison = new Comparison(options, names.length + levels, alone)
  const { progress } = comparison
  if (names.length > 0) {
    const table = await compare(names, comparison)
    if (options.svg !== undefined) drawTo(options.svg, table, options)
  }
  if (levels > 0) progress.print(`\n${await growth(comparison)}`)
  if (alone > 0) progress.print(`\n${await parsers(comparison)}`)
  progress.end()
}

try {
  const options = parse(process.argv.slice(2))
  if (options === undefined) console.log(help)
  else await bench(options)
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n\n${help}`)
  process.exitCode = 1
}
