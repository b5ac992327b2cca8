/**
 * The work of both servers for a packet between the application and the transport: the layers of Socket.IO and Engine.IO together.
 */
import { decodePacket, decodePayload, encodePacket, encodePayload, type Packet, type RawData } from "engine.io-parser"
import { Decoder, Encoder, PacketType } from "socket.io-parser"

import { decodeBinaryText, encodeBinaryText } from "../../../src/protocol/EnginePacket.ts"
import * as EnginePayload from "../../../src/protocol/EnginePayload.ts"
import { json } from "../../../src/protocol/PacketParser.ts"
import { isProtocolError } from "../../../src/protocol/ProtocolError.ts"
import { defaultLimits } from "../../../src/protocol/ProtocolLimits.ts"
import type { SocketPacket } from "../../../src/protocol/SocketPacket.ts"

/** A message of a WebSocket: a text with Engine.IO's leading `4`, or bytes. */
export type Message = string | Uint8Array

export interface Codec {
  readonly encode: (packet: SocketPacket) => ReadonlyArray<Message>
  /** Takes messages, and counts the packets that they make. */
  readonly makeDecoder: (onPacket: () => void) => (message: Message) => void
  /** The same for the body of a response or a request of long-polling. */
  readonly encodePayload: (packets: ReadonlyArray<SocketPacket>) => string
  readonly makePayloadDecoder: (onPacket: () => void) => (payload: string) => void
}

const encoder = new Encoder()

const enginePackets = ({ data, id, namespace, type }: SocketPacket): Array<Packet> =>
  encoder
    .encode({ type: type as number as PacketType, nsp: namespace, data, ...(id === undefined ? {} : { id }) })
    .map((data: RawData) => ({ type: "message", data }))

const officialDecoder = (onPacket: () => void) => {
  const decoder = new Decoder()
  decoder.on("decoded", onPacket)
  return decoder
}

export const reference: Codec = {
  encode: (packet) => {
    const messages: Array<Message> = []
    for (const each of enginePackets(packet)) encodePacket(each, true, (message) => messages.push(message))
    return messages
  },
  makeDecoder: (onPacket) => {
    const decoder = officialDecoder(onPacket)
    return (message) => decoder.add(decodePacket(message, "nodebuffer").data)
  },
  encodePayload: (packets) => {
    let payload = ""
    encodePayload(packets.flatMap(enginePackets), (encoded) => {
      payload = encoded
    })
    return payload
  },
  makePayloadDecoder: (onPacket) => {
    const decoder = officialDecoder(onPacket)
    return (payload) => {
      for (const { data } of decodePayload(payload, "nodebuffer")) decoder.add(data)
    }
  }
}

const BASE64 = 98

const encode = (packet: SocketPacket): ReadonlyArray<Message> => {
  // Without a contract's promise that there are no bytes in it.
  const encoded = json.encode(packet, true)
  if (isProtocolError(encoded)) throw encoded
  const text = "4" + encoded.text
  return encoded.attachments === undefined ? [text] : [text, ...(encoded.attachments as ReadonlyArray<Uint8Array>)]
}

export const ours: Codec = {
  encode,
  makeDecoder: (onPacket) => {
    const decoder = json.makeDecoder(defaultLimits)
    return (message) => {
      const packet = typeof message === "string" ? decoder.text(message, 1) : decoder.binary(message)
      if (isProtocolError(packet)) throw packet
      if (packet !== undefined) onPacket()
    }
  },
  encodePayload: (packets) =>
    EnginePayload.encodePayload(
      packets.flatMap(encode).map((message) => (typeof message === "string" ? message : encodeBinaryText(message)))
    ),
  makePayloadDecoder: (onPacket) => {
    const decoder = json.makeDecoder(defaultLimits)
    const take = (text: string) => {
      const bytes = text.charCodeAt(0) === BASE64 ? decodeBinaryText(text) : undefined
      if (isProtocolError(bytes)) throw bytes
      const packet = bytes === undefined ? decoder.text(text, 1) : decoder.binary(bytes)
      if (isProtocolError(packet)) throw packet
      if (packet !== undefined) onPacket()
    }
    const limits = { maxPackets: defaultLimits.maxPacketsPerPayload }
    return (payload) => {
      const error = EnginePayload.decodePayload(payload, limits, take)
      if (error !== undefined) throw error
    }
  }
}
