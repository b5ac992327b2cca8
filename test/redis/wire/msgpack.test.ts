/**
 * MessagePack between servers: the same bytes as notepack.io 3, and the same values as both libraries read.
 */
import { createRequire } from "node:module"
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import { decode, encode, uint64 } from "../../../src/protocol/MessagePack.ts"
import { isProtocolError } from "../../../src/protocol/ProtocolError.ts"
import { count } from "../../support/extent.ts"
import { notepackValue, withBinary } from "../../protocol/arbitraries.ts"

const require = createRequire(import.meta.url)
/** Version 3 of notepack.io, and version 2 of @msgpack/msgpack, as the adapters have them. */
const notepack = createRequire(require.resolve("@socket.io/redis-adapter"))("notepack.io")
const msgpack = createRequire(require.resolve("@socket.io/redis-streams-adapter"))("@msgpack/msgpack")
const legacy = require("notepack.io")

const settings = { seed: 20_261_128, numRuns: count(5_000, 500) } as const
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex")

const read = (bytes: Uint8Array, depth = 100) => {
  const decoded = decode(bytes, depth)
  return isProtocolError(decoded) ? decoded : decoded.value
}

describe("MessagePack between servers, written", () => {
  it("has the bytes of notepack.io 3", () => {
    fc.assert(
      fc.property(notepackValue, (value) => {
        assert.strictEqual(hex(encode(value)), hex(notepack.encode(value)))
      }),
      settings
    )
  })

  it("has them for numbers of every size", () => {
    const numbers = [0, 8, 16, 32, 53, 63].flatMap((bits) => [-1, 0, 1].map((more) => 2 ** bits + more))
    for (const number of numbers.flatMap((number) => [number, -number, number / 2, -number - 1])) {
      assert.strictEqual(hex(encode(number)), hex(notepack.encode(number)), String(number))
    }
  })

  it("has them for dates of every size, and for long lists, maps, texts and bytes", () => {
    const dates = [0, 1, 999, 1e12, 1e12 + 1, 2 ** 32 * 1e3, 2 ** 34 * 1e3, -1, -1e15, 8.64e15].map((n) => new Date(n))
    const long = [15, 16, 31, 32, 39, 40, 255, 256, 65_535, 65_536].flatMap((length) => [
      Array.from({ length }, (_, i) => i),
      Object.fromEntries(Array.from({ length }, (_, i) => [`k${i}`, i % 3 === 0 ? undefined : i])),
      "a".repeat(length),
      "é".repeat(length),
      `${"a".repeat(length)}😀`,
      Buffer.alloc(length, 7)
    ])
    for (const value of [...dates, ...long]) assert.strictEqual(hex(encode(value)), hex(notepack.encode(value)))
  })

  it("has every byte of views, which notepack.io damages", () => {
    const { buffer } = Uint8Array.from([9, 1, 2, 3, 4, 9])
    assert.strictEqual(hex(encode(new Uint16Array([1, 256]))), "c40401000001")
    assert.strictEqual(hex(encode(new Float32Array([1.5]))), "c4040000c03f")
    assert.strictEqual(hex(encode(new Uint8Array(buffer, 1, 4))), "c40401020304")
    assert.strictEqual(hex(encode(new DataView(buffer, 1, 4))), "c40401020304")
    assert.strictEqual(hex(encode(buffer)), "c406090102030409")
  })

  it("keeps what notepack.io damages: large numbers, invalid dates, halves of pairs", () => {
    for (const number of [2 ** 64, 1e300, -(2 ** 64)]) assert.strictEqual(msgpack.decode(encode(number)), number)
    assert.strictEqual(hex(encode(new Date(NaN))), "c0")
    for (const text of ["\ud800", "a\udc00b", "\ud800".repeat(50)]) {
      assert.strictEqual(msgpack.decode(encode(text)), text.toWellFormed())
    }
  })

  it("says what JSON says of everything else", () => {
    const value = {
      list: [undefined, () => 1, Symbol("s")],
      gone: undefined,
      f: () => 1,
      s: Symbol("s"),
      map: new Map([[1, 2]]),
      set: new Set([1]),
      nested: { toJSON: () => ({ a: 1 }) },
      zero: -0
    }
    assert.deepStrictEqual(read(encode(value)), JSON.parse(JSON.stringify(value)))
  })

  it("throws on what JSON throws on, and works after that", () => {
    const circular: Array<unknown> = []
    circular.push(circular)
    for (const value of [1n, { a: [1n] }, circular]) assert.throws(() => encode(value))
    assert.strictEqual(hex(encode(1)), "01")
  })

  it("can be written while it is written", () => {
    const value = { a: "x", toJSON: () => [hex(encode({ b: "y".repeat(50) }))] }
    assert.deepStrictEqual(read(encode(["before", value, "after"])), [
      "before",
      [hex(encode({ b: "y".repeat(50) }))],
      "after"
    ])
  })

  it("has numbers of a fixed length", () => {
    assert.strictEqual(hex(encode(uint64(1))), "cf0000000000000001")
    assert.strictEqual(hex(encode(uint64(Number.MAX_SAFE_INTEGER))), "cf001fffffffffffff")
  })
})

describe("MessagePack between servers, read", () => {
  /** Neither library has `undefined`, and both have Buffers or arrays for bytes. */
  const same = (actual: unknown, expected: unknown) => assert.strictEqual(hex(encode(actual)), hex(encode(expected)))

  it("is what both libraries write", () => {
    fc.assert(
      fc.property(withBinary, (value) => {
        assert.deepStrictEqual(
          hex(encode(read(notepack.encode(value)))),
          hex(encode(notepack.decode(notepack.encode(value))))
        )
        same(read(msgpack.encode(value)), value)
      }),
      settings
    )
  })

  it("is read by both libraries as it was", () => {
    fc.assert(
      fc.property(withBinary, (value) => {
        same(msgpack.decode(encode(value)), value)
        same(read(encode(value)), value)
      }),
      settings
    )
  })

  it("has dates, in the form of today and the earlier one, and other earlier forms", () => {
    for (const time of [0, 1, 1e12 + 1, 2 ** 34 * 1e3, -1]) {
      const date = new Date(time)
      assert.deepStrictEqual(read(notepack.encode(date)), date)
      assert.deepStrictEqual(read(msgpack.encode(date)), date)
      assert.deepStrictEqual(read(legacy.encode(date)), date)
    }
    assert.isUndefined(read(legacy.encode(undefined)))
    assert.deepStrictEqual(read(legacy.encode(Uint8Array.from([1, 2]).buffer)), Buffer.from([1, 2]))
  })

  it("has half a pair, which @msgpack/msgpack writes, as U+FFFD", () => {
    assert.match(String(read(msgpack.encode("a\ud800"))), /^a\ufffd+$/)
  })

  it("tells whether bytes are in it", () => {
    assert.deepInclude(decode(encode([{ a: Buffer.from([1]) }]), 9), { hasBinary: true })
    assert.deepInclude(decode(encode([{ a: "x" }]), 9), { hasBinary: false })
  })

  it("does not touch prototypes", () => {
    const value = read(encode(JSON.parse('{"__proto__":{"polluted":1},"a":1}'))) as object
    assert.deepStrictEqual(Object.keys(value), ["__proto__", "a"])
    assert.isUndefined((value as any).polluted)
    assert.strictEqual(Object.getPrototypeOf(value), Object.prototype)
  })

  it("is refused where it is too deep, claims too much, or ends early", () => {
    const deep = (levels: number) => Buffer.concat([Buffer.alloc(levels, 0x91), Buffer.from([0xc0])])
    assert.isFalse(isProtocolError(read(deep(100))))
    for (const bytes of [
      deep(101),
      deep(1_000_000),
      Buffer.from("ddffffffff", "hex"),
      Buffer.from("dfffffffff", "hex"),
      Buffer.from("c6ffffffff00", "hex"),
      Buffer.from("dbffffffff00", "hex"),
      Buffer.from("c7ffff00", "hex"),
      Buffer.from("d5ff0000", "hex"),
      Buffer.from("d400", "hex"),
      Buffer.from("c70dff00000000000000000000000000", "hex"),
      Buffer.from("c1", "hex"),
      Buffer.from("0101", "hex"),
      Buffer.alloc(0)
    ]) {
      assert.isTrue(isProtocolError(read(bytes)), hex(bytes).slice(0, 20))
    }
  })
})
