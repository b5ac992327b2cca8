/**
 * Generated packets through our codecs and the official ones: the same value, or both refuse; where we are stricter, it is on purpose.
 */
import { assert, describe, it } from "@effect/vitest"
import * as engineParser from "engine.io-parser"
import * as parser from "socket.io-parser"

import { decodePayload } from "../../src/protocol/EnginePayload.ts"
import * as EnginePacket from "../../src/protocol/EnginePacket.ts"
import { PacketDecoder } from "../../src/protocol/PacketDecoder.ts"
import { json } from "../../src/protocol/PacketParser.ts"
import { isProtocolError } from "../../src/protocol/ProtocolError.ts"
import { defaultLimits } from "../../src/protocol/ProtocolLimits.ts"
import type { SocketPacket } from "../../src/protocol/SocketPacket.ts"
import { count } from "../support/extent.ts"
import { stricter } from "../support/strictness.ts"
import { Generator } from "./generators.ts"

const INPUTS = count(100_000, 5_000)

type Outcome = SocketPacket | "refused" | "waiting"

/** The result of a packet's messages. */
const ours = (messages: ReadonlyArray<string | Buffer>): Outcome => {
  const decoder = new PacketDecoder(defaultLimits)
  for (const message of messages) {
    const result = typeof message === "string" ? decoder.text(message) : decoder.binary(message)
    if (isProtocolError(result)) return "refused"
    if (result !== undefined) return result
  }
  return "waiting"
}

const theirs = (messages: ReadonlyArray<string | Buffer>): Outcome => {
  const decoder = new parser.Decoder()
  let decoded: Outcome = "waiting"
  decoder.on("decoded", ({ data, id, nsp, type }: parser.Packet) => {
    // A packet that had attachments is an event or an acknowledgement like others.
    const plain = type === 5 ? 2 : type === 6 ? 3 : type
    decoded = { type: plain as SocketPacket["type"], namespace: nsp, id, data }
  })
  try {
    for (const message of messages) {
      decoder.add(message)
      if (decoded !== "waiting") return decoded
    }
  } catch {
    return "refused"
  }
  return decoded
}

describe(`${INPUTS} generated inputs`, () => {
  it("are packets of Socket.IO to both parsers, or to neither", { timeout: 60_000 }, () => {
    const generator = new Generator(1)
    const counts = { refused: 0, waiting: 0, packets: 0, stricter: 0 }
    for (let i = 0; i < INPUTS; i++) {
      const text = generator.maybeMutated(generator.chance(0.2) ? generator.connect() : generator.packet())
      const messages = [text, ...generator.times(3, () => generator.bytes())]
      const [our, their] = [ours(messages), theirs(messages)]
      if (our === "refused" && their !== "refused") {
        const rule = stricter.find(({ applies }) => applies(text))
        assert.isDefined(rule, `${JSON.stringify(text)} is ${JSON.stringify(their)} to the official parser`)
        counts.stricter++
        continue
      }
      assert.deepStrictEqual(our, their, JSON.stringify(messages))
      counts[typeof our === "string" ? our : "packets"]++
    }
    for (const count of Object.values(counts)) assert.isAbove(count, INPUTS / 200, JSON.stringify(counts))
  })

  it("are written by both parsers the same way, and read by each other", { timeout: 60_000 }, () => {
    const generator = new Generator(2)
    let binary = 0
    for (let i = 0; i < INPUTS / 5; i++) {
      const namespace = generator.pick(["/", "/typed", "/a/b"])
      const id = generator.chance(0.5) ? generator.below(1_000_000) : undefined
      const withBytes = (depth: number): unknown =>
        generator.chance(0.2)
          ? generator.bytes()
          : generator.chance(0.3) && depth > 0
            ? generator.times(3, () => withBytes(depth - 1))
            : generator.chance(0.2) && depth > 0
              ? { a: withBytes(depth - 1), b: withBytes(depth - 1) }
              : generator.value(1)
      const data = ["event", ...generator.times(3, () => withBytes(2))]
      const packet = json.encode({ type: 2, namespace, id, data }, true)
      if (isProtocolError(packet)) assert.fail(packet.message)
      const encoded = [packet.text, ...(packet.attachments ?? [])]
      const official = new parser.Encoder().encode({
        type: 2,
        nsp: namespace,
        data,
        ...(id === undefined ? {} : { id })
      })
      if ((packet.attachments?.length ?? 0) > defaultLimits.maxAttachments) continue
      // The official parser loses what is called so beside attachments.
      if (packet.text?.includes('"__proto__":')) continue
      assert.deepStrictEqual(encoded, official)
      if (encoded.length > 1) binary++
      assert.deepStrictEqual(theirs(encoded as Array<string | Buffer>), ours(official as Array<string | Buffer>))
    }
    assert.isAbove(binary, INPUTS / 100)
  })

  it("are packets of Engine.IO to both parsers, or to neither, one by one and as payloads", { timeout: 60_000 }, () => {
    const generator = new Generator(3)
    const counts = { packets: 0, refused: 0, stricter: 0 }
    for (let i = 0; i < INPUTS; i++) {
      const body = generator.body()
      const their = engineParser.decodePayload(body, "nodebuffer")
      const our: Array<unknown> = []
      const error = decodePayload(body, { maxPackets: Infinity }, (text) => {
        const packet = EnginePacket.decodeText(text)
        our.push(isProtocolError(packet) ? "refused" : packet)
      })
      if (error !== undefined) our.push("refused")
      // The official parser ends with the first bad packet.
      const first = our.indexOf("refused")
      const upTo = first < 0 ? our : our.slice(0, first + 1)
      for (const [at, packet] of upTo.entries()) {
        const other = their[at]!
        const text = body.split("\u001e")[at]!
        if (packet === "refused" && other.type !== "error") {
          // It skips what is not base64.
          assert.isTrue(text.startsWith("b"), JSON.stringify(text))
          counts.stricter++
        } else if (packet === "refused") counts.refused++
        else {
          const { data, type } = packet as EnginePacket.EnginePacket
          const plain = data instanceof Uint8Array ? Buffer.from(data) : data
          assert.deepStrictEqual({ type, data: plain }, { type: other.type as typeof type, data: other.data ?? "" })
          counts.packets++
        }
      }
      if (first < 0) assert.strictEqual(their.length, our.length)
    }
    for (const count of Object.values(counts)) assert.isAbove(count, INPUTS / 200, JSON.stringify(counts))
  })
})

describe("where we are stricter", () => {
  for (const { applies, example, why } of stricter) {
    it(why, () => {
      assert.isTrue(applies(example))
      assert.strictEqual(ours([example, Buffer.from([1])]), "refused")
      assert.notStrictEqual(theirs([example, Buffer.from([1])]), "refused")
    })
  }
})
