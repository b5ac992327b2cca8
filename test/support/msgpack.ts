/**
 * Our parser and the official one in MessagePack, as functions of bytes.
 */
import { createRequire } from "node:module"

import { assert } from "@effect/vitest"
import * as official from "socket.io-msgpack-parser"

import type { DecoderLimits } from "../../src/protocol/PacketDecoder.ts"
import { msgpack } from "../../src/protocol/MsgpackParser.ts"
import { isProtocolError, type ProtocolError } from "../../src/protocol/ProtocolError.ts"
import { defaultLimits } from "../../src/protocol/ProtocolLimits.ts"
import type { SocketPacket } from "../../src/protocol/SocketPacket.ts"

const require = createRequire(createRequire(import.meta.url).resolve("socket.io-msgpack-parser"))

/** The official parser in Node, without its checks. */
export const notepackDecode: (bytes: Buffer) => any = require("notepack.io").decode

/** The official parser in browsers, without its checks: see the package's `browser` field. */
export const browserEncode: (value: unknown) => ArrayBuffer = require("notepack.io/browser/encode.js")
export const browserDecode: (bytes: ArrayBuffer) => any = require("notepack.io/browser/decode.js")

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

export const encode = (packet: Partial<SocketPacket>): Uint8Array<ArrayBuffer> => {
  const result = msgpack.encode({ type: 2, namespace: "/", id: undefined, data: undefined, ...packet }, true)
  if (isProtocolError(result)) throw result
  assert.isUndefined(result.text)
  assert.lengthOf(result.attachments!, 1)
  return result.attachments![0] as Uint8Array<ArrayBuffer>
}

export const decode = (
  message: Uint8Array | string,
  limits: DecoderLimits = defaultLimits
): SocketPacket | ProtocolError | undefined => {
  const decoder = msgpack.makeDecoder(limits)
  const result = decoder.binary(typeof message === "string" ? Buffer.from(message.replaceAll(" ", ""), "hex") : message)
  assert.strictEqual(decoder.pending, 0)
  return result
}

export const code = (result: unknown) => (isProtocolError(result) ? result.code : result)

export const officialEncode = (packet: object): Buffer => {
  const [message] = new official.Encoder().encode(packet) as unknown as [Buffer]
  return message
}

export const officialDecode = (message: Uint8Array): any => {
  let packet: unknown
  const decoder = new official.Decoder()
  decoder.on("decoded", (decoded: unknown) => {
    packet = decoded
  })
  decoder.add(Buffer.from(message))
  return packet
}

/** `{ type: 2, data: ["x", <value>], nsp: "/" }` around a value in hexadecimal digits. */
export const around = (value: string) => `83 a474797065 02 a464617461 92a178 ${value} a36e7370 a12f`.replaceAll(" ", "")

export const encodeValue = (value: unknown) => hex(encode({ data: ["x", value] }))

export const decodeValue = (value: string): unknown => {
  const packet = decode(around(value))
  return isProtocolError(packet) ? packet.code : (packet!.data as ReadonlyArray<unknown>)[1]
}
