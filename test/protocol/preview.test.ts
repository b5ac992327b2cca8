/**
 * The beginning of a large packet says what the whole would have said, or nothing.
 */
import { assert, describe, it } from "@effect/vitest"

import { msgpack } from "../../src/protocol/MsgpackParser.ts"
import { PacketDecoder } from "../../src/protocol/PacketDecoder.ts"
import { preview } from "../../src/protocol/PacketPreview.ts"
import { isProtocolError } from "../../src/protocol/ProtocolError.ts"
import { defaultLimits } from "../../src/protocol/ProtocolLimits.ts"
import type { SocketPacket } from "../../src/protocol/SocketPacket.ts"

const CONNECT = (namespace: string): SocketPacket => ({ type: 0, namespace, id: undefined, data: undefined })

const EVENT = (name: string, namespace = "/", id?: number): SocketPacket => ({ type: 2, namespace, id, data: [name] })

/** A packet without its payload, as a preview gives it. */
const headOf = ({ data, id, namespace, type }: SocketPacket): SocketPacket =>
  type === 0 ? CONNECT(namespace) : EVENT((data as ReadonlyArray<string>)[0]!, namespace, id)

describe("the preview of a packet in JSON", () => {
  const known: ReadonlyArray<readonly [string, SocketPacket]> = [
    ['0{"a":1}', CONNECT("/")],
    ['0/chat,{"a":1}', CONNECT("/chat")],
    ['0/a{b,{"a":1}', CONNECT("/a{b")],
    ['2["say"]', EVENT("say")],
    ['2["say",1,{}]', EVENT("say")],
    ['27["say",1]', EVENT("say", "/", 7)],
    ['2/chat,0["",1]', EVENT("", "/chat", 0)]
  ]

  it("is the packet without its payload", () => {
    for (const [text, packet] of known) {
      assert.deepStrictEqual(preview(`4${text}`, 1), packet, text)
      const decoded = new PacketDecoder(defaultLimits).text(text)
      assert.isFalse(decoded === undefined || isProtocolError(decoded), text)
      assert.deepStrictEqual(headOf(decoded as SocketPacket), packet, text)
    }
  })

  it("reads nothing of the payload", () => {
    assert.deepStrictEqual(preview('0/chat,{"a', 0), CONNECT("/chat"))
    assert.deepStrictEqual(preview('2["say",{{{', 0), EVENT("say"))
  })

  it("is none of what has to be decoded", () => {
    for (const text of [
      "",
      "0",
      "0/chat",
      '0/chat{"a":1}',
      '01{"a":1}',
      "0[]",
      "1",
      "3[1]",
      '51-["say",{"_placeholder":true,"num":0}]',
      "2[1]",
      '2["disconnect",1]',
      '2["s\\u0061y",1]',
      `2["${"n".repeat(201)}",1]`,
      '2["say"',
      '2["say";1]',
      '2 ["say",1]',
      '29007199254740993["say"]',
      '2/chat["say"]'
    ]) {
      assert.isUndefined(preview(text, 0), text)
    }
  })
})

describe("the preview of a packet in MessagePack", () => {
  const values = [
    [0, 1, -1, -33, 127, 128, 255, 256, 65_535, 65_536, 2 ** 40, -128, -129, -32_769, -(2 ** 40), 1.5],
    [true, false, null, undefined, new Date(7)],
    ["", "é", "x".repeat(31), "x".repeat(40), "x".repeat(300), "x".repeat(70_000)],
    [1, 300, 70_000].map((size) => new Uint8Array(size)),
    [0, 3, 20].map((size) => Array.from({ length: size }, () => ({ a: [1, { b: "c" }] }))),
    [Array<unknown>(70_000).fill(7)],
    [1, 20].map((size) => Object.fromEntries(Array.from({ length: size }, (_, i) => [`k${i}`, [i]])))
  ].flat()
  const encoded = (packet: SocketPacket): Uint8Array => {
    const message = msgpack.encode(packet, true)
    assert.isFalse(isProtocolError(message))
    return (message as { readonly attachments: ReadonlyArray<Uint8Array> }).attachments[0]!
  }
  const previewed = (message: Uint8Array) => msgpack.preview!(message, 0)

  it("is the packet without its payload, whatever that is", () => {
    for (const [i, value] of values.entries()) {
      for (const packet of [
        { type: 2, namespace: "/", id: undefined, data: ["say", value] },
        { type: 2, namespace: "/chat", id: i, data: ["say", value, value] },
        { type: 2, namespace: "/chat", id: i, data: ["n".repeat(40), ...Array<unknown>(20).fill(1)] },
        { type: 0, namespace: "/chat", id: undefined, data: { value } }
      ] as const) {
        assert.deepStrictEqual(previewed(encoded(packet)), headOf(packet), String(i))
      }
    }
  })

  it("is none of what has to be decoded", () => {
    const event = encoded({ type: 2, namespace: "/", id: 1, data: ["say", { a: 1 }] })
    for (let length = 0; length < event.length; length++) assert.isUndefined(previewed(event.subarray(0, length)))
    assert.isUndefined(previewed(Buffer.concat([event, Buffer.of(0)])))
    for (const packet of [
      { type: 1, namespace: "/", id: undefined, data: undefined },
      { type: 3, namespace: "/", id: 1, data: ["say"] },
      { type: 2, namespace: "/", id: undefined, data: [1, "say"] },
      { type: 2, namespace: "/", id: undefined, data: [] },
      { type: 2, namespace: "/", id: undefined, data: ["disconnect"] },
      { type: 2, namespace: "/", id: -1, data: ["say"] },
      { type: 2, namespace: "chat", id: 1, data: ["say"] },
      { type: 0, namespace: "/a,b", id: undefined, data: {} },
      { type: 0, namespace: "/", id: 1, data: {} }
    ] as const) {
      assert.isUndefined(previewed(encoded(packet)), JSON.stringify(packet))
    }
    assert.isUndefined(msgpack.preview!('2["say"]', 0))
  })
})
