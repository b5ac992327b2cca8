/**
 * The examples of the docstrings compile, all of them in one program.
 */
import { assert, describe, it } from "@effect/vitest"

import { contexts } from "../support/docContexts.ts"
import { docExamples, programOf } from "../support/docExamples.ts"
import { diagnosticsOfAll } from "../support/typecheck.ts"

const names = docExamples.map(({ name }) => name)

describe("the examples of the docstrings", () => {
  it("are there, each under a name of its own", () => {
    assert.isAtLeast(names.length, 100)
    assert.deepStrictEqual(
      names.filter((name, i) => names.indexOf(name) !== i),
      []
    )
  })

  it("need the contexts that there are", () => {
    assert.deepStrictEqual(
      Object.keys(contexts).filter((title) => docExamples.every((example) => example.title !== title)),
      []
    )
  })

  it("compile", async () => {
    const programs = docExamples.map((example) => [example.name, programOf(example)])
    const diagnostics = await diagnosticsOfAll(Object.fromEntries(programs))
    assert.deepStrictEqual(diagnostics, Object.fromEntries(names.map((name) => [name, []])))
  }, 120_000)
})
