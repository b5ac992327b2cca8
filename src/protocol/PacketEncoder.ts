/**
 * Encodes packets of Socket.IO protocol 5 ("Packet encoding").
 *
 * Nothing here throws. A value that cannot be encoded gives a {@link ProtocolError}: circular
 * references, `BigInt`, a `toJSON` or getter that throws, more than 1,000 levels where binary is
 * searched for, and more levels than the stack allows.
 *
 * @since 0.1.0
 */
import { MAX_DEPTH } from "./internal/constants.ts"
import { isObject, notEncodable } from "./internal/packets.ts"
import { ACK, BINARY_EVENT, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT } from "./PacketType.ts"
import type { ProtocolError } from "./ProtocolError.ts"
import type { EncodedPacket, SocketPacket } from "./SocketPacket.ts"

/**
 * Encodes a packet. An EVENT or ACK becomes BINARY_EVENT or BINARY_ACK if there is binary among its
 * arguments: `ArrayBuffer`s, views of them, and `Blob`s. Attachments are views of the same memory,
 * and the `Blob`s themselves. Pass `mayHaveBinary` as false only if there certainly is no binary:
 * it skips the search.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (
  { data, id, namespace, type }: SocketPacket,
  mayHaveBinary: boolean
): EncodedPacket | ProtocolError => {
  const head = (namespace === "/" ? "" : namespace + ",") + (id ?? "")
  const packet: Unfinished = { text: "", attachments: undefined }
  try {
    const value = mayHaveBinary && (type === EVENT || type === ACK) ? withPlaceholders(data as object, packet, 0) : data
    const { attachments } = packet
    const start = attachments ? `${type - EVENT + BINARY_EVENT}${attachments.length}-` : type
    packet.text = start + head + (JSON.stringify(value) ?? "")
    return packet
  } catch (cause) {
    return notEncodable(cause)
  }
}

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeConnect = (
  namespace: string,
  data: Readonly<Record<string, unknown>> | undefined
): EncodedPacket | ProtocolError => encode({ type: CONNECT, namespace, id: undefined, data }, false)

/**
 * `data` is `{ message, data? }`; protocol 4 also allows a string.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeConnectError = (namespace: string, data: unknown): EncodedPacket | ProtocolError =>
  encode({ type: CONNECT_ERROR, namespace, id: undefined, data }, false)

/**
 * @since 0.1.0
 * @category encoding
 */
export const encodeDisconnect = (namespace: string): EncodedPacket =>
  encode({ type: DISCONNECT, namespace, id: undefined, data: undefined }, false) as EncodedPacket

/**
 * Encodes an EVENT; see {@link encode}. `data` is `[name, ...args]`.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeEvent = (
  namespace: string,
  id: number | undefined,
  data: ReadonlyArray<unknown>,
  mayHaveBinary = true
): EncodedPacket | ProtocolError => encode({ type: EVENT, namespace, id, data }, mayHaveBinary)

/**
 * Encodes an ACK; see {@link encode}.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeAck = (
  namespace: string,
  id: number,
  args: ReadonlyArray<unknown>,
  mayHaveBinary = true
): EncodedPacket | ProtocolError => encode({ type: ACK, namespace, id, data: args }, mayHaveBinary)

const isBinary = (value: unknown): value is ArrayBuffer | ArrayBufferView | Blob =>
  ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof Blob

/**
 * Returns the value that `JSON.stringify` would take in place of an object. `toJSON` is called
 * once, and not on its own result.
 */
const jsonValue = (value: object): unknown =>
  typeof (value as { toJSON?: unknown }).toJSON === "function" ? (value as { toJSON: () => unknown }).toJSON() : value

/** A packet that is being encoded. */
interface Unfinished {
  text: string
  attachments: Array<Uint8Array | Blob> | undefined
}

/**
 * Moves the bytes in a value to the packet's attachments. Returns the value with placeholders in
 * their places: a copy, or the value itself if it has no bytes.
 */
const withPlaceholders = (value: object, packet: Unfinished, depth: number): object => {
  if (isBinary(value)) {
    const attachments = (packet.attachments ??= [])
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
  if (depth > MAX_DEPTH) throw new RangeError("nested too deep, or circular")
  const json = jsonValue(value)
  if (!isObject(json)) return value
  if (json !== value && isBinary(json)) return withPlaceholders(json, packet, depth)
  let copy: any
  if (Array.isArray(json)) {
    for (let i = 0; i < json.length; i++) {
      const item: unknown = json[i]
      const placed = isObject(item) ? withPlaceholders(item, packet, depth + 1) : item
      if (placed !== item) (copy ??= json.slice())[i] = placed
    }
  } else {
    for (const key of Object.keys(json)) {
      const item: unknown = (json as Record<string, unknown>)[key]
      const placed = isObject(item) ? withPlaceholders(item, packet, depth + 1) : item
      // A key `__proto__` is an own property of the copy, too: setting it changes no prototype.
      if (placed !== item) (copy ??= { ...json })[key] = placed
    }
  }
  return copy ?? value
}
