/**
 * Values that come and go all the time, and must not be kept alive by their old containers: V8's young collections would copy all of it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { execFileSync } from "node:child_process"
import { fileURLToPath } from "node:url"

import { Bag } from "../../src/internal/bag.ts"

describe("a bag", () => {
  it("has what was added and not removed", () => {
    // A number removes what stands there, `undefined` adds.
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(20), { nil: undefined })), (steps) => {
        const bag = new Bag<number>()
        const entries: Array<ReturnType<typeof bag.add>> = []
        for (const [n, step] of steps.entries()) {
          if (step === undefined) entries.push(bag.add(n))
          else if (step < entries.length) bag.remove(entries.splice(step, 1)[0]!)
          assert.strictEqual(bag.size, entries.length)
          assert.sameMembers(
            [...bag.values],
            entries.map(({ value }) => value)
          )
        }
      })
    )
  })
})

describe("values that come and go", () => {
  it("are kept by a set, not by a bag, and not by the acknowledgements of a socket", () => {
    const script = fileURLToPath(new URL("churn.ts", import.meta.url))
    const output = execFileSync(process.execPath, ["--expose-gc", script], { encoding: "utf8" })
    const { acks, bag, set } = JSON.parse(output) as Record<"acks" | "bag" | "set", number>
    assert.isBelow(bag, 10)
    assert.isBelow(acks, 10)
    assert.isAbove(set, 40)
  })
})
