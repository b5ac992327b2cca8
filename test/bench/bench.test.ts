/**
 * The whole tool in its smallest form. What it measures here says nothing; that it measures is the subject.
 */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"

import { parse } from "./options.ts"
import { defaults, quicker, scenarios } from "./scenarios.ts"
import { cells, median } from "./statistics.ts"

/** Only there to end what hangs. */
const LIMIT = 120_000

/** What the tool prints. */
const bench = (...args: ReadonlyArray<string>): Promise<string> =>
  new Promise((resolve, reject) => {
    const main = fileURLToPath(new URL("main.ts", import.meta.url))
    execFile(process.execPath, [main, ...args], { timeout: LIMIT }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${error.message}\n${stdout}\n${stderr}`))
    })
  })

/** The lines of the table below its head, as cells. */
const rowsOf = (printed: string): ReadonlyArray<ReadonlyArray<string>> =>
  printed
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .slice(1)
    .map((line) => line.slice(2, -2).split(" | "))

const assertPositive = (cell: string | undefined) => {
  const value = Number(cell?.replaceAll(",", ""))
  assert.isTrue(Number.isFinite(value) && value > 0, `${cell} is no positive number`)
}

describe("npm run bench", () => {
  it("measures both servers, over WebSocket and through the upgrade", { timeout: LIMIT }, async () => {
    const few = ["--connections=3", "--warm-up-connections=1", "--in-flight=2", "--warm-up=10", "--duration=50"]
    const rows = rowsOf(await bench("--scenario", "echo,upgrade", "--repetitions", "1", "--quick", ...few))
    assert.deepStrictEqual(
      rows.map(([title]) => title),
      ["echo, 2 in flight", "upgrade from polling to WebSocket", "upgrades, 32 at a time (more is better)"]
    )
    for (const [, , reference, ours, ratio] of rows) {
      assertPositive(reference)
      assertPositive(ours)
      // A few operations may cost a hundred times as much in one server: the ratio can be 0.00.
      assert.isTrue(Number.isFinite(Number(ratio)), ratio)
    }
  })

  it("compares medians of both, and pairs of the same repetition", () => {
    assert.strictEqual(median([3, 1, 2]), 2)
    assert.strictEqual(median([4, 1, 2, 3]), 2.5)
    const pairs = [
      { reference: 10, ours: 5 },
      { reference: 1000, ours: 900 },
      { reference: 20, ours: 40 }
    ]
    assert.deepStrictEqual(cells(pairs), ["20.0", "40.0", "0.90", "0.50–2.00"])
  })

  it("refuses options that make no sense", () => {
    for (const args of [["--scenario", "ehco"], ["--repetitions", "0"], ["--connections", "x"], ["--fast"]]) {
      assert.throws(() => parse(args), /no such scenario|not a positive integer|Unknown option/)
    }
    assert.isUndefined(parse(["--help"]))
  })

  it("measures all scenarios unless it is told otherwise, with parameters that it is given", () => {
    const { names, parameters, repetitions } = parse(["--in-flight", "3"])!
    assert.deepStrictEqual(names, Object.keys(scenarios))
    assert.deepStrictEqual(parameters, { inFlight: 3 })
    assert.strictEqual(repetitions, 5)
    assert.isBelow(quicker(defaults).duration, defaults.duration)
  })
})
