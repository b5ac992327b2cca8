/**
 * Errors of the protocol: a peer sent something that is not allowed, or a value cannot be sent.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * The kinds of protocol errors.
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
 * A packet was refused. Codecs return this error; they do not throw it.
 *
 * @since 0.1.0
 * @category errors
 */
export class ProtocolError extends Data.TaggedError("ProtocolError")<{
  readonly code: ProtocolErrorCode
  readonly message: string
}> {}

/**
 * Makes an error. Default for its message: the code.
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
