/**
 * The order of the files: every file can be read with only those below it, and a floor's internals are its own.
 */
import { assert, describe, it } from "@effect/vitest"

import { circlesOf, foreignInternals, importsAmong, importsBelow } from "../support/imports.ts"

const among = (sources: Readonly<Record<string, string>>) => importsAmong(new Map(Object.entries(sources)))

describe("the sources", () => {
  const imports = importsBelow("src")

  it("are read", () => {
    assert.isAbove(imports.size, 100)
    assert.isAbove(Array.from(imports.values()).flat().length, 300)
  })

  it("have no circle of imports, types included", () => {
    assert.deepStrictEqual(circlesOf(imports), [])
  })

  it("do not import the internals of another floor", () => {
    assert.deepStrictEqual(foreignInternals(imports), [])
  })
})

describe("a circle of imports", () => {
  for (const [what, sources, circles] of [
    [
      "of two files",
      { "src/a.ts": 'import { b } from "./b.ts"', "src/b.ts": 'import { a } from "./a.ts"' },
      [["src/a.ts", "src/b.ts"]]
    ],
    [
      "of types",
      { "src/a.ts": 'import type { B } from "./b.ts"', "src/b.ts": 'export type { A } from "./a.ts"' },
      [["src/a.ts", "src/b.ts"]]
    ],
    ["of one file", { "src/a.ts": 'import * as a from "./a.ts"' }, [["src/a.ts"]]],
    [
      "across folders, with a file that is not in it on either side",
      {
        "src/above.ts": 'import "./x/a.ts"',
        "src/x/a.ts": 'import { b } from "../y/b.ts"',
        "src/y/b.ts": 'import { c } from "./c.ts"\nimport "../below.ts"',
        "src/y/c.ts": 'const a = await import("../x/a.ts")',
        "src/below.ts": ""
      },
      [["src/x/a.ts", "src/y/b.ts", "src/y/c.ts"]]
    ],
    [
      "beside another",
      {
        "src/a.ts": 'import "./b.ts"\nimport "./c.ts"',
        "src/b.ts": 'import "./a.ts"',
        "src/c.ts": 'import "./d.ts"',
        "src/d.ts": 'import "./c.ts"'
      },
      [
        ["src/c.ts", "src/d.ts"],
        ["src/a.ts", "src/b.ts"]
      ]
    ]
  ] as const) {
    it(`is found: ${what}`, () => {
      assert.deepStrictEqual(circlesOf(among(sources)), circles)
    })
  }

  it("is not seen where two files share a third, or a comment names one", () => {
    const sources = {
      "src/a.ts": 'import "./b.ts"\nimport "./c.ts"\nimport "effect/Effect"',
      "src/b.ts": 'import "./c.ts"',
      "src/c.ts": '// import "./a.ts"'
    }
    assert.deepStrictEqual(circlesOf(among(sources)), [])
  })
})

describe("another floor's internals", () => {
  it("are found", () => {
    const imports = among({
      "src/a.ts": 'import "./server/internal/b.ts"',
      "src/node/A.ts": 'import type { B } from "../engine/internal/client/b.ts"',
      "src/server/internal/b.ts": "",
      "src/engine/internal/client/b.ts": ""
    })
    assert.deepStrictEqual(foreignInternals(imports), [
      "src/a.ts imports src/server/internal/b.ts",
      "src/node/A.ts imports src/engine/internal/client/b.ts"
    ])
  })

  it("are not confused with a floor's own, or with those that all floors share", () => {
    const imports = among({
      "src/server/A.ts": 'import "./internal/b.ts"\nimport "../internal/c.ts"',
      "src/server/internal/b.ts": 'import "./d.ts"',
      "src/server/internal/d.ts": "",
      "src/internal/c.ts": ""
    })
    assert.deepStrictEqual(foreignInternals(imports), [])
  })
})
