/**
 * The whole tool in its smallest form. Its figures say nothing here; the subject is that it measures.
 */
import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"

import { isExhaustive } from "../support/extent.ts"
import { root } from "../support/sources.ts"
import { parse } from "./options.ts"
import { draw, rowsOf as drawnOf } from "./picture.ts"
import { defaults, quicker, scenarios } from "./scenarios.ts"
import { cells, median, uncertainty } from "./statistics.ts"

/** Only there to end what hangs. */
const LIMIT = 120_000

/** The output of the tool. */
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

/** The elements that are not closed, or closed by others: empty where XML is well-formed. */
const unbalanced = (xml: string): ReadonlyArray<string> => {
  const open: Array<string> = []
  for (const [, end, name, empty] of xml.matchAll(/<(\/?)(\w+)(?:\s[\w-]+="[^"<]*")*(\/?)>/g)) {
    if (end === "/") {
      if (open.pop() !== name) return [`</${name}>`]
    } else if (empty !== "/") open.push(name!)
  }
  // The rest is text: there is neither a stray sign nor an unknown entity.
  const rest = xml.replaceAll(/<\/?\w+(?:\s[\w-]+="[^"<]*")*\/?>/g, "")
  if (/[<>]|&(?!amp;|lt;|gt;)/.test(rest)) open.push("text")
  return open
}

describe("npm run bench", () => {
  it("measures both servers, over WebSocket and through the upgrade", { timeout: LIMIT }, async () => {
    // Long enough for operations at a fixed rate also on a busy machine.
    const few = ["--connections=3", "--warm-up-connections=1", "--in-flight=2", "--warm-up=10", "--duration=500"]
    few.push("--rate=200")
    const rows = rowsOf(
      await bench("--scenario", "echo,echo-rate,broadcast-rate,upgrade", "--repetitions", "1", "--quick", ...few)
    )
    assert.deepStrictEqual(
      rows.map(([title]) => title),
      [
        "echo, 2 in flight",
        "echo, 200 per second",
        "echo, 200 per second: median latency",
        "broadcast to 3, 200 per second",
        "broadcast to 3, 200 per second: median latency",
        "upgrade from polling to WebSocket",
        "upgrades, 32 at a time (more is better)"
      ]
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

  it.skipIf(!isExhaustive)(
    "measures another checkout turn by turn, and says whether a row is worse",
    { timeout: LIMIT },
    async () => {
      const few = ["--connections=3", "--warm-up-connections=1", "--in-flight=2", "--warm-up=10", "--duration=50"]
      // Against itself; no figure is so uncertain as to be worse by this much, or to be measured again.
      const printed = await bench(
        "--against",
        root,
        "--within",
        "100000",
        "--scenario",
        "echo",
        "--repetitions",
        "3",
        ...few
      )
      const [[title, , other, ours, , , , pairs] = []] = rowsOf(printed)
      assert.strictEqual(title, "echo, 2 in flight")
      assertPositive(other)
      assertPositive(ours)
      assert.strictEqual(pairs, "3")
      assert.include(printed, "Every row is within 100000 % of the other checkout's, or better.")
    }
  )

  it.skipIf(!isExhaustive)(
    "goes on where it was broken off, and adds up what was measured in parts",
    { timeout: LIMIT },
    async () => {
      const few = ["--connections=3", "--warm-up-connections=1", "--in-flight=2", "--warm-up=10", "--duration=50"]
      const directory = mkdtempSync(join(tmpdir(), "bench-"))
      const file = join(directory, "runs.jsonl")
      const measured = (scenario: string) =>
        bench("--scenario", scenario, "--repetitions", "1", "--json", file, "--resume", ...few)
      const runs = () => readFileSync(file, "utf8").trim().split("\n")
      try {
        const [echo] = rowsOf(await measured("echo"))
        // The run of one server alone does not count, nor does a line that was broken off.
        const [own, theirs] = runs()
        writeFileSync(file, `${own}\n${theirs}\n${own!.replaceAll('"echo"', '"ack"')}\n{"scen`)
        const [ack] = rowsOf(await measured("ack"))
        assert.lengthOf(runs(), 6)
        const both = await measured("echo,ack")
        assert.deepStrictEqual(rowsOf(both), [echo!, ack!])
        assert.lengthOf(runs(), 6)
      } finally {
        rmSync(directory, { recursive: true })
      }
    }
  )

  it("knows how uncertain a median is, whatever a single run does", () => {
    assert.strictEqual(uncertainty([1, 1]), Infinity)
    assert.strictEqual(uncertainty([1, 1, 1, 1, 9]), 0)
    const few = [0.9, 0.95, 1, 1.05, 1.1]
    assert.approximately(uncertainty(few), 0.0415, 0.0005)
    assert.approximately(uncertainty([...few, ...few, ...few, ...few]), 0.0415 / 2, 0.002)
  })

  it("draws a bar for every row, one for what is better if it is more as well", () => {
    const head = "text\n\n| scenario | unit | reference | ours | ratio | spread |\n|---|---|---:|---:|---:|---:|\n"
    const rows = drawnOf(
      `${head}| a & b | µs per x | 10.0 | 5.00 | 0.50 | 0.40–0.60 |\n| c (more is better) | per second | 1.00 | 4.00 | 4.00 | 2.00–5.00 |\n\n| other | table |\n`
    )
    assert.lengthOf(rows, 2)
    const picture = draw(rows, "socket.io")
    const widths = Array.from(picture.matchAll(/<rect class="bar (\w+)"[^>]* width="([\d.]+)"/g), ([, kind, width]) => [
      kind,
      Number(width)
    ])
    assert.lengthOf(widths, 2)
    // A half, and a quarter of the time.
    assert.deepStrictEqual(
      widths.map(([kind]) => kind),
      ["less", "less"]
    )
    assert.approximately((widths[0]![1] as number) / (widths[1]![1] as number), 2, 0.01)
    assert.include(picture, "a &amp; b")
    assert.notInclude(picture, "more is better")
    assert.throws(() => drawnOf("nothing"), /no table of scenarios/)
    assert.throws(() => drawnOf(`${head}| a | b | – | – | – | – |`), /no figures/)
  })

  it("has drawn the guide's table: `npm run bench -- --from examples/guides/performance.md --svg examples/guides/performance.svg`", () => {
    const rows = drawnOf(readFileSync(join(root, "examples/guides/performance.md"), "utf8"))
    const picture = readFileSync(join(root, "examples/guides/performance.svg"), "utf8")
    assert.strictEqual(picture, draw(rows, "socket.io"))
    assert.lengthOf(picture.match(/class="bar /g)!, rows.length)
    assert.deepStrictEqual(unbalanced(picture), [])
  })

  it("refuses options that make no sense", () => {
    for (const args of [
      ["--scenario", "ehco"],
      ["--repetitions", "0"],
      ["--connections", "x"],
      ["--fast"],
      ["--from", "x"],
      ["--resume"],
      ["--within", "3"]
    ]) {
      assert.throws(() => parse(args), /no such scenario|not a positive integer|Unknown option|needs --/)
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
