/**
 * Which packets are valid, whatever form they came in.
 */
import { make, type ProtocolError } from "../ProtocolError.ts"
import { isReservedEvent, PacketType, type SocketPacket } from "../SocketPacket.ts"

// One shape for all packets: this is the hot path.
export const packet = (
  type: SocketPacket["type"],
  namespace: string,
  id: number | undefined,
  data: unknown
): SocketPacket => ({ type, namespace, id, data })

/** The packet, if its id and its data are what its type has. */
export const checked = (
  type: SocketPacket["type"],
  namespace: string,
  id: number | undefined,
  data: unknown
): SocketPacket | ProtocolError => {
  switch (type) {
    case PacketType.EVENT:
      return isEvent(data) ? packet(type, namespace, id, data) : invalid(type)
    case PacketType.ACK:
      if (id === undefined) return make("illegal id", "an acknowledgement without id")
      return Array.isArray(data) ? packet(type, namespace, id, data) : invalid(type)
    default: {
      if (id !== undefined) return make("illegal id", "an id in a packet that is not acknowledged")
      const valid =
        type === PacketType.CONNECT
          ? data === undefined || isObject(data)
          : type === PacketType.DISCONNECT
            ? data === undefined
            : typeof data === "string" || isObject(data)
      return valid ? packet(type, namespace, undefined, data) : invalid(type)
    }
  }
}

const names = ["CONNECT", "DISCONNECT", "EVENT", "ACK", "CONNECT_ERROR", "BINARY_EVENT", "BINARY_ACK"]

export const invalid = (type: number): ProtocolError => make("invalid payload", `not the payload of ${names[type]!}`)

/** Whether a decoded value is an object of members: no array, no bytes, no date. */
const isObject = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype

const isEvent = (data: unknown): boolean => {
  if (!Array.isArray(data)) return false
  const name = data[0]
  return typeof name === "string" ? !isReservedEvent(name) : typeof name === "number"
}

export const isEventOrAck = (type: 2 | 3, data: unknown): boolean =>
  type === PacketType.EVENT ? isEvent(data) : Array.isArray(data)

/** The error of a packet whose encoding has thrown. */
export const notEncodable = (cause: unknown): ProtocolError =>
  // Anything at all may be thrown; even turning it into a text may throw.
  make("not encodable", `not encodable: ${cause instanceof Error ? cause.message : `${typeof cause} was thrown`}`)
