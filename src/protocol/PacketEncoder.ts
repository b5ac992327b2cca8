/**
 * Encodes packets of Socket.IO protocol 5 ("Packet encoding").
 *
 * Nothing here throws: what cannot be encoded (circular references, `BigInt`, a `toJSON` or getter that throws, nesting
 * beyond what the stack takes) gives a {@link ProtocolError}.
 *
 * @since 0.1.0
 */
import { notEncodable } from "./internal/packets.ts"
import type { ProtocolError } from "./ProtocolError.ts"
import { type EncodedPacket, PacketType } from "./SocketPacket.ts"

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeConnect = (
  namespace: string,
  data: Readonly<Record<string, unknown>> | undefined
): EncodedPacket | ProtocolError => encodeText(PacketType.CONNECT, namespace, data)

/**
 * `data` is `{ message, data? }`; protocol 4 also has a string.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeConnectError = (namespace: string, data: unknown): EncodedPacket | ProtocolError =>
  encodeText(PacketType.CONNECT_ERROR, namespace, data)

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeDisconnect = (namespace: string): EncodedPacket => ({
  text: PacketType.DISCONNECT + prefix(namespace),
  attachments: undefined
})

/**
 * Encodes an EVENT, or a BINARY_EVENT if there is binary among the arguments. `data` is `[name, ...args]`. Binary are
 * `ArrayBuffer`s and views of them, and `Blob`s; attachments are views of the same memory, and the `Blob`s themselves. With
 * `mayHaveBinary` false the search is spared: whoever says so must know.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeEvent = (
  namespace: string,
  id: number | undefined,
  data: ReadonlyArray<unknown>,
  mayHaveBinary = true
): EncodedPacket | ProtocolError =>
  encodeArguments(PacketType.EVENT, PacketType.BINARY_EVENT, namespace, id, data, mayHaveBinary)

/**
 * Encodes an ACK, or a BINARY_ACK if there is binary among the arguments; see {@link encodeEvent}.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeAck = (
  namespace: string,
  id: number,
  args: ReadonlyArray<unknown>,
  mayHaveBinary = true
): EncodedPacket | ProtocolError =>
  encodeArguments(PacketType.ACK, PacketType.BINARY_ACK, namespace, id, args, mayHaveBinary)

const prefix = (namespace: string): string => (namespace === "/" ? "" : namespace + ",")

const encodeText = (type: number, namespace: string, data: unknown): EncodedPacket | ProtocolError => {
  try {
    return { text: type + prefix(namespace) + (data === undefined ? "" : JSON.stringify(data)), attachments: undefined }
  } catch (cause) {
    return notEncodable(cause)
  }
}

const encodeArguments = (
  type: number,
  binaryType: number,
  namespace: string,
  id: number | undefined,
  data: ReadonlyArray<unknown>,
  mayHaveBinary: boolean
): EncodedPacket | ProtocolError => {
  try {
    const suffix = id === undefined ? prefix(namespace) : prefix(namespace) + id
    if (!mayHaveBinary || !hasBinary(data)) {
      return { text: type + suffix + JSON.stringify(data), attachments: undefined }
    }
    const attachments: Array<Uint8Array | Blob> = []
    const text = JSON.stringify(withPlaceholders(data, attachments))
    return { text: `${binaryType}${attachments.length}-${suffix}${text}`, attachments }
  } catch (cause) {
    return notEncodable(cause)
  }
}

const isBinary = (value: object): value is ArrayBuffer | ArrayBufferView | Blob =>
  ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof Blob

/** What `JSON.stringify` would take in the place of an object; `toJSON` is asked once, not for what it returns. */
const jsonValue = (value: object): unknown =>
  typeof (value as { toJSON?: unknown }).toJSON === "function" ? (value as { toJSON: () => unknown }).toJSON() : value

/** Deeper than this a walk looks for cycles; real payloads never get there. */
const CYCLE_DEPTH = 100

const hasBinary = (value: unknown): boolean => typeof value === "object" && value !== null && holdsBinary(value, 0, [])

/** `ancestors` are those deeper than the depth at which cycles are looked for: they tell one from an object that is met twice. */
const holdsBinary = (value: object, depth: number, ancestors: Array<object>): boolean => {
  if (isBinary(value)) return true
  if (depth > CYCLE_DEPTH) {
    if (ancestors.includes(value)) throw new TypeError("circular structure")
    ancestors.push(value)
  }
  const json = jsonValue(value)
  let found = false
  if (typeof json === "object" && json !== null) {
    found = json !== value && isBinary(json)
    // As an array: engines that have met index-like keys in `for…in` are slow in it from then on.
    const items: ReadonlyArray<unknown> = Array.isArray(json) ? json : Object.values(json)
    for (let i = 0; i < items.length && !found; i++) {
      const item = items[i]
      // What is no object needs no call: most of what there is.
      found = typeof item === "object" && item !== null && holdsBinary(item, depth + 1, ancestors)
    }
  }
  if (depth > CYCLE_DEPTH) ancestors.pop()
  return found
}

/**
 * The same value with placeholders for what is binary, depth first. Only what leads to binary is copied; the rest is shared
 * and left to `JSON.stringify`.
 */
const withPlaceholders = (value: unknown, attachments: Array<Uint8Array | Blob>): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (isBinary(value)) {
    attachments.push(
      ArrayBuffer.isView(value)
        ? value instanceof Uint8Array
          ? value
          : new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
        : value instanceof ArrayBuffer
          ? new Uint8Array(value)
          : value
    )
    return { _placeholder: true, num: attachments.length - 1 }
  }
  const json = jsonValue(value)
  if (json !== value && typeof json === "object" && json !== null && isBinary(json)) {
    return withPlaceholders(json, attachments)
  }
  if (Array.isArray(json)) {
    let copy: Array<unknown> | undefined
    for (let i = 0; i < json.length; i++) {
      const item = withPlaceholders(json[i], attachments)
      if (item !== json[i] && copy === undefined) copy = json.slice()
      if (copy !== undefined) copy[i] = item
    }
    return copy ?? json
  }
  if (typeof json !== "object" || json === null) return json
  let copy: Record<string, unknown> | undefined
  for (const key in json) {
    if (!Object.hasOwn(json, key)) continue
    const before = (json as Record<string, unknown>)[key]
    const item = withPlaceholders(before, attachments)
    if (item === before) continue
    // A key `__proto__` is an own property of the copy, too: assigning to it changes no prototype.
    copy ??= { ...json }
    copy[key] = item
  }
  return copy ?? json
}
