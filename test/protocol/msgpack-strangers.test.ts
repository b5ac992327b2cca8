import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import { msgpack } from "../../src/protocol/MsgpackParser.ts"
import { isProtocolError, type ProtocolError } from "../../src/protocol/ProtocolError.ts"
import { defaultLimits } from "../../src/protocol/ProtocolLimits.ts"
import { RESERVED_EVENTS, type SocketPacket } from "../../src/protocol/SocketPacket.ts"
import {
  around,
  code,
  decode,
  encode,
  hex,
  notepackDecode,
  officialDecode,
  officialEncode
} from "../support/msgpack.ts"
import { bytes, eventName, id, namespace, notepackValue, settings } from "./arbitraries.ts"

describe("what a stranger may send in MessagePack", () => {
  it("takes nesting up to the limit, and refuses one level more", () => {
    const arrays = (levels: number) => around("91".repeat(levels - 2) + "90")
    const maps = (levels: number) => around("81a161".repeat(levels - 2) + "80")
    for (const form of [arrays, maps]) {
      assert.deepInclude(decode(form(defaultLimits.maxDepth)), { type: 2 })
      assert.strictEqual(code(decode(form(defaultLimits.maxDepth + 1))), "nesting too deep")
      assert.strictEqual(code(decode(form(200_000))), "nesting too deep")
      assert.strictEqual(code(decode(form(200_000), { ...defaultLimits, maxDepth: 1e9 })), "nesting too deep")
    }
  })

  it("refuses text", () => {
    const decoder = msgpack.makeDecoder(defaultLimits)
    assert.strictEqual(code(decoder.text('2["x"]', 0)), "unexpected text")
    assert.deepInclude(decoder.binary(encode({ data: ["x"] })), { type: 2 })
  })

  const refusedPackets: ReadonlyArray<readonly [object, ProtocolError["code"]]> = [
    [{ nsp: "/" }, "unknown packet type"],
    [{ type: 5, data: ["x"], nsp: "/" }, "unknown packet type"],
    [{ type: -1, nsp: "/" }, "unknown packet type"],
    [{ type: 0.5, nsp: "/" }, "unknown packet type"],
    [{ type: "0", nsp: "/" }, "unknown packet type"],
    [{ type: null, nsp: "/" }, "unknown packet type"],
    [{ type: 0 }, "illegal namespace"],
    [{ type: 0, nsp: "" }, "illegal namespace"],
    [{ type: 0, nsp: "a" }, "illegal namespace"],
    [{ type: 0, nsp: "/a,b" }, "illegal namespace"],
    [{ type: 0, nsp: ["/"] }, "illegal namespace"],
    [{ type: 2, data: ["x"], nsp: "/", id: -1 }, "illegal id"],
    [{ type: 2, data: ["x"], nsp: "/", id: 0.5 }, "illegal id"],
    [{ type: 2, data: ["x"], nsp: "/", id: 2 ** 53 }, "illegal id"],
    [{ type: 2, data: ["x"], nsp: "/", id: "1" }, "illegal id"],
    [{ type: 2, data: ["x"], nsp: "/", id: NaN }, "illegal id"],
    [{ type: 0, nsp: "/", id: 1 }, "illegal id"],
    [{ type: 1, nsp: "/", id: 1 }, "illegal id"],
    [{ type: 4, data: "no", nsp: "/", id: 1 }, "illegal id"],
    [{ type: 3, data: [], nsp: "/" }, "illegal id"],
    [{ type: 3, data: [], nsp: "/", id: null }, "illegal id"],
    [{ type: 0, data: [], nsp: "/" }, "invalid payload"],
    [{ type: 0, data: "x", nsp: "/" }, "invalid payload"],
    [{ type: 0, data: Buffer.from([1]), nsp: "/" }, "invalid payload"],
    [{ type: 0, data: new Date(0), nsp: "/" }, "invalid payload"],
    [{ type: 1, data: {}, nsp: "/" }, "invalid payload"],
    [{ type: 2, nsp: "/" }, "invalid payload"],
    [{ type: 2, data: null, nsp: "/" }, "invalid payload"],
    [{ type: 2, data: {}, nsp: "/" }, "invalid payload"],
    [{ type: 2, data: [], nsp: "/" }, "invalid payload"],
    [{ type: 2, data: [undefined], nsp: "/" }, "invalid payload"],
    [{ type: 2, data: [["x"]], nsp: "/" }, "invalid payload"],
    [{ type: 2, data: [Buffer.from("x")], nsp: "/" }, "invalid payload"],
    [{ type: 2, data: ["connect"], nsp: "/" }, "invalid payload"],
    [{ type: 2, data: ["disconnecting"], nsp: "/" }, "invalid payload"],
    [{ type: 3, data: {}, nsp: "/", id: 1 }, "invalid payload"],
    [{ type: 3, nsp: "/", id: 1 }, "invalid payload"],
    [{ type: 4, nsp: "/" }, "invalid payload"],
    [{ type: 4, data: null, nsp: "/" }, "invalid payload"],
    [{ type: 4, data: [], nsp: "/" }, "invalid payload"],
    [{ type: 4, data: Buffer.from([1]), nsp: "/" }, "invalid payload"],
    [[{ type: 0, nsp: "/" }], "invalid payload"]
  ]

  for (const [packet, expected] of refusedPackets) {
    it(`refuses ${JSON.stringify(packet)}: ${expected}`, () => {
      assert.strictEqual(code(decode(officialEncode(packet))), expected)
    })
  }

  const refusedForms: ReadonlyArray<readonly [what: string, form: string]> = [
    ["no bytes", ""],
    ["a number", "00"],
    ["an unused byte", around("c1")],
    ["a map cut short", "82a474797065"],
    ["a number cut short", "81a16dcb0000"],
    ["a text cut short", "81a16da561"],
    ["bytes cut short", "81a16dc6ffffffff00"],
    ["an extension cut short", "81a16dc9ffffffff0000"],
    ["a date cut short", "81a16dd7000000"],
    ["two maps", "82a47479706500a36e7370a12f80"],
    ["an array of more items than bytes", "81a16dddffffffff00"],
    ["a map of more members than bytes", "dfffffffffa16100"],
    ["nested claims that are too much together", around("dc0010" + "dc0010".repeat(7))],
    ["an extension of another type", around("d6ff00000000")],
    ["an extension of type 0 in two bytes", around("d5000000")],
    ["a long extension of another type", around("c7010100")],
    ["a date beyond all dates", around("d7007fffffffffffffff")],
    ["a text that is not UTF-8", around("a1ff")],
    ["a long text that is not UTF-8", around("d920" + "61".repeat(31) + "c3")],
    ["a surrogate in UTF-8", around("a3eda080")],
    ["a text that ends within a character", around("a2e282")],
    ["a key that is null", around("81c001")],
    ["a key that is bytes", around("81c4016101")],
    ["a key that is an array", around("8191a16101")]
  ]

  for (const [what, form] of refusedForms) {
    it(`refuses ${what}`, () => {
      assert.strictEqual(code(decode(form)), "invalid payload")
    })
  }

  it("takes memory in proportion to the message, whatever keys and lengths it has", () => {
    const objects = (member: string) => around("dd00004e20" + ("81" + member).repeat(20_000))
    const claims = around("dd01f00000".repeat(60))
    const nestedClaims = around("dd00030000".repeat(60) + "00".repeat(0x30_000))
    for (const message of [objects("a43130303800"), objects("cd03f000"), claims, nestedClaims]) {
      const bytes = Buffer.from(message, "hex")
      const before = process.memoryUsage().heapUsed
      const result = decode(bytes)
      // A table for each of the keys would be 240 MB, an array for each claim even more.
      assert.isBelow(process.memoryUsage().heapUsed - before, 60_000_000)
      assert.isTrue(result !== undefined)
    }
  })

  it("encodes what a peer sent in proportion to it, too", () => {
    const bytes = Buffer.from(around("dc4e20" + "81a431303038d40000".repeat(20_000)), "hex")
    const packet = decode(bytes) as SocketPacket
    const before = process.memoryUsage().heapUsed
    const encoded = encode(packet)
    assert.isBelow(process.memoryUsage().heapUsed - before, 60_000_000)
    assert.isTrue(bytes.equals(encoded))
  })

  /** Where we refuse what the official parser takes, on purpose. */
  const stricter: ReadonlyArray<readonly [why: string, test: (packet: any, error: ProtocolError) => boolean]> = [
    ["nesting beyond the limit", (_, error) => error.code === "nesting too deep"],
    ["an id that is negative or unsafe", ({ id }) => id < 0 || id > Number.MAX_SAFE_INTEGER],
    ["an id where none belongs", ({ id, type }) => id !== undefined && ![2, 3].includes(type)],
    ["an acknowledgement without id", ({ id, type }) => id === undefined && type === 3],
    ["a namespace without slash, or with a comma", ({ nsp }) => !nsp.startsWith("/") || nsp.includes(",")],
    ["an event without a name", ({ data, type }) => type === 2 && !["string", "number"].includes(typeof data[0])],
    ["an event that is reserved", ({ data, type }) => type === 2 && RESERVED_EVENTS.has(data[0])],
    ["extensions, keys and dates of other forms", (_, error) => error.message.endsWith("that is not understood")],
    ["texts that are not UTF-8", (_, error) => error.message.endsWith("that is not UTF-8")]
  ]

  /** Where we take what the official parser refuses: other clients write a value that is absent so. */
  const isNone = ({ data, id, type }: any) => id === null || (data === null && (type === 0 || type === 1))

  it("agrees with the official parser or refuses, on any bytes, and never throws", () => {
    const packet = fc
      .record(
        {
          type: fc.oneof({ arbitrary: fc.nat(4), weight: 9 }, notepackValue),
          data: fc.oneof(
            { arbitrary: fc.tuple(eventName, notepackValue), weight: 3 },
            fc.array(fc.oneof(fc.constantFrom("connect", "disconnect"), notepackValue), { maxLength: 3 }),
            notepackValue
          ),
          nsp: fc.oneof({ arbitrary: namespace, weight: 9 }, notepackValue),
          id: fc.oneof({ arbitrary: id, weight: 9 }, notepackValue)
        },
        { requiredKeys: ["type", "nsp"] }
      )
      .map((packet) => new Uint8Array(officialEncode(packet)))
    const damaged = fc
      .tuple(packet, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat(3))
      .map(([message, changes, cut]) => {
        const copy = message.slice(0, message.length - cut)
        for (const [at, byte] of changes) if (copy.length > 0) copy[at % copy.length] = byte
        return copy
      })
    let agreed = 0
    fc.assert(
      fc.property(fc.oneof(packet, damaged, bytes), (message) => {
        const ours = decode(Buffer.from(message))
        let theirs: any
        // A length that is claimed and not there takes notepack gigabytes.
        if (isProtocolError(ours) && /ends within|nested/.test(ours.message)) return
        try {
          theirs = officialDecode(message)
        } catch (error) {
          assert.isTrue(
            isProtocolError(ours) || isNone(notepackDecode(Buffer.from(message))),
            `${hex(message)}: ${error}`
          )
          return
        }
        if (isProtocolError(ours)) {
          assert.isTrue(
            stricter.some(([, test]) => test(theirs, ours)),
            `${hex(message)}: ${ours.message}`
          )
          return
        }
        agreed++
        const { data, id, nsp, type } = theirs
        assert.deepStrictEqual(ours, { type, namespace: nsp, id: id ?? undefined, data })
      }),
      { ...settings, numRuns: 10_000 }
    )
    assert.isAbove(agreed, 500)
  })
})
