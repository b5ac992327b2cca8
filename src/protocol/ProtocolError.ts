/**
 * What a peer sent and the protocol does not allow, or what was to be sent and cannot be.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * What is wrong with a packet.
 *
 * @since 0.1.0
 * @category models
 */
export type ProtocolErrorCode =
  | "empty packet"
  | "unknown packet type"
  | "invalid handshake"
  | "invalid base64"
  | "too many packets"
  | "illegal attachments"
  | "too many attachments"
  | "attachments too large"
  | "text while attachments pending"
  | "unexpected binary"
  | "unexpected text"
  | "illegal namespace"
  | "illegal id"
  | "invalid payload"
  | "nesting too deep"
  | "not encodable"

/**
 * A packet that is refused. Codecs return it, they do not throw.
 *
 * @since 0.1.0
 * @category errors
 */
export class ProtocolError extends Data.TaggedError("ProtocolError")<{
  readonly code: ProtocolErrorCode
  readonly message: string
}> {}

/**
 * Makes an error; without a message of its own it says what the code says.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (code: ProtocolErrorCode, message: string = code): ProtocolError =>
  new ProtocolError({ code, message })

/**
 * @since 0.1.0
 * @category guards
 */
export const isProtocolError = (value: unknown): value is ProtocolError => value instanceof ProtocolError
