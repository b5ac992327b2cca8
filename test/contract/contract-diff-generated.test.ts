/**
 * Generated pairs of schemas: what is called safe is, for generated values.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import * as ContractDiff from "../../src/ContractDiff.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import { costly } from "../support/extent.ts"
import { exchange } from "./exchange.ts"
import { pairs, type Spec, schemaOf } from "./generated-schemas.ts"

const contracts = (spec: Spec) => {
  const payload = schemaOf(spec)
  return {
    receive: Namespace.make("/x", { clientToServer: [Event.make("say", { payload })] }),
    send: Namespace.make("/x", { serverToClient: [Event.make("say", { payload })] })
  }
}

describe("generated pairs of contracts", () => {
  it("are never called safe where a generated value refutes it", { timeout: 600_000 }, () => {
    const verdicts = { safe: 0, risky: 0, breaking: 0, proved: 0, skipped: 0 }
    fc.assert(
      fc.property(pairs, fc.integer(), ({ after, before }, seed) => {
        let old: ReturnType<typeof contracts>
        let fresh: typeof old
        try {
          ;[old, fresh] = [contracts(before), contracts(after)]
        } catch {
          // A default of a schema without values.
          return
        }
        for (const direction of ["receive", "send"] as const) {
          const [one, two] = [old[direction], fresh[direction]]
          const changes = ContractDiff.compare(ContractDiff.snapshot([one]), ContractDiff.snapshot([two]))
          const verdict = changes[0]?.level ?? "safe"
          let found
          try {
            found = exchange(one, two, 30, seed)
          } catch {
            // Some schemas have no value, or none that is found.
            verdicts.skipped++
            continue
          }
          verdicts[verdict]++
          if (verdict === "safe") assert.deepStrictEqual(found, [], JSON.stringify(changes))
          else if (verdict === "breaking" && found.length > 0) verdicts.proved++
        }
      }),
      { numRuns: costly(6_000, 400, 150), seed: Number(process.env["SEED"] ?? 1) }
    )
    console.log(verdicts)
    assert.isAbove(verdicts.safe, 50)
    assert.isAbove(verdicts.breaking, 50)
  })
})
