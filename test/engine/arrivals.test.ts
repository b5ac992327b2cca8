import { assert, describe, it } from "@effect/vitest"

import type { Pacer } from "../../src/engine/EngineRequest.ts"
import { Arrivals } from "../../src/engine/internal/arrivals.ts"

/** A pacer that says when others have their turn. */
const scripted = () => {
  const steps: Array<string> = []
  const state = { isDue: false, goOn: () => {} }
  const pacer: Pacer = {
    mayGoOn: (size) => {
      steps.push(`may ${size}`)
      return !state.isDue
    },
    rest: () => void steps.push("rest"),
    get isDue() {
      return state.isDue
    },
    yield: (goOn) => {
      steps.push("yield")
      state.goOn = goOn
    }
  }
  return { pacer, state, steps }
}

describe("the body of a request", () => {
  it("counts while it is decoded, if it is large: what it brings comes after others", () => {
    const { pacer, state, steps } = scripted()
    const handled: Array<string | Uint8Array> = []
    const arrivals = new Arrivals((packet) => handled.push(packet))
    const decoded = arrivals.decode(
      100_000,
      () => pacer,
      () => {
        steps.push("decode")
        state.isDue = true
        return ["a"]
      }
    )
    assert.deepStrictEqual(steps, [`may ${16 * 1024}`, "decode", "rest"])
    arrivals.take(
      decoded,
      () => pacer,
      () => steps.push("done")
    )
    assert.deepStrictEqual(handled, [])
    state.isDue = false
    state.goOn()
    assert.deepStrictEqual(handled, ["a"])
    assert.strictEqual(steps.at(-1), "done")
  })

  it("costs no account if it is small", () => {
    const arrivals = new Arrivals(() => {})
    const refuse = () => assert.fail("a pacer was made")
    assert.strictEqual(
      arrivals.decode(1_000, refuse, () => 1),
      1
    )
  })
})
