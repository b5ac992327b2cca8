/**
 * Packets of Engine.IO protocol 4 ("Packet encoding"): a digit for the type, followed by the data.
 *
 * @since 0.1.0
 */
import * as Base64 from "./internal/base64.ts"
import { isProtocolError, make, type ProtocolError } from "./ProtocolError.ts"

/**
 * @since 0.1.0
 * @category models
 */
export type EnginePacketType = "open" | "close" | "ping" | "pong" | "message" | "upgrade" | "noop"

/**
 * A decoded packet. Only messages can be binary.
 *
 * @since 0.1.0
 * @category models
 */
export interface EnginePacket {
  readonly type: EnginePacketType
  readonly data: string | Uint8Array
}

/**
 * The content of the server's open packet: durations in milliseconds, `maxPayload` in bytes.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenData {
  readonly sid: string
  readonly upgrades: ReadonlyArray<string>
  readonly pingInterval: number
  readonly pingTimeout: number
  readonly maxPayload: number
}

const types: ReadonlyArray<EnginePacketType> = ["open", "close", "ping", "pong", "message", "upgrade", "noop"]

/**
 * Encodes the open packet.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeOpen = ({ maxPayload, pingInterval, pingTimeout, sid, upgrades }: OpenData): string =>
  "0" + JSON.stringify({ sid, upgrades, pingInterval, pingTimeout, maxPayload })

/**
 * Decodes the open packet. Unknown members are ignored; known members must have the right types.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeOpen = (packet: string): OpenData | ProtocolError => {
  let data: unknown
  try {
    data = JSON.parse(packet.slice(1))
  } catch {
    // The text is not JSON. `data` stays without members, and the check below refuses it.
  }
  const { maxPayload, pingInterval, pingTimeout, sid, upgrades } = Object(data) as Partial<
    Record<keyof OpenData, unknown>
  >
  return packet[0] === "0" &&
    typeof sid === "string" &&
    sid &&
    Array.isArray(upgrades) &&
    upgrades.every((upgrade) => typeof upgrade === "string") &&
    isCount(pingInterval) &&
    isCount(pingTimeout) &&
    // Servers of Socket.IO before 4.4 do not send `maxPayload`.
    (maxPayload === undefined || isCount(maxPayload))
    ? { sid, upgrades, pingInterval, pingTimeout, maxPayload: maxPayload ?? Infinity }
    : make("invalid handshake", "not an open packet")
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

/**
 * Decodes a packet in its text form; `b` followed by base64 is a binary message.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeText = (packet: string): EnginePacket | ProtocolError => {
  if (packet === "") return make("empty packet")
  const code = packet.charCodeAt(0)
  if (code === 98) {
    const data = decodeBinaryText(packet)
    return isProtocolError(data) ? data : { type: "message", data }
  }
  const type = types[code - 48]
  return type === undefined ? make("unknown packet type") : { type, data: packet.slice(1) }
}

/**
 * Decodes a binary message in its text form: `b` and base64.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeBinaryText = (packet: string): Uint8Array | ProtocolError =>
  Base64.decode(packet.slice(1)) ?? make("invalid base64")

/**
 * Encodes a binary message for a transport that carries text.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeBinaryText = (bytes: Uint8Array): string => "b" + Base64.encode(bytes)

/**
 * Encodes any packet in its text form.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeText = ({ data, type }: EnginePacket): string =>
  typeof data === "string" ? types.indexOf(type) + data : encodeBinaryText(data)
