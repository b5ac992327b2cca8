import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "fast-check"

import * as JsonDepth from "../../src/protocol/JsonDepth.ts"
import { isProtocolError } from "../../src/protocol/ProtocolError.ts"
import { PacketDecoder } from "../../src/protocol/PacketDecoder.ts"

const depthOf = (value: unknown): number =>
  typeof value === "object" && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0

describe("the depth of a JSON text", () => {
  it("is that of what it is parsed to, whatever stands in its strings", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.jsonValue({ maxDepth: 6, stringUnit: "binary" }), (value) => {
        const depth = depthOf(value)
        for (const text of [JSON.stringify(value), JSON.stringify({ '\\"[{': [value, "[[\\\\", '"{"'] })]) {
          const levels = text.startsWith('{"\\\\') ? depth + 2 : depth
          assert.isFalse(JsonDepth.isDeeper(text, Math.max(levels, 0)), text)
          if (levels > 0) assert.isTrue(JsonDepth.isDeeper(text, levels - 1), text)
        }
      }),
      { numRuns: 3_000 }
    )
  })

  it("of a text that is no JSON is found to an end", () => {
    for (const text of ['"', '"\\', '"\\"', "[", "]]]][", '["\\\\"[']) assert.isBoolean(JsonDepth.isDeeper(text, 1))
  })

  it("refuses half a megabyte of brackets before they are parsed", () => {
    const isTooDeep = JsonDepth.check(64)
    const decoder = new PacketDecoder({ maxAttachments: 10, maxAttachmentBytes: 1, maxDepth: 64, isTooDeep })
    const text = `2["x",${"[".repeat(250_000)}`
    // Without the check it would be no JSON.
    const refused = decoder.text(text)
    assert.isTrue(isProtocolError(refused) && refused.code === "nesting too deep")
    const wide = decoder.text(`2["x",${JSON.stringify(Array.from({ length: 20_000 }, () => [["[[["]]))}]`)
    assert.isFalse(isProtocolError(wide))
  })
})
