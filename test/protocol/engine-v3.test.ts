import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"

import * as EnginePacket from "../../src/protocol/EnginePacket.ts"
import * as EnginePacketV3 from "../../src/protocol/EnginePacketV3.ts"
import * as EnginePayloadV3 from "../../src/protocol/EnginePayloadV3.ts"
import { isProtocolError, type ProtocolError } from "../../src/protocol/ProtocolError.ts"
import * as official from "../support/codecsV3.ts"
import { anyText, bytes, settings, text } from "./arbitraries.ts"

const codeOf = (result: unknown) => (isProtocolError(result) ? result.code : undefined)
const hex = (text: string) => Uint8Array.from(text.split(" "), (byte) => Number.parseInt(byte, 16))
/** A payload of one packet that has its length with so many zeros in front. */
const padded = (zeros: number) => Uint8Array.of(0, ...new Uint8Array(zeros), 1, 255, 52)

const types = ["open", "close", "ping", "pong", "message", "upgrade", "noop"] as const
const packet: fc.Arbitrary<EnginePacket.EnginePacket> = fc.oneof(
  fc.record({ type: fc.constantFrom(...types), data: text }),
  fc.record({ type: fc.constant("message" as const), data: bytes })
)
const packets = fc.array(packet, { maxLength: 8 })

/** Packets as the codecs take them, from packets as the official ones take them. */
const asText = ({ data, type }: official.Packet): string =>
  typeof data === "string" ? types.indexOf(type as never) + data : EnginePacketV3.encodeBinaryText(data)
const asContent = (packet: official.Packet): string | Uint8Array =>
  typeof packet.data === "string" ? asText(packet) : packet.data

/** Payloads near the grammar: right ones, and with wrong lengths and contents. */
const nearText = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: packet.map((packet) => EnginePayloadV3.encodePayload([asText(packet)])) },
      { weight: 1, arbitrary: fc.tuple(fc.nat(12), anyText).map(([length, packet]) => `${length}:${packet}`) },
      {
        weight: 1,
        arbitrary: fc.constantFrom("", ":", "2", "02:4a", "3:bXY", "5:b4AQI", "-1:", "999:4", "9".repeat(400))
      }
    ),
    { maxLength: 4 }
  )
  .map((parts) => parts.join(""))
const nearBytes = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: packet.map((packet) => EnginePayloadV3.encodeBinaryPayload([asContent(packet)])) },
      { weight: 1, arbitrary: bytes },
      {
        weight: 1,
        arbitrary: fc
          .tuple(
            fc.constantFrom(0, 1),
            fc.array(fc.constantFrom(0x34, 4, 0xed, 0xa0, 0xbf, 0x80, 0xef, 0xf0, 0xe2, 0xc3))
          )
          .map(([mark, content]) => Uint8Array.of(mark, content.length % 10, 255, ...content))
      }
    ),
    { maxLength: 4 }
  )
  .map((parts) => new Uint8Array(Buffer.concat(parts)))

/** The packets that our codecs deliver of a payload, and the error that ends it. */
const decode = (payload: string | Uint8Array, maxPackets = 1_000) => {
  const packets: Array<string | Uint8Array> = []
  const push = (packet: string | Uint8Array) => packets.push(packet)
  const error =
    typeof payload === "string"
      ? EnginePayloadV3.decodePayload(payload, { maxPackets }, push)
      : EnginePayloadV3.decodeBinaryPayload(payload, { maxPackets }, push)
  return { packets, error: error?.code }
}

/** The same with the packets decoded, up to the first bad one: what the official codecs tell. */
const decodeWhole = (payload: string | Uint8Array): official.Decoded => {
  const { error, packets } = decode(payload, Infinity)
  const decoded: Array<official.Packet> = []
  for (const packet of packets) {
    const one = decodeOne(packet)
    if (isProtocolError(one)) return { packets: decoded, failed: true }
    decoded.push(typeof one.data === "string" ? one : { type: one.type, data: new Uint8Array(one.data) })
  }
  return { packets: decoded, failed: error !== undefined }
}
const decodeOne = (packet: string | Uint8Array): official.Packet | ProtocolError => {
  if (typeof packet === "string" && !packet.startsWith("b")) return EnginePacket.decodeText(packet)
  const data = typeof packet === "string" ? EnginePacketV3.decodeBinaryText(packet) : packet
  return isProtocolError(data) ? data : { type: "message", data }
}

describe("binary packets of Engine.IO 3", () => {
  it("are a byte for the type and the data, as in the protocol's document", () => {
    assert.deepStrictEqual(EnginePacketV3.encodeBinary(hex("00 01 02 03 04 05")), hex("04 00 01 02 03 04 05"))
    assert.deepStrictEqual(EnginePacketV3.decodeBinary(hex("04 00 01 02 03 04 05")), hex("00 01 02 03 04 05"))
  })

  it("are b, the type and base64 in text, as in the protocol's document", () => {
    assert.strictEqual(EnginePacketV3.encodeBinaryText(hex("01 02 03 04")), "b4AQIDBA==")
    const decoded = EnginePacketV3.decodeBinaryText("b4AQIDBA==") as Uint8Array
    assert.deepStrictEqual(new Uint8Array(decoded), hex("01 02 03 04"))
  })

  it("are decoded without a copy, and encoded with one", () => {
    const frame = hex("04 01 02")
    assert.strictEqual((EnginePacketV3.decodeBinary(frame) as Uint8Array).buffer, frame.buffer)
    const data = hex("01 02")
    const encoded = EnginePacketV3.encodeBinary(data)
    data[0] = 9
    assert.deepStrictEqual(encoded, frame)
  })

  it("are read back as they were written, in both forms", () => {
    fc.assert(
      fc.property(bytes, (data) => {
        assert.deepStrictEqual(EnginePacketV3.decodeBinary(EnginePacketV3.encodeBinary(data)), data)
        const decoded = EnginePacketV3.decodeBinaryText(EnginePacketV3.encodeBinaryText(data))
        assert.deepStrictEqual(new Uint8Array(decoded as Uint8Array), data)
      }),
      settings
    )
  })

  it("are only the bytes that a view shows", () => {
    const view = hex("01 02 03 04 05").subarray(1, 3)
    assert.deepStrictEqual(EnginePacketV3.encodeBinary(view), hex("04 02 03"))
    assert.strictEqual(EnginePacketV3.encodeBinaryText(view), "b4AgM=")
    assert.deepStrictEqual(EnginePacketV3.decodeBinary(hex("00 04 07 08").subarray(1, 3)), hex("07"))
  })

  it("are refused unless they are messages", () => {
    assert.strictEqual(codeOf(EnginePacketV3.decodeBinary(new Uint8Array())), "empty packet")
    for (let type = 0; type < 256; type++) {
      const expected = type === 4 ? undefined : "unknown packet type"
      assert.strictEqual(codeOf(EnginePacketV3.decodeBinary(Uint8Array.of(type, 1))), expected, String(type))
    }
    assert.strictEqual(codeOf(EnginePacketV3.decodeBinaryText("")), "empty packet")
    for (const packet of ["b", "b0AQ==", "b3AQ==", "b5", "b6AQ==", "bAQ==", "4AQ==", "B4AQ==", "bb4AQ==", " b4"]) {
      assert.strictEqual(codeOf(EnginePacketV3.decodeBinaryText(packet)), "unknown packet type", packet)
    }
  })

  it("are base64 as peers write it, and nothing else", () => {
    for (const packet of ["b4", "b4AQ==", "b4AQ", "b4AQI=", "b4AQI", "b4AQ I=", "b4AQ-_", "b4AQI=\n"]) {
      assert.isUndefined(codeOf(EnginePacketV3.decodeBinaryText(packet)), packet)
    }
    for (const packet of ["b4A", "b4AQ=", "b4====", "b4AQ.I=", "b4ä", "b4b4AQ=="]) {
      assert.strictEqual(codeOf(EnginePacketV3.decodeBinaryText(packet)), "invalid base64", packet)
    }
  })
})

describe("text payloads of Engine.IO 3", () => {
  it("are as in the protocol's document", () => {
    for (const [packets, payload] of [
      [["4hello", "4€"], "6:4hello2:4€"],
      [["4€", "b4AQIDBA=="], "2:4€10:b4AQIDBA=="],
      [["4hello", "4world"], "6:4hello6:4world"],
      [
        ['0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":5000}'],
        '96:0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":5000}'
      ]
    ] as const) {
      assert.strictEqual(EnginePayloadV3.encodePayload(packets), payload)
      assert.deepStrictEqual(decode(payload), { packets: [...packets], error: undefined })
    }
  })

  it("are read back as they were written", () => {
    fc.assert(
      fc.property(fc.array(packet, { minLength: 1, maxLength: 8 }), (packets) => {
        const texts = packets.map(asText)
        assert.deepStrictEqual(decode(EnginePayloadV3.encodePayload(texts)), { packets: texts, error: undefined })
      }),
      settings
    )
  })

  it("deliver what stands before something malformed, and say what it is", () => {
    for (const [rest, error] of [
      ["0:", "empty packet"],
      ["00:4b", "empty packet"],
      [":4b", "invalid payload"],
      ["4b", "invalid payload"],
      ["2", "invalid payload"],
      ["2 :4b", "invalid payload"],
      ["-2:4b", "invalid payload"],
      ["2.0:4b", "invalid payload"],
      ["\u0662:4b", "invalid payload"],
      ["2/:4b", "invalid payload"],
      ["2;4b", "invalid payload"],
      ["3:4b", "invalid payload"],
      ["2:", "invalid payload"],
      ["9007199254740993:4b", "invalid payload"],
      ["9".repeat(310) + ":4b", "invalid payload"],
      ["0".repeat(310) + "2:4b", "invalid payload"]
    ] as const) {
      assert.deepStrictEqual(decode("2:4a" + rest), { packets: ["4a"], error }, rest)
      assert.deepStrictEqual(decode(rest), { packets: [], error }, rest)
    }
    assert.deepStrictEqual(decode(""), { packets: [], error: "empty packet" })
  })

  it("have lengths of up to 310 digits", () => {
    assert.deepStrictEqual(decode("0".repeat(309) + "2:4a"), { packets: ["4a"], error: undefined })
  })

  it("have as many packets as the limit allows, and no more", () => {
    assert.deepStrictEqual(decode("2:4a2:4b", 2), { packets: ["4a", "4b"], error: undefined })
    assert.deepStrictEqual(decode("2:4a2:4b2:4c", 2), { packets: ["4a", "4b"], error: "too many packets" })
  })

  it("are decoded in linear time, whatever they are", () => {
    const length = 4_000_000
    assert.strictEqual(decode("2:4a".repeat(length / 4), length).packets.length, length / 4)
    for (const hostile of ["0", "9", ":", "4", "2:4"]) decode(hostile.repeat(length), length)
    assert.strictEqual(decode(("0".repeat(309) + "1:4").repeat(length / 312), length).error, undefined)
  })
})

describe("binary payloads of Engine.IO 3", () => {
  it("are as in the protocol's document, with the type that its example leaves out", () => {
    const payload = hex("00 04 ff 34 e2 82 ac 01 05 ff 04 01 02 03 04")
    assert.deepStrictEqual(EnginePayloadV3.encodeBinaryPayload(["4€", hex("01 02 03 04")]), payload)
    assert.deepStrictEqual(decode(payload), { packets: ["4€", hex("01 02 03 04")], error: undefined })
  })

  it("have lengths with a byte for every digit", () => {
    const payload = EnginePayloadV3.encodeBinaryPayload(["4".repeat(102), new Uint8Array(9)])
    assert.deepStrictEqual(payload.subarray(0, 6), hex("00 01 00 02 ff 34"))
    assert.deepStrictEqual(payload.subarray(107, 112), hex("01 01 00 ff 04"))
    assert.deepStrictEqual(decode(payload), { packets: ["4".repeat(102), new Uint8Array(9)], error: undefined })
  })

  it("are read back as they were written, but for lone surrogates", () => {
    fc.assert(
      fc.property(fc.array(packet, { minLength: 1, maxLength: 8 }), (packets) => {
        const contents = packets.map(asContent)
        const expected = contents.map((content) => (typeof content === "string" ? content.toWellFormed() : content))
        assert.deepStrictEqual(decode(EnginePayloadV3.encodeBinaryPayload(contents)), {
          packets: expected,
          error: undefined
        })
      }),
      settings
    )
  })

  it("deliver binary messages without a copy", () => {
    const payload = EnginePayloadV3.encodeBinaryPayload([hex("01 02")])
    const [message] = decode(payload).packets as [Uint8Array]
    assert.strictEqual(message.buffer, payload.buffer)
  })

  it("deliver what stands before something malformed, and say what it is", () => {
    const first = hex("00 02 ff 34 61")
    for (const [rest, error] of [
      [hex("00 00 ff"), "empty packet"],
      [hex("01 00 ff"), "empty packet"],
      [hex("02 02 ff 34 61"), "invalid payload"],
      [hex("ff 02 ff 34 61"), "invalid payload"],
      [hex("00"), "invalid payload"],
      [hex("00 ff 34 61"), "invalid payload"],
      [hex("00 02"), "invalid payload"],
      [hex("00 02 34 61"), "invalid payload"],
      [hex("00 0a ff 34 61 61 61 61 61 61 61 61 61"), "invalid payload"],
      [hex("00 32 ff 34 61"), "invalid payload"],
      [hex("00 02 ff 34"), "invalid payload"],
      [hex("01 02 ff 04"), "invalid payload"],
      [Uint8Array.of(0, ...new Uint8Array(310).fill(9), 255, 52), "invalid payload"],
      [padded(310), "invalid payload"],
      [hex("01 02 ff 34 61"), "unknown packet type"],
      [hex("01 02 ff 02 61"), "unknown packet type"],
      [hex("00 02 ff 34 ff"), "invalid payload"],
      [hex("00 02 ff 34 ed"), "invalid payload"],
      [hex("00 03 ff 34 c0 80"), "invalid payload"],
      [hex("00 03 ff 34 e2 82"), "invalid payload"],
      [hex("00 04 ff 34 ed c0 80"), "invalid payload"],
      [hex("00 04 ff 34 ed e0 80"), "invalid payload"],
      [hex("00 04 ff 34 ed a0 34"), "invalid payload"],
      [hex("00 05 ff 34 f4 90 80 80"), "invalid payload"]
    ] as const) {
      const name = Buffer.from(rest).toString("hex")
      assert.deepStrictEqual(decode(Uint8Array.of(...first, ...rest)), { packets: ["4a"], error }, name)
      assert.deepStrictEqual(decode(rest), { packets: [], error }, name)
    }
    assert.deepStrictEqual(decode(new Uint8Array()), { packets: [], error: "empty packet" })
  })

  it("have lengths of up to 310 digits", () => {
    assert.deepStrictEqual(decode(padded(309)), { packets: ["4"], error: undefined })
  })

  it("have as many packets as the limit allows, and no more", () => {
    const payload = EnginePayloadV3.encodeBinaryPayload(["4a", hex("01"), "4c"])
    assert.deepStrictEqual(decode(payload, 3), { packets: ["4a", hex("01"), "4c"], error: undefined })
    assert.deepStrictEqual(decode(payload, 2), { packets: ["4a", hex("01")], error: "too many packets" })
  })

  it("keep byte order marks, and turn surrogates into U+FFFD without touching the payload", () => {
    const bom = hex("00 04 ff ef bb bf 34")
    assert.deepStrictEqual(decode(bom), { packets: ["\ufeff4"], error: undefined })
    // A Buffer as the request's body comes in; its slices are views.
    const payload = Buffer.from(hex("00 08 ff 34 ed a0 bd ed b8 80 61"))
    const before = payload.toString("hex")
    assert.deepStrictEqual(decode(payload), { packets: ["4\ufffd\ufffda"], error: undefined })
    assert.strictEqual(payload.toString("hex"), before)
  })

  it("are decoded in linear time, whatever they are", () => {
    const length = 4_000_000
    for (const unit of ["00", "01", "ff", "00 01 ff 34", "01 01 ff 04", "00 01 ff"]) {
      decode(Buffer.alloc(length, hex(unit)), length)
    }
    const surrogates = Buffer.concat([hex("00 03 00 00 00 00 00 00 ff"), Buffer.alloc(3_000_000, hex("ed a0 80"))])
    assert.deepStrictEqual(decode(surrogates).packets, ["\ufffd".repeat(1_000_000)])
  })
})

describe("payloads of Engine.IO 3, between us and the official codecs", () => {
  /** Where we refuse what they take. Of all that, they write only what stands for no packets, and do not send it. */
  const stricter: ReadonlyArray<readonly [payload: string | Uint8Array, why: string]> = [
    ["0:", "a list of no packets"],
    ["0:2:4a", "an empty packet"],
    ["2.0:4a", "a length that is no integer"],
    ["+2:4a", "a length with a sign"],
    [" 2\n:4a", "a length with white space"],
    ["0x2:4a", "a hexadecimal length"],
    ["2e0:4a", "a length with an exponent"],
    ["0".repeat(310) + "2:4a", "a length with too many digits"],
    ["6:b1AQ==", "a binary packet that is no message"],
    ["7:b4A%Q==", "base64 that is none"],
    [new Uint8Array(), "no bytes, which are no packets"],
    [hex("02 02 ff 04 61"), "a mark that is neither 0 nor 1"],
    [hex("01 05 ff 04 61"), "a packet that is cut off"],
    [hex("01 02 ff 01 61"), "a binary packet that is no message, in bytes"],
    [padded(310), "a length with too many digits, in bytes"]
  ]

  for (const codec of official.codecs) {
    it(`are written like by ${codec.name}`, () => {
      fc.assert(
        fc.property(packets, (packets) => {
          assert.strictEqual(EnginePayloadV3.encodePayload(packets.map(asText)), codec.encodeText(packets))
          assert.deepStrictEqual(
            EnginePayloadV3.encodeBinaryPayload(packets.map(asContent)),
            codec.encodeBytes(packets)
          )
        }),
        settings
      )
    })

    it(`are read by ${codec.name} as they were written`, () => {
      fc.assert(
        fc.property(packets, (packets) => {
          const textPayload = EnginePayloadV3.encodePayload(packets.map(asText))
          assert.deepStrictEqual(codec.decode(textPayload), { packets, failed: false })
          const payload = EnginePayloadV3.encodeBinaryPayload(packets.map(asContent))
          const expected = packets.map(({ data, type }) => ({
            type,
            data: typeof data === "string" ? data.toWellFormed() : data
          }))
          assert.deepStrictEqual(codec.decode(payload), { packets: expected, failed: false })
        }),
        settings
      )
    })

    it(`are read like by ${codec.name}, and refused if they are not as it writes them`, () => {
      let [read, canonical] = [0, 0]
      fc.assert(
        fc.property(fc.oneof(nearText, nearBytes), (payload) => {
          const ours = decodeWhole(payload)
          const theirs = codec.decode(payload)
          if (!ours.failed) {
            read++
            assert.deepStrictEqual(ours, theirs)
          }
          const encode = typeof payload === "string" ? codec.encodeText : codec.encodeBytes
          const messages = theirs.packets.every(({ data, type }) => typeof data === "string" || type === "message")
          if (theirs.failed || theirs.packets.length === 0 || !messages) return
          if (String(encode(theirs.packets)) !== String(payload)) return
          canonical++
          assert.isFalse(ours.failed)
        }),
        settings
      )
      assert.isAbove(read, 200)
      assert.isAbove(canonical, 200)
    })

    for (const [payload, why] of stricter) {
      it(`are refused where ${codec.name} takes ${why}`, () => {
        assert.isTrue(decodeWhole(payload).failed)
        assert.isFalse(codec.decode(payload).failed)
      })
    }
  }

  it("are read as a browser sends them in a Blob", async () => {
    const packets = [
      { type: "message", data: "€😀" },
      { type: "message", data: hex("01 02 03") }
    ]
    assert.deepStrictEqual(decodeWhole(await official.encodeAsBlob(packets)), { packets, failed: false })
  })
})
