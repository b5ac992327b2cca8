import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as parser from "socket.io-parser"

import { PacketDecoder } from "../../src/protocol/PacketDecoder.ts"
import * as Encoder from "../../src/protocol/PacketEncoder.ts"
import { isProtocolError, type ProtocolError } from "../../src/protocol/ProtocolError.ts"
import { defaultLimits } from "../../src/protocol/ProtocolLimits.ts"
import type { EncodedPacket, SocketPacket } from "../../src/protocol/SocketPacket.ts"
import { stricter } from "../support/strictness.ts"
import { anyText, bytes, eventName, id, json, namespace, settings, withBinary } from "./arbitraries.ts"

const limits = { ...defaultLimits, maxAttachments: 1_000 }

/** The encoded messages, without Blobs. */
const encoded = (result: EncodedPacket | ProtocolError) => {
  if (isProtocolError(result)) throw result
  const attachments = result.attachments?.map((attachment) => {
    if (attachment instanceof Blob) throw new Error("a Blob")
    return attachment
  })
  return { text: result.text, attachments }
}

/** Decodes a text message and its attachments. */
const decode = (
  text: string,
  attachments: ReadonlyArray<Uint8Array> = [],
  decoder = new PacketDecoder(limits)
): SocketPacket | ProtocolError | undefined => {
  let result = decoder.text(text)
  for (const attachment of attachments) {
    assert.isUndefined(result, "more attachments than were announced")
    result = decoder.binary(attachment)
  }
  return result
}

const roundTrip = (packet: EncodedPacket | ProtocolError) => {
  const { attachments, text } = encoded(packet)
  return decode(text!, attachments)
}

const code = (result: SocketPacket | ProtocolError | undefined) => (isProtocolError(result) ? result.code : result)

describe("encoding Socket.IO packets", () => {
  const form = (packet: EncodedPacket | ProtocolError) => {
    const { attachments, text } = encoded(packet)
    return attachments === undefined ? text : [text, ...attachments]
  }

  it("follows the examples of the specification", () => {
    const one = Uint8Array.from([1])
    const two = Uint8Array.from([2])
    assert.strictEqual(form(Encoder.encodeConnect("/", undefined)), "0")
    assert.strictEqual(form(Encoder.encodeConnect("/admin", { sid: "x" })), '0/admin,{"sid":"x"}')
    assert.strictEqual(form(Encoder.encodeDisconnect("/")), "1")
    assert.strictEqual(form(Encoder.encodeDisconnect("/admin")), "1/admin,")
    assert.strictEqual(form(Encoder.encodeConnectError("/", { message: "no" })), '4{"message":"no"}')
    assert.strictEqual(form(Encoder.encodeEvent("/", undefined, ["foo"])), '2["foo"]')
    assert.strictEqual(form(Encoder.encodeEvent("/admin", 12, ["bar", 1])), '2/admin,12["bar",1]')
    assert.strictEqual(form(Encoder.encodeAck("/admin", 13, ["bar"])), '3/admin,13["bar"]')
    assert.strictEqual(form(Encoder.encodeAck("/", 0, [])), "30[]")
    assert.deepStrictEqual(form(Encoder.encodeEvent("/", undefined, ["baz", one])), [
      '51-["baz",{"_placeholder":true,"num":0}]',
      one
    ])
    assert.deepStrictEqual(form(Encoder.encodeAck("/admin", 456, [one, { nested: [two] }])), [
      '62-/admin,456[{"_placeholder":true,"num":0},{"nested":[{"_placeholder":true,"num":1}]}]',
      one,
      two
    ])
  })

  it("attaches every kind of binary, exactly the bytes that it shows, without copying them", () => {
    const memory = Uint8Array.from([1, 2, 3, 4]).buffer
    const { attachments } = encoded(
      Encoder.encodeEvent("/", undefined, [
        "x",
        memory,
        new Uint8Array(memory, 1, 2),
        new DataView(memory, 2),
        new Uint16Array(memory),
        Buffer.from([9])
      ])
    )
    assert.deepStrictEqual(
      attachments!.map((a) => Array.from(a)),
      [[1, 2, 3, 4], [2, 3], [3, 4], [1, 2, 3, 4], [9]]
    )
    for (const attachment of attachments!.slice(0, 4)) assert.strictEqual(attachment.buffer, memory)
  })

  it("takes Blobs and Files for attachments as they are", () => {
    const blob = new Blob(["abc"])
    const file = new File(["d"], "d.txt")
    assert.deepStrictEqual(Encoder.encodeEvent("/", undefined, ["x", { blob }, new Uint8Array([1]), [file]]), {
      text: '53-["x",{"blob":{"_placeholder":true,"num":0}},{"_placeholder":true,"num":1},[{"_placeholder":true,"num":2}]]',
      attachments: [blob, new Uint8Array([1]), file]
    })
  })

  it("leaves its input as it was", () => {
    const input = ["x", { a: [Uint8Array.from([1])], b: { c: 1 } }]
    const copy = structuredClone(input)
    Encoder.encodeEvent("/", undefined, input)
    assert.deepStrictEqual(input, copy)
  })

  it("attaches bytes of a member __proto__, and sends no inherited ones", () => {
    const one = Uint8Array.from([1])
    const value = JSON.parse('{"__proto__":0,"a":1}')
    Object.defineProperty(value, "__proto__", { value: one })
    const heir = Object.assign(Object.create({ inherited: one }), { b: 2 })
    assert.deepStrictEqual(form(Encoder.encodeEvent("/", undefined, ["x", value, heir])), [
      '51-["x",{"__proto__":{"_placeholder":true,"num":0},"a":1},{"b":2}]',
      one
    ])
    assert.strictEqual(form(Encoder.encodeEvent("/", undefined, ["x", heir])), '2["x",{"b":2}]')
  })

  it("asks toJSON, also where it gives binary", () => {
    const date = new Date(0)
    const wrapped = { toJSON: () => Uint8Array.from([7]) }
    const inner = { toJSON: () => ({ inner: Uint8Array.from([8]) }) }
    assert.strictEqual(form(Encoder.encodeEvent("/", undefined, ["x", date])), `2["x","${date.toISOString()}"]`)
    assert.deepStrictEqual(form(Encoder.encodeEvent("/", undefined, ["x", wrapped, inner])), [
      '52-["x",{"_placeholder":true,"num":0},{"inner":{"_placeholder":true,"num":1}}]',
      Uint8Array.from([7]),
      Uint8Array.from([8])
    ])
  })

  it("refuses what cannot be encoded, instead of throwing", () => {
    const circular: Array<unknown> = ["x"]
    circular.push({ circular })
    const circularWithBinary: Record<string, unknown> = { z: Uint8Array.from([1]) }
    circularWithBinary.a = circularWithBinary
    let deep: unknown = 1
    for (let i = 0; i < 100_000; i++) deep = [deep]
    const bad = [
      circular,
      ["x", circularWithBinary],
      ["x", 1n],
      ["x", deep],
      [
        "x",
        {
          toJSON: () => {
            throw new Error("no")
          }
        }
      ],
      [
        "x",
        {
          get a() {
            throw new Error("no")
          }
        }
      ]
    ]
    for (const data of bad) {
      for (const mayHaveBinary of [true, false]) {
        const result = Encoder.encodeEvent("/", undefined, data, mayHaveBinary)
        // Without the search for it, binary is not found where it is: that is what the caller has promised.
        if (mayHaveBinary || !isProtocolError(Encoder.encodeEvent("/", undefined, data, false))) {
          assert.isTrue(isProtocolError(Encoder.encodeEvent("/", undefined, data, true)))
        }
        assert.isTrue(isProtocolError(result) || typeof result.text === "string")
      }
    }
    assert.isTrue(isProtocolError(Encoder.encodeConnect("/", { a: 1n })))
    assert.isTrue(isProtocolError(Encoder.encodeConnectError("/", { message: "", data: 1n })))
  })

  it("writes what the official parser writes", () => {
    fc.assert(
      fc.property(namespace, id, eventName, fc.array(withBinary, { maxLength: 3 }), (nsp, id, name, args) => {
        const data = [name, ...args]
        const theirs = new parser.Encoder().encode({
          type: parser.PacketType.EVENT,
          nsp,
          data,
          ...(id === undefined ? {} : { id })
        })
        const { attachments, text } = encoded(Encoder.encodeEvent(nsp, id, data))
        assert.strictEqual(text, theirs[0])
        assert.deepStrictEqual(attachments ?? [], theirs.slice(1))
      }),
      settings
    )
  })
})

describe("decoding Socket.IO packets", () => {
  it("reads back every event that it writes", () => {
    fc.assert(
      fc.property(namespace, id, eventName, fc.array(withBinary, { maxLength: 4 }), (namespace, id, name, args) => {
        const data = [name, ...args]
        assert.deepStrictEqual(roundTrip(Encoder.encodeEvent(namespace, id, data)), { type: 2, namespace, id, data })
      }),
      settings
    )
  })

  it("reads back every acknowledgement that it writes", () => {
    fc.assert(
      fc.property(namespace, fc.nat(), fc.array(withBinary, { maxLength: 4 }), (namespace, id, data) => {
        assert.deepStrictEqual(roundTrip(Encoder.encodeAck(namespace, id, data)), { type: 3, namespace, id, data })
      }),
      settings
    )
  })

  it("reads back what opens, refuses and ends a namespace", () => {
    fc.assert(
      fc.property(namespace, fc.dictionary(fc.string(), json, { noNullPrototype: true }), (namespace, data) => {
        const id = undefined
        assert.deepStrictEqual(roundTrip(Encoder.encodeConnect(namespace, data)), { type: 0, namespace, id, data })
        assert.deepStrictEqual(roundTrip(Encoder.encodeConnect(namespace, undefined)), {
          type: 0,
          namespace,
          id,
          data: undefined
        })
        assert.deepStrictEqual(roundTrip(Encoder.encodeDisconnect(namespace)), {
          type: 1,
          namespace,
          id,
          data: undefined
        })
        const error = { message: "no", data }
        assert.deepStrictEqual(roundTrip(Encoder.encodeConnectError(namespace, error)), {
          type: 4,
          namespace,
          id,
          data: error
        })
      }),
      settings
    )
  })

  it("starts at an offset", () => {
    assert.deepStrictEqual(new PacketDecoder(limits).text('42/a,7["x"]', 1), {
      type: 2,
      namespace: "/a",
      id: 7,
      data: ["x"]
    })
  })

  it("tells namespaces apart, whatever the packet before was for", () => {
    const names = ["/", "/a", "/ab", "/a?b=c", `/${"x".repeat(300)}`, "/a,", "/é"]
    const decoder = new PacketDecoder(defaultLimits)
    for (const before of names) {
      for (const name of names) {
        for (const [text, type] of [
          [`0${name}`, 0],
          [`2${name},["e"]`, 2]
        ] as const) {
          decoder.text(`1${before},`)
          const expected = name === "/a," ? "/a" : name
          if (name === "/a," && type === 2) continue
          const packet = decoder.text(`4${text}`, 1) as SocketPacket
          assert.deepStrictEqual([packet.type, packet.namespace], [type, expected], `${text} after ${before}`)
        }
      }
    }
  })

  it("takes a namespace without a comma, and a query as part of it", () => {
    assert.deepInclude(decode("0/a"), { namespace: "/a", data: undefined })
    assert.deepInclude(decode('0/a?token=1,{"b":2}'), { namespace: "/a?token=1", data: { b: 2 } })
    assert.deepInclude(decode("1/a"), { type: 1, namespace: "/a" })
  })

  it("takes numbers as event names", () => {
    assert.deepInclude(decode("2[1.5,2]"), { data: [1.5, 2] })
  })

  it("refuses an attachment that two placeholders name, or none", () => {
    const attachments = [Uint8Array.from([1]), Uint8Array.from([2])]
    const [first, second] = [0, 1].map((num) => `{"_placeholder":true,"num":${num}}`)
    for (const args of [[second, second], [first, second, first], [first], [`[${second}]`], []]) {
      assert.deepInclude(
        decode(`52-${JSON.stringify(["x"]).slice(0, -1)}${args.map((arg) => `,${arg}`).join("")}]`, attachments),
        {
          code: "illegal attachments"
        }
      )
    }
    const [a, b] = attachments
    assert.deepInclude(decode(`52-["x",${second},{"a":[${first}]}]`, attachments), { data: ["x", b, { a: [a] }] })
  })

  it("leaves placeholders in a plain event alone", () => {
    assert.deepInclude(decode('2["x",{"_placeholder":true,"num":0}]'), {
      data: ["x", { _placeholder: true, num: 0 }]
    })
  })

  it("changes no prototype", () => {
    const result = decode('51-["x",{"__proto__":{"_placeholder":true,"num":0},"a":1}]', [Uint8Array.from([1])])
    const value = ((result as SocketPacket).data as ReadonlyArray<object>)[1]!
    assert.strictEqual(Object.getPrototypeOf(value), Object.prototype)
    assert.isTrue(Object.hasOwn(value, "__proto__"))
    assert.isUndefined(({} as { _placeholder?: unknown })._placeholder)
  })

  const refused: ReadonlyArray<readonly [text: string, code: ProtocolError["code"]]> = [
    ["", "unknown packet type"],
    ["7", "unknown packet type"],
    ["a", "unknown packet type"],
    ["-1", "unknown packet type"],
    ["0[]", "invalid payload"],
    ['0"x"', "invalid payload"],
    ["0null", "invalid payload"],
    ["0{", "invalid payload"],
    ["07{}", "illegal id"],
    ["1{}", "invalid payload"],
    ["2", "invalid payload"],
    ["2/a,", "invalid payload"],
    ["2[]", "invalid payload"],
    ["2{}", "invalid payload"],
    ["2[null]", "invalid payload"],
    ["2[true]", "invalid payload"],
    ['2[{"toString":"foo"}]', "invalid payload"],
    ['2[["x"]]', "invalid payload"],
    ['2["connect"]', "invalid payload"],
    ['2["disconnecting"]', "invalid payload"],
    ['2 7["x"]', "invalid payload"],
    ['2-1["x"]', "invalid payload"],
    ['21e3["x"]', "invalid payload"],
    ['29007199254740993["x"]', "illegal id"],
    [`2${"9".repeat(100_000)}["x"]`, "illegal id"],
    ['2["x"', "invalid payload"],
    ['2["x"]]', "invalid payload"],
    ["3[]", "illegal id"],
    ["31", "invalid payload"],
    ["31{}", "invalid payload"],
    ["4[]", "invalid payload"],
    ["4", "invalid payload"],
    ["4null", "invalid payload"],
    ['5["x"]', "illegal attachments"],
    ['5-["x"]', "illegal attachments"],
    ['50-["x"]', "illegal attachments"],
    ['501-["x"]', "illegal attachments"],
    ['5-1-["x"]', "illegal attachments"],
    ['51e0-["x"]', "illegal attachments"],
    ['5 1-["x"]', "illegal attachments"],
    ["51", "illegal attachments"],
    ['51001-["x"]', "too many attachments"],
    [`5${"9".repeat(100_000)}-["x"]`, "too many attachments"],
    ["51-", "invalid payload"],
    ['51-["connect"]', "invalid payload"],
    ["61-[]", "illegal id"],
    ["61-1{}", "invalid payload"],
    // The official parser reads an id of 0.
    ['2 ["a"]', "invalid payload"],
    ["0\n{}", "invalid payload"]
  ]

  for (const [text, expected] of refused) {
    it(`refuses ${JSON.stringify(text.length > 40 ? text.slice(0, 40) + "…" : text)}: ${expected}`, () => {
      assert.strictEqual(code(decode(text)), expected)
    })
  }

  for (const num of ['"splice"', '"0"', "-1", "1", "0.5", "null", "1e400", "[0]"]) {
    it(`refuses a placeholder with num ${num}`, () => {
      const result = decode(`51-["x",{"a":[{"_placeholder":true,"num":${num}}]}]`, [Uint8Array.from([1])])
      assert.strictEqual(code(result), "illegal attachments")
    })
  }

  it("refuses an event whose name is an attachment", () => {
    assert.strictEqual(code(decode('51-[{"_placeholder":true,"num":0}]')), "invalid payload")
  })

  it("refuses text while attachments are awaited, and binary while none are", () => {
    const decoder = new PacketDecoder(limits)
    assert.strictEqual(code(decoder.binary(Uint8Array.from([1]))), "unexpected binary")
    assert.isUndefined(decoder.text('52-["x"]'))
    assert.isUndefined(decoder.binary(Uint8Array.from([1])))
    assert.strictEqual(decoder.pending, 1)
    assert.strictEqual(code(decoder.text('2["y"]')), "text while attachments pending")
    assert.strictEqual(decoder.pending, 0)
    assert.strictEqual(code(decoder.binary(Uint8Array.from([1]))), "unexpected binary")
  })

  it("refuses attachments that are too large together", () => {
    const decoder = new PacketDecoder({ ...limits, maxAttachmentBytes: 10 })
    assert.isUndefined(decoder.text('53-["x"]'))
    assert.isUndefined(decoder.binary(new Uint8Array(10)))
    assert.strictEqual(code(decoder.binary(new Uint8Array(1))), "attachments too large")
    assert.strictEqual(decoder.pending, 0)
  })

  it("takes nesting up to the limit, and refuses one level more", () => {
    const nested = (depth: number) => `2["x",${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}]`
    const objects = (depth: number) => `2["x",${'{"a":'.repeat(depth - 1)}1${"}".repeat(depth - 1)}]`
    for (const form of [nested, objects]) {
      assert.deepInclude(decode(form(defaultLimits.maxDepth)), { type: 2 })
      assert.strictEqual(code(decode(form(defaultLimits.maxDepth + 1))), "nesting too deep")
      assert.strictEqual(code(decode(form(200_000))), "nesting too deep")
    }
  })

  it("decodes or refuses any text and any attachments, and never throws", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(anyText, bytes), { maxLength: 6 }), (messages) => {
        const decoder = new PacketDecoder(defaultLimits)
        for (const message of messages) {
          const result = typeof message === "string" ? decoder.text(message) : decoder.binary(message)
          assert.isTrue(result === undefined || isProtocolError(result) || [0, 1, 2, 3, 4].includes(result.type))
          assert.isAtMost(decoder.pending, defaultLimits.maxAttachments)
        }
      }),
      { ...settings, numRuns: 10_000 }
    )
  })

  it("agrees with the official parser, but where it is stricter on purpose", () => {
    let agreed = 0
    fc.assert(
      fc.property(anyText, (text) => {
        const ours = new PacketDecoder(defaultLimits).text(text)
        let theirs: unknown
        let refusal: unknown
        const decoder = new parser.Decoder()
        decoder.on("decoded", (packet: unknown) => {
          theirs = packet
        })
        try {
          decoder.add(text)
        } catch (error) {
          refusal = error
        }
        if (isProtocolError(ours)) {
          if (refusal === undefined) {
            assert.isTrue(
              stricter.some(({ applies }) => applies(text)),
              `${JSON.stringify(text)}: ${ours.message}`
            )
          } else agreed++
          return
        }
        assert.isUndefined(refusal, `${JSON.stringify(text)} is refused by the official parser`)
        if (ours === undefined) return assert.isUndefined(theirs)
        agreed++
        const { data, id, nsp, type } = theirs as { data?: unknown; id?: number; nsp: string; type: number }
        assert.deepStrictEqual(ours, { type: type as SocketPacket["type"], namespace: nsp, id, data })
      }),
      { ...settings, numRuns: 10_000 }
    )
    assert.isAbove(agreed, 1_000)
  })
})
