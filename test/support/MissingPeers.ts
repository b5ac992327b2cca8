/**
 * A reporter that says at the end of a run what was not run, each in one line: tests that were skipped as their peers are missing,
 * with what to install, and those that take minutes.
 */
import type { Reporter, TestModule } from "vitest/node"

import { areLeftOut } from "./longTests.ts"
import type { Missing } from "./peers.ts"

/** The line; `undefined` where nothing was skipped for a peer. */
export const lineOf = (skipped: ReadonlyArray<Missing>): string | undefined => {
  if (skipped.length === 0) return undefined
  const tests = new Map<string, number>()
  for (const { peer } of skipped) tests.set(peer, (tests.get(peer) ?? 0) + 1)
  const peers = Array.from(tests, ([peer, count]) => `${peer} (${count})`).join(", ")
  const packages = [...new Set(skipped.flatMap((missing) => missing.packages.split(" ")))].filter(Boolean).join(" ")
  const others = new Set(skipped.flatMap(({ command }) => (command === undefined ? [] : [command])))
  const commands = [...(packages === "" ? [] : [`sudo apt-get install ${packages}`]), ...others].join(" && ")
  return (
    `${skipped.length === 1 ? "1 test is" : `${skipped.length} tests are`} skipped, as peers are missing: ${peers}.` +
    (commands === "" ? "" : ` To run them: ${commands}`)
  )
}

export default class MissingPeers implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const skipped: Array<Missing> = []
    for (const module of modules) {
      for (const test of module.children.allTests("skipped")) {
        const { missing } = test.meta()
        if (missing !== undefined) skipped.push(missing)
      }
    }
    const line = lineOf(skipped)
    if (line !== undefined) console.log(`${line}\n`)
    if (areLeftOut) console.log("The tests that take minutes were left out. To run them, too: FULL=1 npm test\n")
  }
}
