/**
 * The runs of these tests themselves: what is said of missing peers, and how much a short run does.
 */
import { execFile, execFileSync } from "node:child_process"
import { globSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"

import { long } from "../support/longTests.ts"
import { lineOf } from "../support/MissingPeers.ts"
import { Progress } from "../support/progress.ts"
import { root } from "../support/sources.ts"

const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs")

/** Runs Node, with an environment that has nothing of this one's. */
const node = (
  env: Record<string, string>,
  ...args: ReadonlyArray<string>
): Promise<{ readonly code: unknown; readonly output: string }> =>
  new Promise((resolve) => {
    const { PATH } = process.env
    execFile(
      process.execPath,
      args,
      { cwd: root, env: { ...(PATH === undefined ? {} : { PATH }), NO_COLOR: "1", ...env } },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : error.code, output: `${stdout}${stderr}` })
    )
  })

describe("tests that take minutes", () => {
  const files = async (env: Record<string, string>, ...args: ReadonlyArray<string>) =>
    (await node(env, vitest, "list", "--filesOnly", "--project=shared", "--project=alone", ...args)).output

  it("are left out of a plain run alone, and are there", { timeout: 60_000 }, async () => {
    for (const pattern of long) assert.isNotEmpty(globSync(join(root, pattern)), pattern)
    const one = "test/redis/client.test.ts"
    const [plain, full, ci, chosen] = await Promise.all([
      files({}),
      files({ FULL: "1" }),
      files({ CI: "true" }),
      files({}, one)
    ])
    assert.include(plain!, "test/client/client.test.ts")
    assert.notInclude(plain!, one)
    for (const other of [full, ci, chosen]) assert.include(other!, one)
  })
})

describe("peers that are missing", () => {
  const without = { WITHOUT_PEERS: "python-socketio,network namespaces" }

  it("are one line at the end of a run, with their tests and what to install", { timeout: 60_000 }, async () => {
    const { code, output } = await node(
      without,
      vitest,
      "run",
      "test/interop/python-client.test.ts",
      "test/faults/link.test.ts"
    )
    assert.strictEqual(code, 0, output)
    const lines = output.trimEnd().split("\n")
    assert.match(lines.at(-1)!, /^98 tests are skipped, as peers are missing: .*\. To run them: sudo apt-get install /)
    for (const said of ["python-socketio (96)", "network namespaces (2)", "iproute2 util-linux", "python3-aiohttp"]) {
      assert.include(lines.at(-1)!, said)
    }
    assert.lengthOf(output.match(/apt-get/g) ?? [], 1)
  })

  it("fail their files in CI", { timeout: 60_000 }, async () => {
    const module = JSON.stringify(join(root, "test/support/peers.ts"))
    const program = `import { requires } from ${module}; console.log(requires("python-socketio"))`
    const args = ["--input-type=module", "-e", program]
    const { code, output } = await node({ ...without, CI: "true" }, ...args)
    assert.notStrictEqual(code, 0)
    assert.include(output, "python-socketio is missing: apt-get install python3-socketio")
    assert.include((await node(without, ...args)).output, "skip: true")
  })

  it("are counted by peer, and each package is named once", () => {
    assert.isUndefined(lineOf([]))
    const [a, b] = [
      { peer: "A", packages: "x y" },
      { peer: "B", packages: "y z" }
    ]
    assert.strictEqual(
      lineOf([a, b, a]),
      "3 tests are skipped, as peers are missing: A (2), B (1). To run them: sudo apt-get install x y z"
    )
    assert.strictEqual(
      lineOf([a, { peer: "Bun", packages: "", command: "npm install" }]),
      "2 tests are skipped, as peers are missing: A (1), Bun (1). To run them: sudo apt-get install x y && npm install"
    )
    // Nothing to install.
    assert.strictEqual(lineOf([{ peer: "C", packages: "" }]), "1 test is skipped, as peers are missing: C (1).")
  })
})

describe("npm scripts", () => {
  it("run on the Node of the package `node`, and not on that of another runtime under test", () => {
    const { version } = createRequire(import.meta.url)("node/package.json")
    // Where this fails: npm rebuild node
    assert.strictEqual(
      execFileSync(join(root, "node_modules/.bin/node"), ["--version"], { encoding: "utf8" }),
      `v${version}\n`
    )
  })
})

describe("the progress of what runs long", () => {
  const record = (isTTY: boolean) => {
    const written: Array<string> = []
    let time = 0
    const output = { isTTY, columns: 40, write: (text: string) => written.push(text) }
    return { written, output, now: () => time, pass: (milliseconds: number) => (time += milliseconds) }
  }

  it("is a line per step where it goes to a file, with what has passed and what is left", () => {
    const { now, output, pass, written } = record(false)
    const progress = new Progress({ steps: 3, output, now })
    progress.step("one")
    pass(60_000)
    progress.step("two")
    pass(4_000)
    progress.add(1)
    progress.step("three")
    progress.end()
    assert.deepStrictEqual(written, [
      "[1 of 3] one (0 s)\n",
      "[2 of 3] two (1 min 0 s, about 2 min 0 s left)\n",
      "[3 of 4] three (1 min 4 s, about 1 min 4 s left)\n"
    ])
  })

  it("is one line on a terminal, no wider than that", () => {
    const { now, output, pass, written } = record(true)
    const progress = new Progress({ duration: 7_200_000, output, now })
    progress.step("a".repeat(50))
    pass(600_000)
    progress.step("round 2")
    progress.end()
    assert.deepStrictEqual(
      written,
      [`[1] ${"a".repeat(35)}`, "\r\u001b[K", "[2] round 2 (10 min 0 s, about 1 h 50 mi", "\r\u001b[K"].map((text) =>
        text.startsWith("[") ? text.slice(0, 39) : text
      )
    )
  })
})
