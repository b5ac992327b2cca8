/**
 * Binary messages of Engine.IO protocol 3 ("Packet"). Everything else is as in protocol 4:
 * `EnginePacket` reads and writes it.
 *
 * @since 0.1.0
 */
import * as Base64 from "./internal/base64.ts"
import { make, type ProtocolError } from "./ProtocolError.ts"

/** The type of a message: as a byte in binary packets, and as a digit in text. */
const MESSAGE = 4
const MESSAGE_DIGIT = 52
const BINARY_MARK = 98

/**
 * Encodes a binary message for a transport that carries bytes: a byte with the type, then the data.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeBinary = (bytes: Uint8Array): Uint8Array => {
  const frame = new Uint8Array(bytes.length + 1)
  frame[0] = MESSAGE
  frame.set(bytes, 1)
  return frame
}

/**
 * Decodes a binary packet. The result is a view of the frame's memory, not a copy. An empty packet,
 * or a packet that is no message, is an error.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeBinary = (frame: Uint8Array): Uint8Array | ProtocolError => {
  if (frame.length === 0) return make("empty packet")
  return frame[0] === MESSAGE ? frame.subarray(1) : make("unknown packet type", "a binary packet is not a message")
}

/**
 * Encodes a binary message for a transport that carries text: `b`, the digit of the type, and
 * base64.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeBinaryText = (bytes: Uint8Array): string => "b4" + Base64.encode(bytes)

/**
 * Decodes a binary packet in its text form. An empty packet, a packet that is no message, and
 * invalid base64 are errors.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeBinaryText = (packet: string): Uint8Array | ProtocolError => {
  if (packet === "") return make("empty packet")
  if (packet.charCodeAt(0) !== BINARY_MARK || packet.charCodeAt(1) !== MESSAGE_DIGIT) {
    return make("unknown packet type", "a binary packet is not a message")
  }
  return Base64.decode(packet.slice(2)) ?? make("invalid base64", "a binary message is not base64")
}
