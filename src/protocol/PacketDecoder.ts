/**
 * Decodes packets of Socket.IO protocol 5 ("Packet encoding"), and puts attachments in their
 * places.
 *
 * The grammar is strict: a digit for the type; for binary types a count of attachments without
 * leading zeros; a namespace from `/` to a comma or the end; an id of digits; and JSON of the form
 * that the type requires. Each attachment has exactly one placeholder.
 *
 * @since 0.1.0
 */
import { BLANK, DASH, NINE, SLASH, ZERO } from "./internal/constants.ts"
import { checked, isObject } from "./internal/packets.ts"
import { BINARY_ACK, BINARY_EVENT, EVENT } from "./PacketType.ts"
import { isProtocolError, make, type ProtocolError, type ProtocolErrorCode } from "./ProtocolError.ts"
import type { SocketPacket } from "./SocketPacket.ts"

/**
 * Bounds on a packet; the defaults are in `ProtocolLimits`.
 *
 * @since 0.1.0
 * @category options
 */
export interface DecoderLimits {
  /** The number of attachments of one packet. */
  readonly maxAttachments: number
  /** The bytes of one packet's attachments together. */
  readonly maxAttachmentBytes: number
  /** The nesting of arrays and objects in a payload. */
  readonly maxDepth: number
  /**
   * Checks a payload's text before it is parsed (see `JsonDepth`). Default: the depth is checked
   * after parsing.
   */
  readonly isTooDeep?: (json: string) => boolean
}

/** A packet that waits for its attachments. */
interface Incomplete {
  readonly packet: SocketPacket
  /** The attachments that have arrived. Each is removed when it is put in its place. */
  readonly attachments: Array<Uint8Array | undefined>
  /** The number of missing attachments. */
  left: number
  bytes: number
}

/**
 * The decoder of one connection. After an error it holds no packet in assembly; the connection
 * should be closed.
 *
 * @since 0.1.0
 * @category decoding
 */
export class PacketDecoder {
  readonly #limits: DecoderLimits
  #incomplete: Incomplete | undefined

  constructor(limits: DecoderLimits) {
    this.#limits = limits
  }

  /** The packet that waits for them. */
  get incomplete(): SocketPacket | undefined {
    return this.#incomplete?.packet
  }

  /** The number of attachments that are still awaited. */
  get pending(): number {
    return this.#incomplete?.left ?? 0
  }

  /**
   * Takes a text message. The packet starts at `offset`, so that the caller need not cut off a
   * prefix. Returns `undefined` while attachments are awaited.
   */
  text(message: string, offset = 0): SocketPacket | ProtocolError | undefined {
    if (this.#incomplete !== undefined) {
      this.#incomplete = undefined
      return make("text while attachments pending")
    }
    const type = message.charCodeAt(offset) - 48
    // An empty message gives NaN, which is outside of every range.
    if (!(type >= 0 && type <= BINARY_ACK)) return make("unknown packet type")
    const { maxAttachments, maxDepth } = this.#limits
    let at = offset + 1

    let count = 0
    if (type >= BINARY_EVENT) {
      const end = digitsEnd(message, at)
      if (end === at || message.charCodeAt(at) === ZERO || message.charCodeAt(end) !== DASH) {
        return make("illegal attachments")
      }
      count = Number(message.slice(at, end))
      if (count > maxAttachments) return tooMuch("too many attachments", maxAttachments)
      at = end + 1
    }

    let namespace = "/"
    if (message.charCodeAt(at) === SLASH) {
      const comma = message.indexOf(",", at)
      const end = comma < 0 ? message.length : comma
      namespace = message.slice(at, end)
      at = end + 1
    }

    let id: number | undefined
    const idEnd = digitsEnd(message, at)
    if (idEnd > at) {
      id = Number(message.slice(at, idEnd))
      if (!Number.isSafeInteger(id)) return make("illegal id")
      at = idEnd
    }

    let data: unknown
    if (at < message.length) {
      // The reference reads a blank as a digit: an event without an id would get the id 0 there.
      if (message.charCodeAt(at) <= BLANK) return make("invalid payload")
      const json = message.slice(at)
      if (this.#limits.isTooDeep?.(json)) return tooMuch("nesting too deep", maxDepth)
      try {
        data = JSON.parse(json)
      } catch {
        return make("invalid payload")
      }
      // Every level takes at least two characters.
      if (json.length > 2 * maxDepth && isObject(data) && isDeeper(data, maxDepth)) {
        return tooMuch("nesting too deep", maxDepth)
      }
    }
    if (type < BINARY_EVENT) return checked(type as SocketPacket["type"], namespace, id, data)
    const packet = checked((type - BINARY_EVENT + EVENT) as 2 | 3, namespace, id, data)
    if (isProtocolError(packet)) return packet
    this.#incomplete = { packet, attachments: [], left: count, bytes: 0 }
    return undefined
  }

  /**
   * Takes a binary message: an attachment. Returns `undefined` while more attachments are awaited.
   */
  binary(bytes: Uint8Array): SocketPacket | ProtocolError | undefined {
    const incomplete = this.#incomplete
    if (incomplete === undefined) return make("unexpected binary")
    const { attachments, packet } = incomplete
    const { maxAttachmentBytes } = this.#limits
    if ((incomplete.bytes += bytes.length) > maxAttachmentBytes) {
      this.#incomplete = undefined
      return tooMuch("attachments too large", maxAttachmentBytes)
    }
    attachments.push(bytes)
    if (--incomplete.left > 0) return undefined
    this.#incomplete = undefined
    // `fill` skips the event's name, which is no object, so the name stays valid.
    const isRefused = fill(packet.data as Array<unknown>, attachments) || attachments.some((left) => left !== undefined)
    return isRefused ? make("illegal attachments") : packet
  }
}

/** The error of a packet that is beyond a limit. */
const tooMuch = (code: ProtocolErrorCode, limit: number): ProtocolError => make(code, `more than ${limit}`)

const digitsEnd = (text: string, start: number): number => {
  let end = start
  for (let code = text.charCodeAt(end); code >= ZERO && code <= NINE; code = text.charCodeAt(end)) end++
  return end
}

/**
 * Whether an object from `JSON.parse` is nested deeper than `left` levels. Values that are no
 * objects cost no call.
 */
const isDeeper = (value: object, left: number): boolean => {
  if (left === 0) return true
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i]
      if (isObject(item) && isDeeper(item, left - 1)) return true
    }
    return false
  }
  for (const key in value) {
    const member = (value as Record<string, unknown>)[key]
    if (isObject(member) && isDeeper(member, left - 1)) return true
  }
  return false
}

interface Placeholder {
  readonly _placeholder: true
  readonly num: unknown
}

const isPlaceholder = (value: object): value is Placeholder => (value as Partial<Placeholder>)._placeholder === true

/**
 * Puts the attachments where their placeholders are, in a value from `JSON.parse`. Returns true if
 * a placeholder names no attachment, or one that is already in its place: otherwise a few bytes
 * could stand for many copies of a megabyte wherever the payload is sent on. The depth has been
 * bounded before.
 */
const fill = (container: object, attachments: Array<Uint8Array | undefined>): boolean => {
  if (Array.isArray(container)) {
    for (let i = 0; i < container.length; i++) if (fillMember(container, i, attachments)) return true
    return false
  }
  for (const key in container) if (fillMember(container, key as keyof object, attachments)) return true
  return false
}

const fillMember = <Key extends string | number>(
  container: Record<Key, unknown>,
  key: Key,
  attachments: Array<Uint8Array | undefined>
): boolean => {
  const member = container[key]
  if (!isObject(member)) return false
  if (!isPlaceholder(member)) return fill(member, attachments)
  const { num } = member
  const attachment = typeof num === "number" ? attachments[num] : undefined
  if (attachment === undefined) return true
  attachments[num as number] = undefined
  // Every key is an own property of a value from `JSON.parse`, even `__proto__`: assigning to it
  // changes no prototype.
  container[key] = attachment
  return false
}
