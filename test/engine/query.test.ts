import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import { queryOf } from "../../src/engine/internal/query.ts"

describe("the query of a request's target", () => {
  it("is what URLSearchParams makes of it, the last value of each parameter", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        "",
        "&",
        "=",
        "?",
        "%",
        "%41",
        "%zz",
        "+",
        "#",
        "EIO",
        "4",
        "sid",
        "__proto__",
        "é",
        "\u2028",
        "/"
      ),
      fc.string({ maxLength: 4 })
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const query = pieces.join("")
        assert.deepStrictEqual(
          Array.from(queryOf(`/socket.io/?${query}`)),
          Array.from(new Map(new URLSearchParams(query.toWellFormed())))
        )
      }),
      { numRuns: 5_000 }
    )
  })

  it("is empty where there is none", () => {
    assert.strictEqual(queryOf("/socket.io/").size, 0)
  })
})
