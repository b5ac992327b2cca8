/**
 * Patterns of dynamic namespaces: names are a client's choice, and must not be work.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import { compilePattern } from "../../src/internal/namespacePattern.ts"

/** The meaning of a pattern, as a regular expression. */
const meaning = (pattern: string) => {
  const parameters = Array.from(pattern.matchAll(/:([A-Za-z_][A-Za-z0-9_]*)/g), (match) => match[1]!)
  const source = pattern
    .split(/:[A-Za-z_][A-Za-z0-9_]*/)
    .map((text) => text.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&"))
    .join("([^/,]+?)")
  const expression = new RegExp(`^${source}$`)
  return (name: string) => {
    const found = expression.exec(name)
    return found === null ? undefined : Object.fromEntries(parameters.map((parameter, i) => [parameter, found[i + 1]!]))
  }
}

/** Few characters, so that texts occur in names by chance, and more than once. */
const text = (max: number) => fc.string({ unit: fc.constantFrom("-", "-", "/", ",", "a", ".", "\n"), maxLength: max })

const pattern = fc
  .array(text(3), { minLength: 1, maxLength: 6 })
  .map((texts) => texts.reduce((pattern, text, i) => `${pattern}:${"pqrst"[i - 1]!}${avoid(text)}`))

/** A text right after a parameter's name must not go on with it. */
const avoid = (text: string) => text.replace(/^a/, ".")

/** Names of any kind, and such as the pattern might have made. */
const cases = fc.oneof(
  fc.tuple(pattern, text(14)),
  pattern.chain((pattern) =>
    fc.tuple(
      fc.constant(pattern),
      fc.array(text(3), { minLength: 5, maxLength: 5 }).map((values) => {
        let i = 0
        return pattern.replaceAll(/:[a-z]/g, () => values[i++]!)
      })
    )
  )
)

describe("a pattern", () => {
  it("matches what a regular expression of the same meaning does, with the same parameters", () => {
    let matched = 0
    fc.assert(
      fc.property(cases, ([pattern, name]) => {
        const expected = meaning(pattern)(name)
        if (expected !== undefined) matched++
        assert.deepStrictEqual(compilePattern(pattern).match(name), expected)
      }),
      { numRuns: 20_000 }
    )
    assert.isAbove(matched, 2_000)
  })

  it("takes a parameter called __proto__ for what it is", () => {
    const found = compilePattern("/:__proto__").match("/x")
    assert.deepStrictEqual(Object.entries(found ?? {}), [["__proto__", "x"]])
  })

  it("takes no time in proportion to a power of the name, however many parameters it has", () => {
    const { match } = compilePattern("/:a-:b-:c-:d-:e-:f-:g-:h")
    const hostile = [`/${"-".repeat(254)}/`, `/${"-".repeat(254)},`, `/${"a-".repeat(127)}/`, `/${"-".repeat(255)}`]
    // By a regular expression the first of them alone takes longer than anybody has waited.
    const started = performance.now()
    for (let i = 0; i < 1_000; i++) for (const name of hostile) match(name)
    assert.isBelow(performance.now() - started, 10_000)
  })
})
