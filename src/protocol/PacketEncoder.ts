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
    if (!mayHaveBinary || !hasBinary(data, undefined)) {
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

/** Ancestors by level, to tell a cycle from an object that is met twice. */
const isCycle = (value: object, ancestors: ReadonlyArray<object>): boolean => ancestors.includes(value)

/** Deeper than this a walk looks for cycles; real payloads never get there. */
const CYCLE_DEPTH = 100

const hasBinary = (value: unknown, ancestors: Array<object> | undefined, depth = 0): boolean => {
  if (typeof value !== "object" || value === null) return false
  if (isBinary(value)) return true
  if (depth > CYCLE_DEPTH) {
    ancestors ??= []
    if (isCycle(value, ancestors)) throw new TypeError("circular structure")
    ancestors.push(value)
  }
  const json = jsonValue(value)
  let found = false
  if (Array.isArray(json)) {
    for (let i = 0; i < json.length && !found; i++) found = hasBinary(json[i], ancestors, depth + 1)
  } else if (typeof json === "object" && json !== null) {
    if (isBinary(json)) return true
    for (const key in json) {
      if (!Object.hasOwn(json, key)) continue
      found = hasBinary((json as Record<string, unknown>)[key], ancestors, depth + 1)
      if (found) break
    }
  }
  if (depth > CYCLE_DEPTH) ancestors!.pop()
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
    // A null prototype, so that a key `__proto__` is a key like any other.
    copy ??= Object.assign(Object.create(null) as Record<string, unknown>, json)
    copy[key] = item
  }
  return copy ?? json
}
