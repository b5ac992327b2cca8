/**
 * How the cost of an operation grows with the number of connections, and with the members of a room.
 */
import { type Comparison, pairsOf, type Repetition } from "./compare.ts"
import { maxOpenFiles } from "./processes.ts"
import { defaults, quicker } from "./scenarios.ts"
import { cells, columns, format, median, table } from "./statistics.ts"

/** Files that a process has open beside its connections. */
const OTHER_FILES = 200

/** The numbers of connections, as far as a process may have them. */
export const sizes = (quick: boolean): ReadonlyArray<number> => {
  const wanted = quick ? [100, 1000] : [100, 1000, 10_000]
  const limit = maxOpenFiles() ?? Infinity
  return wanted.filter((size) => size + OTHER_FILES <= limit)
}

interface Level {
  readonly size: number
  readonly repetitions: ReadonlyArray<Repetition>
}

const count = (value: number): string => value.toLocaleString("en-US")

/** How a cost grows from the first number of connections to the last. */
const grown = (costs: ReadonlyArray<ReadonlyArray<number>>): string => {
  const [first, last] = [costs[0]!, costs.at(-1)!]
  return first.length === 0 || last.length === 0 ? "–" : `×${(median(last) / median(first)).toFixed(2)}`
}

const values = (
  repetitions: ReadonlyArray<Repetition>,
  server: keyof Repetition,
  figure: string
): ReadonlyArray<number> => repetitions.map((repetition) => repetition[server][figure]!)

/** Measures, and gives the tables. */
export const growth = async (comparison: Comparison): Promise<string> => {
  const { options } = comparison
  const levels: Array<Level> = []
  const all = sizes(options.quick)
  const largest = all.at(-1)!
  for (const size of all) {
    const full = { ...defaults, inFlight: 100, warmUp: 1000, duration: 2000 }
    const parameters = {
      ...(options.quick ? quicker(full) : full),
      ...options.parameters,
      connections: size,
      rooms: size === largest ? 1 : 0
    }
    levels.push({ size, repetitions: await comparison.repeat(`growth to ${size}`, { kind: "growth", parameters }) })
  }

  const last = levels.at(-1)!.repetitions
  const operations = { echo: "echo, 100 in flight in all", broadcast: "broadcast to all, per delivery" }
  const connections: Array<ReadonlyArray<string>> = []
  for (const [figure, title] of Object.entries(operations)) {
    for (const server of ["reference", "ours"] as const) {
      const costs = levels.map(({ repetitions }) => values(repetitions, server, figure))
      connections.push([
        `${title}: ${server === "reference" && options.against !== undefined ? "other" : server}`,
        ...costs.map((cost) => (cost.length === 0 ? "–" : format(median(cost)))),
        grown(costs)
      ])
    }
  }

  const rooms: Array<ReadonlyArray<string>> = []
  for (let size = 10; size <= largest && last.length > 0; size *= 10) {
    rooms.push([count(size), ...cells(pairsOf(last, `room${size}`))])
  }
  return [
    "Server CPU, µs per operation, by the number of connections:",
    table(["operation", ...all.map(count), "growth"], connections),
    `Server CPU, µs per delivery to a room, with ${count(largest)} connections:`,
    table(["members", ...columns], rooms)
  ].join("\n\n")
}
