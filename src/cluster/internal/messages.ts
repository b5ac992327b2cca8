/**
 * The messages between the primary and its workers.
 *
 * Official processes exchange envelopes alone (see `Envelope`), as objects. A primary of this
 * library welcomes the workers of this library. From then on the two exchange frames: the envelopes
 * of one turn of the event loop in one message, each of them encoded, so that the primary passes
 * them on unread.
 */
import type { Envelope } from "../../adapter/Envelope.ts"
import * as MessagePack from "../../protocol/MessagePack.ts"
import { isProtocolError } from "../../protocol/ProtocolError.ts"

/** The mark of all messages of Socket.IO servers in the channel between Node's processes. */
export const SOURCE = "_sio_adapter"

/** The types of envelopes that the primary has to know. */
export const STARTED = 1
export const CLOSING = 13

/** The memory of a message that is not encoded, at most, in bytes. */
export const MAX_MESSAGE = 1 << 27

/** The places in a list of frames, at most. Messages of servers have far fewer. */
export const MAX_FRAMES = 100_000

/** The id of senders that are no servers. */
export const EMITTER = "emitter"

/**
 * The name of the property that marks the closing of a server that is dead. Official servers ignore
 * it.
 */
export const DEAD = "dead"

/** An envelope that is encoded: as JSON, or as MessagePack if it holds bytes. */
export type Body = string | Uint8Array

/**
 * Encoded envelopes, each after the id of its receiver. An empty id means all servers of the
 * envelope's namespace but the sender.
 */
export interface Frames {
  readonly source: typeof SOURCE
  readonly frames: ReadonlyArray<string | Body>
}

/** The answer of a primary of this library to a server of this library that has started. */
export interface Welcome {
  readonly source: typeof SOURCE
  readonly welcome: string
  readonly nsp: string
  /** The other servers of the namespace. */
  readonly members: ReadonlyArray<string>
  /** Whether the primary takes frames: the channel has to carry bytes. */
  readonly takesFrames: boolean
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null

/** Whether a message of the channel is one of Socket.IO servers. Applications send others. */
export const isOurs = (message: unknown): message is Record<string, unknown> =>
  isRecord(message) && message["source"] === SOURCE

/** Deeper values are not searched for bytes. No encoder takes them. */
const MAX_DEPTH = 1_000

/** Whether bytes are in a value: JSON would damage them. */
const hasBytes = (value: unknown, levels = MAX_DEPTH): boolean => {
  if (typeof value !== "object" || value === null || levels === 0) return false
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return true
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (hasBytes(value[i], levels - 1)) return true
    return false
  }
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") {
    return hasBytes((value as { toJSON: () => unknown }).toJSON(), levels - 1)
  }
  for (const key in value) {
    if (Object.hasOwn(value, key) && hasBytes((value as Record<string, unknown>)[key], levels - 1)) return true
  }
  return false
}

/** Encodes an envelope. Throws on a value that is not for the wire, such as a circular one. */
export const encodeBody = (envelope: Envelope, mayHaveBytes: boolean): Body =>
  mayHaveBytes && (hasBytes(envelope.data) || hasBytes(envelope.x?.a))
    ? MessagePack.encode(envelope)
    : JSON.stringify(envelope)

/** Reads an encoded envelope. Gives `undefined` if that is not possible. */
export const decodeBody = (body: Body): Record<string, unknown> | undefined => {
  let value: unknown
  if (typeof body === "string") {
    try {
      value = JSON.parse(body)
    } catch {
      return undefined
    }
  } else {
    const decoded = MessagePack.decode(body, MAX_DEPTH)
    if (isProtocolError(decoded)) return undefined
    value = decoded.value
  }
  return isRecord(value) ? value : undefined
}

export const isBody = (value: unknown): value is Body => typeof value === "string" || value instanceof Uint8Array
