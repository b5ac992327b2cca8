import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import { queryOf } from "../../src/engine/RequestDetails.ts"

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

  it("takes no longer per parameter, however many there are without a value", () => {
    // Sixteen times as many would take 256 times as long if each were looked through to the end.
    const time = (count: number) => {
      const url = `/socket.io/?${"a&".repeat(count)}`
      let least = Infinity
      for (let i = 0; i < 10; i++) {
        const began = performance.now()
        queryOf(url)
        least = Math.min(least, performance.now() - began)
      }
      return least
    }
    time(10_000)
    assert.isBelow(time(160_000) / time(10_000), 64)
  })

  it("is empty where there is none", () => {
    assert.strictEqual(queryOf("/socket.io/").size, 0)
  })
})
