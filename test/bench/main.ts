/**
 * `npm run bench`: this server against the official one. Tables go to standard output, progress to standard error.
 */
import { compare } from "./compare.ts"
import { growth } from "./growth.ts"
import { help, type Options, parse } from "./options.ts"
import { parsers } from "./parsers.ts"
import { arePinned } from "./processors.ts"
import { scenarios } from "./scenarios.ts"

const bench = async (options: Options): Promise<void> => {
  const repetitions = `${options.repetitions} repetition${options.repetitions === 1 ? "" : "s"}`
  const pinned = arePinned ? "a processor each for server and load" : "not pinned to processors"
  console.log(`Node ${process.versions.node}, ${repetitions}${options.quick ? ", quick" : ""}, ${pinned}.`)
  const names = options.names.filter((name) => Object.hasOwn(scenarios, name))
  if (names.length > 0) console.log(`\n${await compare(names, options)}`)
  if (options.names.includes("growth")) console.log(`\n${await growth(options)}`)
  if (options.names.includes("parsers")) console.log(`\n${await parsers(options)}`)
}

try {
  const options = parse(process.argv.slice(2))
  if (options === undefined) console.log(help)
  else await bench(options)
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n\n${help}`)
  process.exitCode = 1
}
