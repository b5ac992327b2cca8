/**
 * Base64 as browsers do it, with the one of Node as oracle.
 */
import { afterAll, assert, beforeAll, describe, it, vi } from "@effect/vitest"
import * as fc from "fast-check"

import * as NodeBase64 from "../../src/protocol/internal/base64.ts"

const NodeBuffer = Buffer

/** The last one: its lower bytes are those of base64. */
const refused = ["A", "AAAAA", "AA=", "A===", "AAA==", "=", "AA==AA==", "A A=", "AA-_", "AAA\n", "ä", "\u0141\u0141AA"]

describe("base64 where there is no Buffer", () => {
  let base64: typeof import("../../src/protocol/internal/base64.ts")

  beforeAll(async () => {
    vi.resetModules()
    vi.stubGlobal("Buffer", undefined)
    try {
      base64 = await import("../../src/protocol/internal/base64.ts")
    } finally {
      vi.unstubAllGlobals()
    }
  })

  afterAll(() => vi.resetModules())

  it("writes what Node writes, and reads that, padded or not", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = NodeBuffer.from(bytes).toString("base64")
        assert.strictEqual(base64.encode(bytes), text)
        assert.deepStrictEqual(base64.decode(text), bytes)
        assert.deepStrictEqual(base64.decode(text.replaceAll("=", "")), bytes)
      })
    )
  })

  it("gives memory that is not Node's", () => {
    assert.strictEqual(base64.decode("AAEC")!.constructor, Uint8Array)
  })

  it("takes more bytes than a call may have arguments", () => {
    const bytes = new Uint8Array(1_000_003).map((_, i) => i * 7)
    const text = base64.encode(bytes)
    assert.strictEqual(text, NodeBuffer.from(bytes).toString("base64"))
    assert.isTrue(NodeBuffer.from(base64.decode(text)!).equals(bytes))
  })

  for (const text of refused) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.isUndefined(base64.decode(text))
    })
  }
})

describe("base64 with the Buffer of Node", () => {
  it("reads what it writes, padded or not", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = NodeBase64.encode(bytes)
        assert.deepStrictEqual(Uint8Array.from(NodeBase64.decode(text)!), bytes)
        assert.deepStrictEqual(Uint8Array.from(NodeBase64.decode(text.replaceAll("=", ""))!), bytes)
      })
    )
  })

  it("does not mind bits that stand for nothing", () => {
    assert.deepStrictEqual(Array.from(NodeBase64.decode("AB==")!), [0])
  })

  for (const text of refused) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.isUndefined(NodeBase64.decode(text))
    })
  }
})
