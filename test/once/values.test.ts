/**
 * Attributes of messages, and wire values as text.
 */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import { attributesOf, withAttributes } from "../../src/internal/attributes.ts"
import { readValues, writeValues } from "../../src/internal/storedValues.ts"
import { count } from "../support/extent.ts"

describe("the attributes of a message", () => {
  const one = { length: 1 }
  const of = (attributes: unknown) => attributesOf(one, ["order", {}, attributes])

  it("are the texts with known names in an object right after the declared arguments", () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert.deepStrictEqual(of({ id: "a", traceparent, tracestate: "x=1", other: "b" }), {
      id: "a",
      traceparent,
      tracestate: "x=1"
    })
    assert.deepStrictEqual(attributesOf({ length: 0 }, ["tick", { id: "a" }]), { id: "a" })
    assert.deepStrictEqual(attributesOf({ length: 2 }, ["pair", 1, 2, { id: "a" }]), { id: "a" })
    assert.deepStrictEqual(attributesOf({ length: 2 }, ["pair", { id: "a" }]), {})
    assert.deepStrictEqual(attributesOf(one, ["order", {}, {}, { id: "a" }]), {})
  })

  it("are nothing else", () => {
    for (const value of [undefined, null, "id", 5, true, [], ["id"], new Uint8Array(3), new ArrayBuffer(3), {}]) {
      assert.deepStrictEqual(of(value), {})
    }
    for (const id of [5, null, true, {}, ["a"], "x".repeat(257)]) assert.deepStrictEqual(of({ id }), {})
    assert.deepStrictEqual(of({ id: "x".repeat(256), traceparent: 5 }), { id: "x".repeat(256) })
    // Inherited members are none that a client has sent.
    assert.deepStrictEqual(of(Object.create({ id: "inherited" })), {})
    assert.deepStrictEqual(of(JSON.parse('{"__proto__":{"id":"inherited"}}')), {})
  })

  it("come after the arguments, also after those that are left out", () => {
    assert.deepStrictEqual(withAttributes(one, ["order", 1], { id: "a" }), ["order", 1, { id: "a" }])
    assert.deepStrictEqual(withAttributes({ length: 2 }, ["pair", 1], { id: "a" }), ["pair", 1, null, { id: "a" }])
    assert.deepStrictEqual(withAttributes({ length: 0 }, ["tick"], { id: "a" }), ["tick", { id: "a" }])
  })
})

describe("wire values as text", () => {
  it("come back as they were, with bytes anywhere", () => {
    const bytes = fc.uint8Array({ maxLength: 20 })
    const key = fc.oneof(fc.string(), fc.constantFrom("__proto__", "constructor", "toString", "0"))
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: "small" },
        fc.jsonValue({ maxDepth: 2 }),
        bytes,
        fc.array(tie("value"), { maxLength: 4 }),
        fc.dictionary(key, tie("value"), { maxKeys: 4 })
      )
    }))
    fc.assert(
      fc.property(fc.array(value, { maxLength: 4 }), (values) => {
        // As JSON gives objects: with a prototype, and without -0.
        const plain = normalized(values)
        assert.deepStrictEqual(readValues(writeValues(plain as ReadonlyArray<unknown>, true)), plain)
      }),
      { numRuns: count(500, 100) }
    )
  })

  it("take bytes of every kind, and only their visible part", () => {
    const memory = new Uint8Array([1, 2, 3, 4]).buffer
    const read = readValues(writeValues([memory, new Uint8Array(memory, 1, 2), Buffer.from([7])], true))
    assert.deepStrictEqual(read, [new Uint8Array([1, 2, 3, 4]), new Uint8Array([2, 3]), new Uint8Array([7])])
  })

  it("are not made of what cannot be kept", () => {
    assert.throws(() => writeValues([new Blob(["x"])], true), /a Blob cannot be kept/)
    const cycle: Array<unknown> = []
    cycle.push(cycle)
    assert.throws(() => writeValues(cycle, false))
    assert.throws(() => writeValues(cycle, true))
  })

  it("that are damaged are none, and harm nobody", () => {
    for (const text of [
      "",
      "{",
      "null",
      "5",
      "[]",
      "{}",
      "[5]",
      "[{}]",
      "[[1],5]",
      '[[1],[[[0],"?"]]]',
      '[[1],[[["length"],5]]]',
      '[[1],[[[1],"AQ=="]]]',
      '[[1],[[[0,"a"],"AQ=="]]]',
      '[[{}],[[[0,"__proto__","polluted"],"AQ=="]]]'
    ]) {
      assert.isUndefined(readValues(text), text)
    }
    assert.isUndefined(({} as { readonly polluted?: unknown }).polluted)
  })
})

const normalized = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map(normalized)
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? 0 : value
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, normalized(member)]))
}
