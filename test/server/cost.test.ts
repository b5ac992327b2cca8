/**
 * The estimated memory of what a client has sent, against that which V8 takes.
 */
import { assert, describe, it } from "@effect/vitest"

import { costOf, costOfDecoded } from "../../src/internal/cost.ts"
import { memoryInUse } from "../support/memory.ts"

const BYTES = 400_000

const many = (count: number, step: number): string =>
  `{${Array.from({ length: count }, (_, i) => `"${i * step}":0`).join()}}`

const nested = (open: string, close: string): string => `${open.repeat(40)}0${close.repeat(40)}`

/** How much of the estimate a value may really take. */
const LEAST = 1 / 5
const MOST = 1.5

describe("the estimated memory of a payload", () => {
  for (const item of [
    "{}",
    "[]",
    "[0]",
    '"two"',
    "1.5",
    '{"a":0}',
    '{"a":{},"b":[]}',
    '{"0":0}',
    '{"9":0}',
    '{"34":0}',
    '{"35":0}',
    '{"9999":0}',
    '{"4294967294":0}',
    '{"4294967295":0}',
    '{"0":0,"1":0,"71":0}',
    '{"25":[]}',
    nested('{"34":', "}"),
    nested('{"a":', "}"),
    nested("[", "]"),
    many(6, 14),
    many(11, 9),
    many(22, 1),
    many(22, 8),
    many(22, 1_000),
    many(300, 1),
    many(300, 7),
    many(300, 1_000)
  ]) {
    it(`is about what V8 takes: ${item.slice(0, 30)}`, () => {
      const text = `[${Array(Math.ceil(BYTES / item.length))
        .fill(item)
        .join()}]`
      const before = memoryInUse()
      const value: unknown = JSON.parse(text)
      const taken = memoryInUse() - before
      const estimate = costOf(value)
      assert.isAtMost(taken, MOST * estimate)
      assert.isAtLeast(taken, LEAST * estimate)
    })
  }

  it("is that of the members for what a schema has made of it", () => {
    class Prompt {
      readonly text = "x".repeat(10_000)
      readonly parts = [{ bytes: new Uint8Array(5_000) }, { at: new Date(0) }]
    }
    assert.isAbove(costOfDecoded(new Prompt()), 15_000)
    assert.isAbove(costOfDecoded([{ prompt: new Prompt() }]), 15_000)
    for (const value of [undefined, null, 1, "text", true, [1, 2.5, "text", [{}]]])
      assert.strictEqual(costOfDecoded(value), costOf(value))
  })

  it("is that of a hidden class for keys that only look like indices", () => {
    const cost = (key: string) => costOf({ [key]: 0 }) - key.length
    for (const key of ["01", "1a", "0x10", "1e3", "-1", "4294967295", "12345678901", "9".repeat(400)]) {
      assert.strictEqual(cost(key), cost("a"), key)
    }
    for (const key of ["0", "1", "34"]) assert.notStrictEqual(cost(key), cost("a"), key)
  })
})
