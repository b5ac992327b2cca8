/**
 * The targets of requests that open a session: those for which the engine finds no session's name in the query.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import * as EnginePath from "../../src/engine/EnginePath.ts"
import { queryOf } from "../../src/engine/RequestDetails.ts"

/** Decided by the parsed query, as the engine does. */
const opens = (target: string) => (queryOf(target).get("sid") ?? "") === ""

describe("a request's target opens a session", () => {
  for (const query of [
    "EIO=4&transport=polling",
    "EIO=4&transport=polling&sid=",
    "sid=&EIO=4&transport=polling",
    "EIO=4&transport=polling&xsid=1",
    "EIO=4&transport=polling&x=sid=1",
    "EIO=4&transport=polling&sid=1&sid=",
    "EIO=4&transport=polling&sid=1&%73id=",
    "EIO=4&transport=polling&sid=1&s%69d",
    "EIO=4&transport=polling&sid=1&sid",
    "sid=1&sid&EIO=4&transport=polling",
    "EIO=4&?sid=1"
  ]) {
    it(`with the query ${query}`, () => {
      assert.isTrue(opens(`/socket.io/?${query}`))
      assert.isTrue(EnginePath.isOpening(`/socket.io/?${query}`))
    })
  }

  for (const query of [
    "EIO=4&transport=polling&sid=1",
    "sid=1&EIO=4&transport=polling",
    "?sid=1",
    "EIO=4&%73id=1",
    "xsid=&sid=1"
  ]) {
    it(`but not with the query ${query}`, () => {
      assert.isFalse(opens(`/socket.io/?${query}`))
      assert.isFalse(EnginePath.isOpening(`/socket.io/?${query}`))
    })
  }

  it("by the parsed query, whatever that is", () => {
    const piece = fc.constantFrom(
      "",
      "&",
      "=",
      "?",
      "%",
      "%73",
      "%69",
      "%64",
      "+",
      "#",
      "s",
      "id",
      "sid",
      "sid=",
      "x",
      "/"
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
        const target = `/socket.io/${pieces.join("")}`
        assert.strictEqual(EnginePath.isOpening(target), opens(target), target)
      }),
      { numRuns: 5_000 }
    )
  })

  it("which takes as long as to read its query, at most", () => {
    const time = (run: () => unknown) => {
      let least = Infinity
      for (let i = 0; i < 10; i++) {
        const began = performance.now()
        run()
        least = Math.min(least, performance.now() - began)
      }
      return least
    }
    for (const part of ["a=b&", "xsid=&", "%73=&", "&", "sid=&", "sid=1&"]) {
      const target = `/socket.io/?${part.repeat(100_000 / part.length)}`
      time(() => queryOf(target))
      assert.isAtMost(
        time(() => EnginePath.isOpening(target)),
        3 * time(() => queryOf(target)) + 1,
        part
      )
    }
  })
})
