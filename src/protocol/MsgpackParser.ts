/**
 * The MessagePack parser: every packet is one MessagePack map that includes its bytes. It is
 * wire-compatible with `socket.io-msgpack-parser` 3, which clients pass as their `parser`.
 *
 * This module needs the package `@msgpack/msgpack` 3, an optional peer dependency; no other module
 * does.
 *
 * @since 0.1.0
 */
import { Encoder, ExtData } from "@msgpack/msgpack"

import { allowIndexes, isIndexLike, put } from "./internal/members.ts"
import { readHead } from "./internal/msgpackHead.ts"
import { readMap } from "./internal/msgpackReader.ts"
import { checked, notEncodable } from "./internal/packets.ts"
import type { Decoder, PacketParser } from "./PacketParser.ts"
import { isProtocolError, make, type ProtocolError } from "./ProtocolError.ts"
import { CONNECT, EVENT } from "./PacketType.ts"
import { isReservedEvent, type SocketPacket } from "./SocketPacket.ts"

/**
 * The MessagePack parser. The peer must use it, too, or the official one.
 *
 * It sends `{ type, data, nsp, id }`, and omits `data` and `id` where a packet has none. It writes
 * values as the official parser does: integers as integers, other numbers in 64 bits, `undefined`
 * as extension 0 of one byte, dates as extension 0 of eight bytes, objects without their functions,
 * and the result of `toJSON`. It differs where some clients cannot read the official form, or where
 * that form loses the value:
 *
 * - Bytes of any kind (`ArrayBuffer`s, and exactly the visible part of views) are `bin`.
 * - Unsafe integers are 64-bit floats, an invalid date is `null`, half a surrogate pair is U+FFFD.
 * - Functions in arrays, symbols, `BigInt`s, `Blob`s, circular references and more than 1,000
 *   levels cannot be encoded.
 *
 * It accepts every form of MessagePack that the official parser accepts. It ignores unknown members
 * of a packet, such as the `options` of official clients.
 *
 * - Bytes arrive as `Uint8Array`s (in Node as `Buffer`s), whatever form they were sent in. They are
 *   views of the message, which stays in memory as long as one of them does.
 * - Unsafe integers arrive as the nearest number.
 * - `id: null` means no id. In CONNECT and DISCONNECT, `data: null` means no data.
 * - It refuses text messages, strings that are not UTF-8, extensions that the official parser does
 *   not write, and more than `maxDepth` levels in `data`. It also refuses everything that the JSON
 *   parser refuses: reserved events, ids where none belong, namespaces without `/` or with a comma.
 *   The other limits do not apply, as the size of the message bounds its content.
 *
 * @since 0.1.0
 * @category parsers
 */
export const msgpack: PacketParser = {
  encode: ({ data, id, namespace, type }) => {
    try {
      const packet: Record<string, unknown> = { type }
      if (data !== undefined) packet.data = encodable(data, 1)
      packet.nsp = namespace
      if (id !== undefined) packet.id = id
      const bytes = encoder.encode(packet)
      if (bytes.byteLength > LARGE) encoder = makeEncoder()
      return { text: undefined, attachments: [bytes] }
    } catch (cause) {
      encoder = makeEncoder()
      return notEncodable(cause)
    }
  },
  makeDecoder: ({ maxDepth }) => new MsgpackDecoder(maxDepth),
  preview: (message) => (typeof message === "string" ? undefined : preview(message))
}

/** Previews packets whose type comes first, as official clients write them. */
const preview = (message: Uint8Array): SocketPacket | undefined => {
  const head = readHead(message)
  if (head === undefined) return undefined
  const { id, nsp, first, type } = head
  const isConnect = type === CONNECT
  if (!isConnect && (type !== EVENT || typeof first !== "string" || isReservedEvent(first))) return undefined
  if (!isNamespace(nsp) || (id !== undefined && (isConnect || !isId(id)))) return undefined
  return { type, namespace: nsp, id, data: isConnect ? undefined : [first] }
}

class MsgpackDecoder implements Decoder {
  private readonly maxDepth: number

  constructor(maxDepth: number) {
    this.maxDepth = maxDepth
  }

  get pending(): number {
    return 0
  }

  text(): ProtocolError {
    return make("unexpected text")
  }

  binary(bytes: Uint8Array): SocketPacket | ProtocolError {
    const map = readMap(bytes, this.maxDepth)
    if (isProtocolError(map)) return map
    const { data, id, nsp, type } = map
    if (typeof type !== "number" || !isType(type)) return make("unknown packet type")
    if (!isNamespace(nsp)) return make("illegal namespace")
    if (id !== undefined && id !== null && !isId(id)) return make("illegal id")
    return checked(type, nsp, id ?? undefined, data ?? undefined)
  }
}

const SLASH = 47

const isType = (type: number): type is SocketPacket["type"] => Number.isInteger(type) && type >= 0 && type <= 4

const isNamespace = (nsp: unknown): nsp is string =>
  typeof nsp === "string" && nsp.charCodeAt(0) === SLASH && !nsp.includes(",")

const isId = (id: unknown): id is number => Number.isSafeInteger(id) && (id as number) >= 0

/** Stands for `undefined`, for which the encoder has no form. */
const UNDEFINED = {}
const undefinedExtension = new ExtData(0, new Uint8Array(1))

const dateExtension = (date: Date): ExtData => {
  const data = new Uint8Array(8)
  new DataView(data.buffer).setBigInt64(0, BigInt(date.getTime()))
  return new ExtData(0, data)
}

// `encodable` has bounded the depth of the value by then.
const makeEncoder = (): Encoder =>
  new Encoder({
    maxDepth: Infinity,
    extensionCodec: {
      tryToEncode: (value) =>
        value === UNDEFINED ? undefinedExtension : value instanceof Date ? dateExtension(value) : null,
      decode: () => undefined
    }
  })

/**
 * All connections share one encoder. It is reset by each use, and it copies itself if `toJSON` or a
 * getter calls it again.
 */
let encoder = makeEncoder()

/**
 * An encoder keeps the memory of its largest packet. It is replaced after a packet of more bytes
 * than this, or after a failure.
 */
const LARGE = 1_048_576

/**
 * Values nested deeper are not encoded: receivers would refuse them, and a cycle has no end.
 */
const MAX_DEPTH = 1_000

/**
 * Returns the same value without the parts that the encoder would misread: `undefined`, functions,
 * `toJSON`, `ArrayBuffer`s. It copies only the containers that lead to these.
 */
const encodable = (value: unknown, depth: number): unknown => {
  switch (typeof value) {
    case "number":
    case "boolean":
      return value
    case "string":
      return value.isWellFormed() ? value : value.toWellFormed()
    case "undefined":
      return UNDEFINED
    case "object":
      return value === null ? null : encodableObject(value, depth)
    default:
      throw new TypeError(`a ${typeof value}`)
  }
}

const encodableObject = (value: object, depth: number): unknown => {
  if (depth > MAX_DEPTH) throw new RangeError(`nested deeper than ${MAX_DEPTH} levels, or circular`)
  if (Array.isArray(value)) return encodableArray(value, depth)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value
  if (ArrayBuffer.isView(value)) return value
  if (value instanceof ArrayBuffer) return new Uint8Array(value)
  // Encoding is synchronous, and the bytes of a Blob are not.
  if (value instanceof Blob) throw new TypeError("a Blob in MessagePack: read it first")
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") {
    return encodable((value as { toJSON: () => unknown }).toJSON(), depth + 1)
  }
  return encodableMembers(value as Readonly<Record<string, unknown>>, depth)
}

const encodableArray = (array: ReadonlyArray<unknown>, depth: number): ReadonlyArray<unknown> => {
  let copy: Array<unknown> | undefined
  for (let i = 0; i < array.length; i++) {
    const before = array[i]
    const item = encodable(before, depth + 1)
    if (copy === undefined && !Object.is(item, before)) copy = array.slice(0, i)
    copy?.push(item)
  }
  return copy ?? array
}

const encodableMembers = (members: Readonly<Record<string, unknown>>, depth: number): object => {
  const keys = Object.keys(members)
  let copy: Record<string, unknown> | undefined
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!
    const before = members[key]
    const isLeftOut = typeof before === "function"
    const item = isLeftOut ? undefined : encodable(before, depth + 1)
    const isUnicode = key.isWellFormed()
    if (copy === undefined && (!Object.is(item, before) || !isUnicode)) {
      copy = {}
      // Index-like keys come first in an object, so the first key decides.
      if (isIndexLike(keys[0]!)) allowIndexes(copy)
      for (let j = 0; j < i; j++) put(copy, keys[j]!, members[keys[j]!])
    }
    if (copy !== undefined && !isLeftOut) put(copy, isUnicode ? key : key.toWellFormed(), item)
  }
  return copy ?? members
}
