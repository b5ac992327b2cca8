/**
 * Payloads of HTTP long-polling in Engine.IO protocol 3 ("Payload"): packets with their lengths
 * before them, as text or as bytes, and the JSONP frame around them ("JSONP").
 *
 * @since 0.1.0
 */
import { decodeBinary } from "./EnginePacketV3.ts"
import { isProtocolError, make, type ProtocolError } from "./ProtocolError.ts"

/**
 * The most digits of a length: as many as the largest number of JavaScript has. The reference stops
 * there, too.
 */
const MAX_LENGTH_DIGITS = 310

const ZERO = 48
const COLON = 58

const STRING = 0
const BINARY = 1
const LENGTH_END = 255
const MESSAGE = 4

/**
 * Joins packets in their text form, each with its length in UTF-16 code units.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodePayload = (packets: ReadonlyArray<string>): string => {
  if (packets.length === 0) return "0:"
  let payload = ""
  for (const packet of packets) payload += packet.length + ":" + packet
  return payload
}

/**
 * Splits a text payload and calls back for every packet in turn. Packets are in their text form and
 * never empty. A malformed payload, or a packet beyond `maxPackets`, ends this with an error; the
 * packets before it have been delivered by then.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodePayload = (
  payload: string,
  limits: { readonly maxPackets: number },
  onPacket: (packet: string) => void
): ProtocolError | undefined => {
  if (payload === "") return make("empty packet", "the payload is empty")
  let position = 0
  for (let count = 1; position < payload.length; count++) {
    if (count > limits.maxPackets) return tooManyPackets(limits.maxPackets)
    const digits = position
    let length = 0
    for (; payload.charCodeAt(position) !== COLON; position++) {
      const digit = payload.charCodeAt(position) - ZERO
      // After the end of the payload `digit` is NaN, which is refused as well.
      if (!(digit >= 0 && digit <= 9)) return malformed("a length is not a number")
      if (position - digits === MAX_LENGTH_DIGITS) return malformed("a length has too many digits")
      length = length * 10 + digit
    }
    if (position === digits) return malformed("a length is missing")
    if (length === 0) return make("empty packet")
    const start = position + 1
    if (length > payload.length - start) return malformed("a packet is shorter than its length")
    position = start + length
    onPacket(payload.slice(start, position))
  }
  return undefined
}

/**
 * Joins packets as bytes: strings are packets in their text form, `Uint8Array`s the data of binary
 * messages. Lengths are in bytes, and lone surrogates become U+FFFD.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeBinaryPayload = (packets: ReadonlyArray<string | Uint8Array>): Uint8Array => {
  const contents = packets.map((packet) => (typeof packet === "string" ? utf8Encoder.encode(packet) : packet))
  const lengths = packets.map((packet, index) => contents[index]!.length + (typeof packet === "string" ? 0 : 1))
  const payload = new Uint8Array(lengths.reduce((size, length) => size + 2 + String(length).length + length, 0))
  let position = 0
  for (const [index, content] of contents.entries()) {
    const isString = typeof packets[index] === "string"
    payload[position++] = isString ? STRING : BINARY
    for (const digit of String(lengths[index])) payload[position++] = Number(digit)
    payload[position++] = LENGTH_END
    if (!isString) payload[position++] = MESSAGE
    payload.set(content, position)
    position += content.length
  }
  return payload
}

/**
 * Splits a payload of bytes and calls back for every packet in turn. Strings are packets in their
 * text form and never empty. `Uint8Array`s are the data of binary messages, as views of the
 * payload's memory. A malformed payload, or a packet beyond `maxPackets`, ends this with an error;
 * the packets before it have been delivered by then.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeBinaryPayload = (
  payload: Uint8Array,
  limits: { readonly maxPackets: number },
  onPacket: (packet: string | Uint8Array) => void
): ProtocolError | undefined => {
  if (payload.length === 0) return make("empty packet", "the payload is empty")
  let position = 0
  for (let count = 1; position < payload.length; count++) {
    if (count > limits.maxPackets) return tooManyPackets(limits.maxPackets)
    const mark = payload[position++]
    if (mark !== STRING && mark !== BINARY) return malformed("a packet is neither string nor binary")
    const digits = position
    let length = 0
    for (; payload[position] !== LENGTH_END; position++) {
      const digit = payload[position]
      if (digit === undefined || digit > 9) return malformed("a length is not a number")
      if (position - digits === MAX_LENGTH_DIGITS) return malformed("a length has too many digits")
      length = length * 10 + digit
    }
    if (position === digits) return malformed("a length is missing")
    if (length === 0) return make("empty packet")
    const start = position + 1
    if (length > payload.length - start) return malformed("a packet is shorter than its length")
    position = start + length
    const content = payload.subarray(start, position)
    const packet = mark === STRING ? decodeUtf8(content) : decodeBinary(content)
    if (isProtocolError(packet)) return packet
    onPacket(packet)
  }
  return undefined
}

const tooManyPackets = (maxPackets: number): ProtocolError =>
  make("too many packets", `more than ${maxPackets} packets`)

const malformed = (message: string): ProtocolError => make("invalid payload", message)

const utf8Encoder = new TextEncoder()
const utf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Decodes UTF-8 strictly, except for surrogates, which become U+FFFD as in the reference. */
const decodeUtf8 = (bytes: Uint8Array): string | ProtocolError => {
  try {
    return utf8Decoder.decode(bytes)
  } catch {
    try {
      return utf8Decoder.decode(withoutSurrogates(bytes))
    } catch {
      return malformed("a packet is not UTF-8")
    }
  }
}

/**
 * Returns a copy with U+FFFD in the place of surrogates. Both take three bytes, and 0xed can only
 * be the first byte of three.
 */
const withoutSurrogates = (bytes: Uint8Array): Uint8Array => {
  // Not with `slice`, because the slice of a Buffer is a view.
  const copy = new Uint8Array(bytes)
  for (let at = copy.indexOf(0xed); at >= 0; at = copy.indexOf(0xed, at + 1)) {
    if ((copy[at + 1]! & 0xe0) === 0xa0 && (copy[at + 2]! & 0xc0) === 0x80) copy.set([0xef, 0xbf, 0xbd], at)
  }
  return copy
}

/**
 * Wraps a payload in the call that a JSONP client runs. `index` is the request's `j`; characters
 * that are not digits are dropped.
 *
 * @since 0.1.0
 * @category encoding
 */
export const jsonpBody = (index: string, payload: string): string => {
  // These two characters may stand in JSON as they are, but not in the JavaScript of old browsers.
  const literal = JSON.stringify(payload).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029")
  return `___eio[${index.replaceAll(/[^0-9]/g, "")}](${literal});`
}

/**
 * Reads the payload from the form that a JSONP client posts: its field `d`, with the original
 * newlines. Returns `undefined` if there is no such field, or several.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeJsonpForm = (body: string): string | undefined => {
  const field = fieldD(body)
  if (field === undefined) return undefined
  const text = new URLSearchParams("d=" + field).get("d")!
  // Clients write a newline as `\n`, because browsers turn newlines in forms into `\r\n`. They
  // write an original `\n` as `\\n`.
  return text.replaceAll(/\\?\\n/g, (escape) => (escape.length === 3 ? "\\n" : "\n"))
}

/** The name of the field `d`, also in its other encoding. */
const FIELD_D = /(?:^|&)(?:d|%64)(?=[=&]|$)/g

/**
 * Returns the value of the only field `d`, still encoded. `URLSearchParams` would take a second for
 * a hostile megabyte of fields, and a loop over the fields 30 ms: the search takes 1 to 4.
 */
const fieldD = (body: string): string | undefined => {
  FIELD_D.lastIndex = 0
  if (!FIELD_D.test(body)) return undefined
  const nameEnd = FIELD_D.lastIndex
  if (FIELD_D.test(body)) return undefined
  const end = body.indexOf("&", nameEnd)
  return body.slice(nameEnd + 1, end < 0 ? body.length : end)
}
