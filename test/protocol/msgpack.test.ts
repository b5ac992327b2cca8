import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import { msgpack } from "../../src/protocol/MsgpackParser.ts"
import { defaultLimits } from "../../src/protocol/ProtocolLimits.ts"
import type { SocketPacket } from "../../src/protocol/SocketPacket.ts"
import {
  around,
  browserDecode,
  browserEncode,
  code,
  decode,
  decodeValue,
  encode,
  encodeValue,
  hex,
  officialDecode,
  officialEncode
} from "../support/msgpack.ts"
import { eventName, id, namespace, notepackValue, settings } from "./arbitraries.ts"

describe("encoding packets in MessagePack", () => {
  it("writes one map, with data and id where there are some", () => {
    const forms: ReadonlyArray<readonly [Partial<SocketPacket>, string]> = [
      [{ type: 0 }, "82 a474797065 00 a36e7370 a12f"],
      [{ type: 0, data: { a: 1 } }, "83 a474797065 00 a464617461 81a16101 a36e7370 a12f"],
      [{ type: 1, namespace: "/a" }, "82 a474797065 01 a36e7370 a22f61"],
      [{ type: 2, data: ["x", 1] }, "83 a474797065 02 a464617461 92a17801 a36e7370 a12f"],
      [{ type: 2, data: ["x"], id: 0 }, "84 a474797065 02 a464617461 91a178 a36e7370 a12f a26964 00"],
      [{ type: 3, data: [], id: 256 }, "84 a474797065 03 a464617461 90 a36e7370 a12f a26964 cd0100"],
      [{ type: 4, data: { message: "no" } }, "83 a474797065 04 a464617461 81a76d657373616765a26e6f a36e7370 a12f"]
    ]
    for (const [packet, form] of forms) assert.strictEqual(hex(encode(packet)), form.replaceAll(" ", ""))
  })

  const values: ReadonlyArray<readonly [unknown, string]> = [
    [null, "c0"],
    [true, "c3"],
    [undefined, "d40000"],
    [0, "00"],
    [-0, "00"],
    [127, "7f"],
    [128, "cc80"],
    [256, "cd0100"],
    [65_536, "ce00010000"],
    [2 ** 32 - 1, "ceffffffff"],
    [2 ** 32, "cf0000000100000000"],
    [Number.MAX_SAFE_INTEGER, "cf001fffffffffffff"],
    [-1, "ff"],
    [-32, "e0"],
    [-33, "d0df"],
    [-129, "d1ff7f"],
    [-32_769, "d2ffff7fff"],
    [-(2 ** 31) - 1, "d3ffffffff7fffffff"],
    [Number.MIN_SAFE_INTEGER, "d3ffe0000000000001"],
    [1.5, "cb3ff8000000000000"],
    [NaN, "cb7ff8000000000000"],
    [-Infinity, "cbfff0000000000000"],
    ["", "a0"],
    ["é", "a2c3a9"],
    ["a".repeat(31), "bf" + "61".repeat(31)],
    ["a".repeat(32), "d920" + "61".repeat(32)],
    ["€".repeat(100), "da012c" + "e282ac".repeat(100)],
    ["a".repeat(65_536), "db00010000" + "61".repeat(65_536)],
    [new Date(0), "d7000000000000000000"],
    [new Date(1_700_000_000_123), "d7000000018bcfe5687b"],
    [new Date(-1), "d700ffffffffffffffff"],
    [[], "90"],
    [Array.from({ length: 16 }, () => 1), "dc0010" + "01".repeat(16)],
    [{}, "80"],
    [{ a: undefined, b: [undefined] }, "82a161d40000a16291d40000"],
    // A hole is no value either.
    // oxlint-disable-next-line no-sparse-arrays
    [[1, , 2], "9301d4000002"],
    [{ a: 1, f: () => 1, b: 2 }, "82a16101a16202"],
    [{ toJSON: () => ({ a: new Date(0), toJSON: () => 7 }) }, "07"],
    [new Map([[1, 2]]), "80"]
  ]

  for (const [value, form] of values) {
    it(`writes ${typeof value === "object" ? JSON.stringify(value) : String(value).slice(0, 40)} as notepack does`, () => {
      assert.strictEqual(encodeValue(value), around(form))
      assert.strictEqual(hex(officialEncode({ type: 2, data: ["x", value], nsp: "/" })), around(form))
      assert.strictEqual(hex(new Uint8Array(browserEncode({ type: 2, data: ["x", value], nsp: "/" }))), around(form))
    })
  }

  it("writes what notepack writes for every value that both have a form for", () => {
    fc.assert(
      fc.property(namespace, id, eventName, fc.array(notepackValue, { maxLength: 3 }), (nsp, id, name, args) => {
        const data = [name, ...args]
        const theirs = officialEncode({ type: 2, data, nsp, ...(id === undefined ? {} : { id }) })
        assert.strictEqual(hex(encode({ namespace: nsp, id, data })), hex(theirs))
      }),
      settings
    )
  })

  it("writes exactly what bytes of any kind show, in the form that Node and browsers both read", () => {
    const memory = Uint8Array.from([1, 2, 3, 4]).buffer
    const message = encode({
      data: [
        "x",
        memory,
        new Uint8Array(memory, 1, 2),
        new DataView(memory, 2),
        new Uint16Array(memory),
        Buffer.from([9]),
        new Uint8Array(300).buffer,
        new Uint8Array(70_000)
      ]
    })
    const expected = [[1, 2, 3, 4], [2, 3], [3, 4], [1, 2, 3, 4], [9], Array(300).fill(0), Array(70_000).fill(0)]
    const inNode = officialDecode(message).data.slice(1)
    const inBrowser = browserDecode(message.buffer).data.slice(1)
    for (const value of inNode) assert.instanceOf(value, Buffer)
    for (const value of inBrowser) assert.instanceOf(value, ArrayBuffer)
    assert.deepStrictEqual(
      inNode.map((value: Buffer) => Array.from(value)),
      expected
    )
    assert.deepStrictEqual(
      inBrowser.map((value: ArrayBuffer) => Array.from(new Uint8Array(value))),
      expected
    )
  })

  it("keeps the value where notepack does not: large integers, invalid dates", () => {
    for (const number of [2 ** 53, 2 ** 64, -(2 ** 60), Number.MAX_VALUE]) {
      assert.strictEqual(officialDecode(encode({ data: ["x", number] })).data[1], number)
      assert.deepInclude(decode(encode({ data: ["x", number] })), { data: ["x", number] })
    }
    assert.strictEqual(encodeValue(new Date(NaN)), around("c0"))
  })

  it("writes UTF-8 whatever a string holds, in keys, too", () => {
    const units = fc.array(fc.oneof(fc.nat(0xffff), fc.integer({ min: 0xd800, max: 0xdfff })), { maxLength: 60 })
    fc.assert(
      fc.property(units, (units) => {
        const text = String.fromCharCode(...units)
        const packet = { type: 2, data: ["x", text, { [`a${text}`]: 1 }] }
        const expected = ["x", text.toWellFormed(), { [`a${text.toWellFormed()}`]: 1 }]
        const message = encode(packet as Partial<SocketPacket>)
        assert.deepStrictEqual(officialDecode(message).data, expected)
        assert.deepInclude(decode(message), { data: expected })
        // notepack makes another text of it, but none that is refused.
        assert.deepInclude(decode(officialEncode({ ...packet, nsp: "/" })), { type: 2 })
      }),
      settings
    )
  })

  it("leaves its input as it was", () => {
    const input = ["x", { a: [undefined, new ArrayBuffer(1)], b: { c: 1 } }]
    const copy = structuredClone(input)
    encode({ data: input })
    assert.deepStrictEqual(input, copy)
  })

  it("gives messages that the next ones do not change", () => {
    const first = encode({ data: ["x", "a".repeat(100)] })
    const before = hex(first)
    encode({ data: ["y", "b".repeat(100)] })
    assert.strictEqual(hex(first), before)
    assert.strictEqual(first.byteLength, first.buffer.byteLength)
  })

  it("encodes within encoding, where a getter does", () => {
    let inner = ""
    const outer = encode({
      data: [
        "outer",
        {
          get a() {
            inner = hex(encode({ data: ["x", 1] }))
            return 2
          }
        }
      ]
    })
    assert.strictEqual(inner, around("01"))
    assert.deepInclude(decode(outer), { data: ["outer", { a: 2 }] })
  })

  /** Is found encodable, and is not when its turn comes. */
  const failingLate = () => {
    let reads = 0
    return {
      get a() {
        if (reads++ > 0) throw new Error("no")
        return 1
      }
    }
  }

  it("keeps no memory of a large packet, nor of one that fails", () => {
    setFlagsFromString("--expose-gc")
    const collect: () => void = runInNewContext("gc")
    const bytes = new Uint8Array(20_000_000)
    // In a function of its own, as what it made would stay in reach here.
    const isEncodable = (...rest: ReadonlyArray<unknown>) =>
      code(msgpack.encode({ type: 2, namespace: "/", id: undefined, data: ["x", bytes, ...rest] }, true)) !==
      "not encodable"
    /** The memory of what is in reach: a collection frees some of it only while the next one runs. */
    const held = () => {
      let least = Infinity
      for (let i = 0; i < 10; i++) {
        collect()
        least = Math.min(least, process.memoryUsage().arrayBuffers)
      }
      return least
    }
    const before = held()
    assert.isTrue(isEncodable())
    assert.isBelow(held() - before, 10_000_000)
    assert.isFalse(isEncodable(failingLate()))
    assert.isBelow(held() - before, 10_000_000)
  })

  const circular: Array<unknown> = []
  circular.push({ circular })
  const nested = (levels: number) => {
    let value: unknown = 1
    for (let i = 0; i < levels; i++) value = [value]
    return value
  }
  const fail = () => {
    throw Object.create(null)
  }
  const bad: ReadonlyArray<readonly [string, unknown]> = [
    ["a circular structure", circular],
    ["a circle by toJSON", { toJSON: () => circular }],
    ["a BigInt", 1n],
    ["a symbol", { a: Symbol("a") }],
    ["a function in an array", [() => 1]],
    ["endless nesting", nested(100_000)],
    ["toJSON that throws", { toJSON: fail }],
    [
      "a getter that throws",
      {
        get a() {
          return fail()
        }
      }
    ],
    ["a getter that throws late", [new Uint8Array(3_000), failingLate()]]
  ]
  for (const [what, value] of bad) {
    it(`refuses ${what}, and encodes the next packet`, () => {
      assert.strictEqual(
        code(msgpack.encode({ type: 2, namespace: "/", id: undefined, data: ["x", value] }, true)),
        "not encodable"
      )
      assert.strictEqual(encodeValue(1), around("01"))
    })
  }

  it("encodes a thousand levels", () => {
    assert.deepInclude(decode(encode({ data: ["x", nested(999)] }), { ...defaultLimits, maxDepth: 1_000 }), { type: 2 })
  })
})

describe("decoding packets in MessagePack", () => {
  it("reads every packet that it and the official encoder write, and the other way round", () => {
    fc.assert(
      fc.property(namespace, id, eventName, fc.array(notepackValue, { maxLength: 4 }), (namespace, id, name, args) => {
        const data = [name, ...args]
        const wire = { type: 2, data, nsp: namespace, id }
        assert.deepStrictEqual(decode(Buffer.from(encode({ namespace, id, data }))), { type: 2, namespace, id, data })
        assert.deepStrictEqual(decode(officialEncode(wire)), { type: 2, namespace, id, data })
        assert.deepStrictEqual({ id: undefined, ...officialDecode(encode({ namespace, id, data })) }, wire)
      }),
      settings
    )
  })

  it("reads what the official clients send, with their options and without values", () => {
    const sent: ReadonlyArray<readonly [object, Partial<SocketPacket>]> = [
      [
        { type: 0, data: undefined, options: { compress: true }, nsp: "/" },
        { type: 0, data: undefined }
      ],
      [{ type: 0, data: { pid: undefined, offset: "a" }, nsp: "/" }, { data: { pid: undefined, offset: "a" } }],
      [
        { type: 1, options: { compress: true }, nsp: "/" },
        { type: 1, data: undefined }
      ],
      [
        { type: 1, data: null, nsp: "/" },
        { type: 1, data: undefined }
      ],
      [
        { type: 0, data: null, nsp: "/" },
        { type: 0, data: undefined }
      ],
      [
        { type: 2, data: [1.5], id: undefined, nsp: "/" },
        { data: [1.5], id: undefined }
      ],
      [{ type: 2, data: ["x"], id: null, nsp: "/" }, { id: undefined }],
      [
        { type: 3, data: [], options: { compress: true }, id: 2 ** 53 - 1, nsp: "/a" },
        { type: 3, id: 2 ** 53 - 1 }
      ],
      [
        { nsp: "/a?b=c", type: 4, data: "no" },
        { type: 4, namespace: "/a?b=c", data: "no" }
      ],
      [
        { type: 4, data: { message: "no" }, nsp: "/" },
        { type: 4, data: { message: "no" } }
      ]
    ]
    for (const [packet, expected] of sent) {
      assert.deepInclude(decode(officialEncode(packet)), expected)
      assert.deepInclude(decode(new Uint8Array(browserEncode(packet))), expected)
    }
  })

  it("reads the bytes of an official client in Node and in a browser, of every length", () => {
    for (const length of [0, 1, 2, 4, 7, 8, 9, 16, 255, 256, 65_535, 65_536]) {
      const bytes = Uint8Array.from({ length }, (_, i) => i)
      for (const message of [
        officialEncode({ type: 2, data: ["x", bytes], nsp: "/" }),
        officialEncode({ type: 2, data: ["x", bytes.buffer], nsp: "/" }),
        officialEncode({ type: 2, data: ["x", Buffer.from(bytes)], nsp: "/" }),
        new Uint8Array(browserEncode({ type: 2, data: ["x", bytes.buffer], nsp: "/" }))
      ]) {
        const [, value] = (decode(message) as SocketPacket).data as [string, Uint8Array]
        assert.instanceOf(value, Uint8Array)
        assert.strictEqual(hex(value), hex(bytes))
      }
    }
  })

  it("gives bytes as views of the message", () => {
    const message = Uint8Array.from(Buffer.from(around("c4020102"), "hex"))
    const [, value] = (decode(message) as SocketPacket).data as [string, Uint8Array]
    assert.deepStrictEqual(value, Uint8Array.from([1, 2]))
    assert.strictEqual(value.buffer, message.buffer)
  })

  const forms: ReadonlyArray<readonly [string, unknown]> = [
    ["cc01", 1],
    ["cd0001", 1],
    ["ce00000001", 1],
    ["cf0000000000000001", 1],
    ["cfffffffffffffffff", 2 ** 64],
    ["d001", 1],
    ["d080", -128],
    ["d1ffff", -1],
    ["d2ffffffff", -1],
    ["d3ffffffffffffffff", -1],
    ["d38000000000000000", -(2 ** 63)],
    ["ca3fc00000", 1.5],
    ["cb3ff0000000000000", 1],
    ["d90161", "a"],
    ["da000161", "a"],
    ["db0000000161", "a"],
    ["a3efbbbf", "\ufeff"],
    ["d910efbbbf" + "61".repeat(13), "\ufeff" + "a".repeat(13)],
    ["dc000101", [1]],
    ["dd0000000101", [1]],
    ["de0001a16101", { a: 1 }],
    ["df00000001a16101", { a: 1 }],
    ["820501cb3ff800000000000002", { 5: 1, 1.5: 2 }],
    ["82a16101a16102", { a: 2 }],
    ["d40000", undefined],
    ["d400ff", undefined],
    ["d70000000000000003e8", new Date(1_000)]
  ]

  for (const [form, value] of forms) {
    it(`reads ${form.length > 30 ? form.slice(0, 30) + "…" : form} as notepack does`, () => {
      assert.deepStrictEqual(decodeValue(form), value)
      assert.deepStrictEqual(officialDecode(Buffer.from(around(form), "hex")).data[1], value)
    })
  }

  it("makes every key a member of the object itself", () => {
    const value = decodeValue(
      "82 a95f5f70726f746f5f5f 81a16101 aб".replace("aб", "ab636f6e7374727563746f72 01")
    ) as object
    assert.strictEqual(Object.getPrototypeOf(value), Object.prototype)
    assert.deepStrictEqual(Object.keys(value), ["__proto__", "constructor"])
    assert.isUndefined(({} as { a?: unknown }).a)
    assert.strictEqual(encodeValue(value), around("82a95f5f70726f746f5f5f81a16101ab636f6e7374727563746f7201"))
  })
})
