import { assert, describe, it } from "@effect/vitest"
import * as parser from "engine.io-parser"
import * as fc from "fast-check"

import * as EnginePacket from "../../src/protocol/EnginePacket.ts"
import * as EnginePayload from "../../src/protocol/EnginePayload.ts"
import { isProtocolError } from "../../src/protocol/ProtocolError.ts"
import { anyText, bytes, settings } from "./arbitraries.ts"

const types = ["open", "close", "ping", "pong", "message", "upgrade", "noop"] as const
const text = fc.string({ unit: "grapheme" })

describe("Engine.IO packets", () => {
  it("writes the open packet with its members in the order of the specification", () => {
    assert.strictEqual(
      EnginePacket.encodeOpen({ maxPayload: 5, pingInterval: 1, pingTimeout: 2, sid: "s", upgrades: ["websocket"] }),
      '0{"sid":"s","upgrades":["websocket"],"pingInterval":1,"pingTimeout":2,"maxPayload":5}'
    )
  })

  it("reads back the open packets that it writes", () => {
    const count = fc.nat()
    fc.assert(
      fc.property(
        fc.record({
          sid: text.filter((sid) => sid !== ""),
          upgrades: fc.array(text),
          pingInterval: count,
          pingTimeout: count,
          maxPayload: count
        }),
        (data) => assert.deepStrictEqual(EnginePacket.decodeOpen(EnginePacket.encodeOpen(data)), data)
      ),
      settings
    )
  })

  it("refuses open packets with missing members or wrong types", () => {
    const good = { sid: "s", upgrades: [], pingInterval: 1, pingTimeout: 2, maxPayload: 5 }
    const bad: ReadonlyArray<unknown> = [
      null,
      [],
      "s",
      ...Object.keys(good)
        .filter((key) => key !== "maxPayload")
        .map((key) => Object.assign({}, good, { [key]: undefined })),
      { ...good, sid: 1 },
      { ...good, sid: "" },
      { ...good, upgrades: "websocket" },
      { ...good, upgrades: [1] },
      { ...good, pingInterval: -1 },
      { ...good, pingTimeout: "2" },
      { ...good, maxPayload: 1.5 },
      { ...good, maxPayload: 1e300 }
    ]
    for (const data of bad) {
      assert.isTrue(isProtocolError(EnginePacket.decodeOpen("0" + JSON.stringify(data))), JSON.stringify(data))
    }
    // Servers of Socket.IO before 4.4 do not say how much they take.
    assert.deepStrictEqual(EnginePacket.decodeOpen("0" + JSON.stringify({ ...good, maxPayload: undefined })), {
      ...good,
      maxPayload: Infinity
    })
    for (const packet of ["", "0", "0{", "1{}", "4" + JSON.stringify(good)]) {
      assert.isTrue(isProtocolError(EnginePacket.decodeOpen(packet)), packet)
    }
  })

  it("reads back every text packet that it writes", () => {
    fc.assert(
      fc.property(fc.constantFrom(...types), text, (type, data) => {
        assert.deepStrictEqual(EnginePacket.decodeText(EnginePacket.encodeText({ type, data })), { type, data })
      }),
      settings
    )
  })

  it("reads back every binary message that it writes as text", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (data) => {
        const decoded = EnginePacket.decodeText(EnginePacket.encodeBinaryText(data))
        assert.isFalse(isProtocolError(decoded))
        assert.deepStrictEqual(Uint8Array.from((decoded as EnginePacket.EnginePacket).data as Uint8Array), data)
      }),
      settings
    )
  })

  it("encodes only the bytes that a view shows", () => {
    const memory = Uint8Array.from([1, 2, 3, 4, 5])
    assert.strictEqual(EnginePacket.encodeBinaryText(memory.subarray(1, 3)), "bAgM=")
  })

  it("takes base64 as peers write it, and nothing else", () => {
    for (const packet of ["bAQ==", "bAQ", "b", "bAQI=", "bAQI", "bAQ I=", "bAQI=\r\n", "bAQ-_"]) {
      assert.isFalse(isProtocolError(EnginePacket.decodeText(packet)), packet)
    }
    for (const packet of ["bA", "bAQ=", "bA===", "b====", "b=AQI", "bAQ.I=", "b\u00e4", "bAQIDA=="]) {
      assert.isTrue(isProtocolError(EnginePacket.decodeText(packet)), packet)
    }
  })

  it("decodes or refuses any text, and never throws", () => {
    fc.assert(
      fc.property(anyText, (packet) => {
        const decoded = EnginePacket.decodeText(packet)
        assert.isTrue(isProtocolError(decoded) || types.includes(decoded.type))
        EnginePacket.decodeOpen(packet)
      }),
      settings
    )
  })

  it("agrees with the official parser, but for base64 that is none", () => {
    fc.assert(
      fc.property(anyText, (packet) => {
        const ours = EnginePacket.decodeText(packet)
        const theirs = parser.decodePacket(packet, "nodebuffer")
        if (packet.startsWith("b")) {
          // The official parser skips what is not base64.
          if (isProtocolError(ours)) return
          assert.deepStrictEqual(Buffer.from(ours.data as Uint8Array), theirs.data as Buffer)
        } else if (isProtocolError(ours)) assert.strictEqual(theirs.type, "error")
        else assert.deepStrictEqual(ours, { type: theirs.type as typeof ours.type, data: theirs.data ?? "" })
      }),
      settings
    )
  })
})

describe("Engine.IO payloads", () => {
  const decode = (payload: string, maxPackets = 100) => {
    const packets: Array<string> = []
    const error = EnginePayload.decodePayload(payload, { maxPackets }, (packet) => packets.push(packet))
    return { packets, error: error?.code }
  }
  const packet = fc.oneof(
    text.map((data) => "4" + data.replaceAll("\x1e", "")),
    bytes.map(EnginePacket.encodeBinaryText)
  )

  it("reads back the payloads that it writes", () => {
    fc.assert(
      fc.property(fc.array(packet, { minLength: 1, maxLength: 20 }), (packets) => {
        assert.deepStrictEqual(decode(EnginePayload.encodePayload(packets)), { packets, error: undefined })
      }),
      settings
    )
  })

  it("delivers what stands before an empty packet", () => {
    assert.deepStrictEqual(decode(""), { packets: [], error: "empty packet" })
    assert.deepStrictEqual(decode("4a\x1e"), { packets: ["4a"], error: "empty packet" })
    assert.deepStrictEqual(decode("4a\x1e\x1e4b"), { packets: ["4a"], error: "empty packet" })
    assert.deepStrictEqual(decode("\x1e4b"), { packets: [], error: "empty packet" })
  })

  it("takes as many packets as the limit allows, and refuses the next", () => {
    assert.deepStrictEqual(decode("4a\x1e4b", 2), { packets: ["4a", "4b"], error: undefined })
    assert.deepStrictEqual(decode("4a\x1e4b\x1e4c", 2), { packets: ["4a", "4b"], error: "too many packets" })
  })

  it("splits any text like the official parser", () => {
    fc.assert(
      fc.property(fc.array(anyText, { maxLength: 4 }), (parts) => {
        const payload = parts.join("\x1e")
        const { packets } = decode(payload, 10_000)
        const theirs = parser.decodePayload(payload, "nodebuffer").filter(({ type }) => type !== "error")
        // The official parser stops at the first bad packet; ours leaves that to the session.
        assert.isAtLeast(packets.length, theirs.length)
        assert.isTrue(payload.startsWith(packets.join("\x1e")))
      }),
      settings
    )
  })
})
