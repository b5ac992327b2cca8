/**
 * Decodes packets of Socket.IO protocol 5 ("Packet encoding"), and puts attachments in their places.
 *
 * The grammar is taken strictly: a digit for the type; for binary types a count of attachments without leading zeros; a
 * namespace from `/` to a comma or the end; an id of digits; JSON of the form that the type has.
 *
 * @since 0.1.0
 */
import { checked, invalid, isEventOrAck, packet } from "./internal/packets.ts"
import { make, type ProtocolError } from "./ProtocolError.ts"
import { PacketType, type SocketPacket } from "./SocketPacket.ts"

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
}

/** A packet that waits for its attachments. */
interface Incomplete {
  readonly type: 2 | 3
  readonly namespace: string
  readonly id: number | undefined
  readonly data: unknown
  readonly count: number
  readonly attachments: Array<Uint8Array>
  bytes: number
}

/**
 * The decoder of one connection. An error leaves it without a packet in assembly; the connection should be closed.
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

  /** The number of attachments that are still awaited. */
  get pending(): number {
    return this.#incomplete === undefined ? 0 : this.#incomplete.count - this.#incomplete.attachments.length
  }

  /** Forgets a packet in assembly. */
  reset(): void {
    this.#incomplete = undefined
  }

  /**
   * Takes a text message. The packet starts at `offset`, so that what stands before need not be cut off. Gives `undefined`
   * while attachments are awaited.
   */
  text(message: string, offset = 0): SocketPacket | ProtocolError | undefined {
    if (this.#incomplete !== undefined) {
      this.#incomplete = undefined
      return make("text while attachments pending")
    }
    const type = message.charCodeAt(offset) - 48
    // An empty message has no code at all: NaN is in no range.
    if (!(type >= 0 && type <= 6)) return make("unknown packet type")
    let at = offset + 1

    let count = 0
    if (type === PacketType.BINARY_EVENT || type === PacketType.BINARY_ACK) {
      const end = digitsEnd(message, at)
      if (end === at || message.charCodeAt(at) === ZERO || message.charCodeAt(end) !== DASH) {
        return make("illegal attachments")
      }
      // Sixteen digits are beyond every limit, and still exact enough to compare.
      count = end - at > 15 ? Infinity : Number(message.slice(at, end))
      if (count > this.#limits.maxAttachments) {
        return make("too many attachments", `more than ${this.#limits.maxAttachments} attachments`)
      }
      at = end + 1
    }

    let namespace = "/"
    if (message.charCodeAt(at) === SLASH) {
      const comma = message.indexOf(",", at)
      namespace = comma < 0 ? message.slice(at) : message.slice(at, comma)
      at = comma < 0 ? message.length : comma + 1
    }

    let id: number | undefined
    const idEnd = digitsEnd(message, at)
    if (idEnd > at) {
      id = idEnd - at > 16 ? Infinity : Number(message.slice(at, idEnd))
      if (!Number.isSafeInteger(id)) return make("illegal id")
      at = idEnd
    }

    let data: unknown
    if (at < message.length) {
      // The reference takes a blank for a digit: what is an event without an id here would be one with id 0 there.
      if (message.charCodeAt(at) <= BLANK) return make("invalid payload", "a blank before the payload")
      const json = at === 0 ? message : message.slice(at)
      try {
        data = JSON.parse(json)
      } catch {
        return make("invalid payload", "the payload is not JSON")
      }
      // Every level takes two characters at the least.
      if (json.length > 2 * this.#limits.maxDepth && isObject(data) && isDeeper(data, this.#limits.maxDepth)) {
        return make("nesting too deep", `nested deeper than ${this.#limits.maxDepth} levels`)
      }
    }
    return this.#finish(type, count, namespace, id, data)
  }

  /** Takes a binary message: an attachment. Gives `undefined` while more are awaited. */
  binary(bytes: Uint8Array): SocketPacket | ProtocolError | undefined {
    const incomplete = this.#incomplete
    if (incomplete === undefined) return make("unexpected binary")
    incomplete.bytes += bytes.byteLength
    if (incomplete.bytes > this.#limits.maxAttachmentBytes) {
      this.#incomplete = undefined
      return make("attachments too large", `more than ${this.#limits.maxAttachmentBytes} bytes of attachments`)
    }
    incomplete.attachments.push(bytes)
    if (incomplete.attachments.length < incomplete.count) return undefined
    this.#incomplete = undefined
    const { attachments, data, id, namespace, type } = incomplete
    const illegal = fill(data as Array<unknown>, attachments)
    if (illegal) return make("illegal attachments", "a placeholder names no attachment")
    return isEventOrAck(type, data) ? packet(type, namespace, id, data) : invalid(type)
  }

  #finish(
    type: number,
    count: number,
    namespace: string,
    id: number | undefined,
    data: unknown
  ): SocketPacket | ProtocolError | undefined {
    if (type !== PacketType.BINARY_EVENT && type !== PacketType.BINARY_ACK) {
      return checked(type as SocketPacket["type"], namespace, id, data)
    }
    const plain = type === PacketType.BINARY_EVENT ? PacketType.EVENT : PacketType.ACK
    if (plain === PacketType.ACK && id === undefined) return make("illegal id", "an acknowledgement without id")
    if (!isEventOrAck(plain, data)) return invalid(type)
    this.#incomplete = { type: plain, namespace, id, data, count, attachments: [], bytes: 0 }
    return undefined
  }
}

const BLANK = 32
const ZERO = 48
const NINE = 57
const SLASH = 47
const DASH = 45

const digitsEnd = (text: string, start: number): number => {
  let end = start
  for (let code = text.charCodeAt(end); code >= ZERO && code <= NINE; code = text.charCodeAt(end)) end++
  return end
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** Whether an object of `JSON.parse` is nested deeper than `left` levels. Nothing is called for what is no object. */
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
 * Puts the attachments where their placeholders are, in what `JSON.parse` made. Gives true on a placeholder of no
 * attachment. The depth is bounded already.
 */
const fill = (container: object, attachments: ReadonlyArray<Uint8Array>): boolean => {
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
  attachments: ReadonlyArray<Uint8Array>
): boolean => {
  const member = container[key]
  if (!isObject(member)) return false
  if (!isPlaceholder(member)) return fill(member, attachments)
  const attachment = typeof member.num === "number" ? attachments[member.num] : undefined
  if (attachment === undefined) return true
  // Every key is an own property of what `JSON.parse` makes, `__proto__` too: assigning to it changes no prototype.
  container[key] = attachment
  return false
}
