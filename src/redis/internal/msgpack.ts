/**
 * The bodies of messages on Redis: JSON or MessagePack, whichever the first byte says. Reading them
 * is bounded and never throws.
 */
import { isDeeper } from "../../protocol/JsonDepth.ts"
import * as MessagePack from "../../protocol/MessagePack.ts"
import { isProtocolError } from "../../protocol/ProtocolError.ts"

/**
 * The levels of lists and maps in a message. A payload has 64 at most by default, and a message
 * some around it.
 */
export const MAX_DEPTH = 100

/** 16 MiB. */
export const MAX_BYTES = 16_777_216

/** JSON as a text, MessagePack as a `Buffer`, which clients of Redis insist on. */
export type Body = string | Uint8Array

/** The problem is a text, so that no result needs an object around it. */
export type DecodedBody = MessagePack.Decoded | string

const BRACE = 0x7b

/** Throws on a value that cannot be encoded: a `BigInt`, a `Blob`, a circular reference. */
export const encode = (value: unknown): Buffer => MessagePack.encode(value, allocate)

const allocate = (length: number): Buffer => Buffer.allocUnsafe(length)

/** Reads bytes as MessagePack. */
export const decode = (bytes: Uint8Array, maxBytes: number): DecodedBody => {
  if (bytes.length > maxBytes) return "it is too long"
  const decoded = MessagePack.decode(bytes, MAX_DEPTH)
  return isProtocolError(decoded) ? decoded.message : decoded
}

/** Reads a text, or bytes that begin with `{`, as JSON, and other bytes as MessagePack. */
export const decodeBody = (body: Body, maxBytes: number): DecodedBody => {
  if (body.length > maxBytes) return "it is too long"
  if (typeof body === "string") return decodeJson(body)
  return body[0] === BRACE ? decodeJson(textOf(body)) : decode(body, maxBytes)
}

/** The problem of a text that is JSON. */
export const problemOfJson = (json: string, maxBytes: number): string | undefined => {
  if (json.length > maxBytes) return "it is too long"
  // Each level takes two brackets.
  return json.length > 2 * MAX_DEPTH && isDeeper(json, MAX_DEPTH) ? `nested deeper than ${MAX_DEPTH} levels` : undefined
}

const decodeJson = (json: string): DecodedBody => {
  const problem = problemOfJson(json, Infinity)
  if (problem !== undefined) return problem
  try {
    return { value: JSON.parse(json), hasBinary: false }
  } catch {
    return "it is not JSON"
  }
}

export const textOf = (bytes: Uint8Array): string =>
  (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).toString()

/** Deeper values are not searched. No encoder takes them. */
const MAX_SEARCH = 1_000

/** Whether bytes are in a value: JSON would damage them. */
export const hasBinary = (value: unknown, levels = MAX_SEARCH): boolean => {
  if (typeof value !== "object" || value === null || levels === 0) return false
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return true
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (hasBinary(value[i], levels - 1)) return true
    return false
  }
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") {
    return hasBinary((value as { toJSON: () => unknown }).toJSON(), levels - 1)
  }
  for (const key in value) {
    if (Object.hasOwn(value, key) && hasBinary((value as Record<string, unknown>)[key], levels - 1)) return true
  }
  return false
}
