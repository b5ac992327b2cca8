/**
 * Checks packets, whatever form they came in.
 */
import { make, type ProtocolError } from "../ProtocolError.ts"
import { RESERVED_EVENTS, type SocketPacket } from "../SocketPacket.ts"
import { ACK, CONNECT, DISCONNECT, EVENT } from "../PacketType.ts"

/** Returns the packet if its id and its data fit its type. */
export const checked = (
  type: SocketPacket["type"],
  namespace: string,
  id: number | undefined,
  data: unknown
): SocketPacket | ProtocolError => {
  // Acknowledgements have an id, and so do events that ask for one.
  if (type === ACK ? id === undefined : type !== EVENT && id !== undefined) return make("illegal id")
  return isValid(type, data) ? { type, namespace, id, data } : make("invalid payload")
}

const isValid = (type: SocketPacket["type"], data: unknown): boolean => {
  switch (type) {
    case EVENT:
      return Array.isArray(data) && isName(data[0])
    case ACK:
      return Array.isArray(data)
    case CONNECT:
      return data === undefined || isRecord(data)
    case DISCONNECT:
      return data === undefined
    default:
      return typeof data === "string" || isRecord(data)
  }
}

const isName = (name: unknown): boolean =>
  typeof name === "string" ? !RESERVED_EVENTS.has(name) : typeof name === "number"

/** Whether a decoded value is an object of members: no array, no bytes, no date. */
const isRecord = (value: unknown): boolean => Object.getPrototypeOf(value ?? 0) === Object.prototype

export const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** The error for an exception during encoding. */
export const notEncodable = (cause: unknown): ProtocolError =>
  // The thrown value may be anything; even turning it into a text may throw.
  make("not encodable", `not encodable: ${cause instanceof Error ? cause.message : typeof cause}`)
