/**
 * Base64 as browsers do it, with the one of Node as oracle.
 */
import { afterAll, assert, beforeAll, describe, it, vi } from "@effect/vitest"
import * as fc from "fast-check"

import * as NodeBase64 from "../../src/protocol/internal/base64.ts"

const NodeBuffer = Buffer

/** The last one: its lower bytes are those of base64. */
const refused = [
  "A",
  "AAAAA",
  "AA=",
  "A===",
  "AAA==",
  "=",
  "AA==AA==",
  "A A=",
  "AA==\nAA==",
  "AA.A",
  "ä",
  "\u0141\u0141AA"
]

/** Bytes whose base64 has every character of the alphabet. */
const everyCharacter = Uint8Array.from({ length: 256 * 3 }, (_, i) => (i * 89) ^ (i >> 2))

/** The forms in which base64 is written elsewhere. */
const forms: Readonly<Record<string, (text: string) => string>> = {
  "in lines of 76 characters, with a line break at the end": (text) => text.replaceAll(/.{1,76}/g, "$&\r\n"),
  "in lines that end with a line feed": (text) => text.replaceAll(/.{1,64}/g, "$&\n"),
  "with blanks around it": (text) => ` \t${text} \n`,
  "in the alphabet of URLs": (text) => text.replaceAll("+", "-").replaceAll("/", "_"),
  "in the alphabet of URLs, without padding": (text) =>
    text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")
}

const readsEveryForm = (decode: (text: string) => Uint8Array | undefined) => {
  for (const [form, write] of Object.entries(forms)) {
    it(`reads base64 ${form}, as the official server does`, () => {
      for (const bytes of [everyCharacter, everyCharacter.slice(1), everyCharacter.slice(2), new Uint8Array(1)]) {
        const text = write(NodeBuffer.from(bytes).toString("base64"))
        assert.deepStrictEqual(Uint8Array.from(decode(text)!), bytes)
        assert.isTrue(NodeBuffer.from(text, "base64").equals(bytes))
      }
    })
  }
}

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

  readsEveryForm((text) => base64.decode(text))

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

  readsEveryForm(NodeBase64.decode)

  it("does not mind bits that stand for nothing", () => {
    assert.deepStrictEqual(Array.from(NodeBase64.decode("AB==")!), [0])
  })

  for (const text of refused) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.isUndefined(NodeBase64.decode(text))
    })
  }
})
