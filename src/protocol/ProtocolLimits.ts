/**
 * Bounds on what a peer may send, as defaults that are safe on the open internet.
 *
 * @since 0.1.0
 */

/**
 * Binary attachments in one packet: 10, as the reference has it.
 *
 * @since 0.1.0
 * @category constants
 */
export const MAX_ATTACHMENTS = 10

/**
 * Bytes of attachments in one packet: 10,000,000. With the default `maxPayload` of 1,000,000 ten
 * full attachments have that many.
 *
 * @since 0.1.0
 * @category constants
 */
export const MAX_ATTACHMENT_BYTES = 10_000_000

/**
 * Levels of arrays and objects in a payload: 64. Real payloads stay below twenty, and code that
 * handles them recursively needs a bound.
 *
 * @since 0.1.0
 * @category constants
 */
export const MAX_DEPTH = 64

/**
 * Packets in one long-polling payload: 10,000. The official client groups its buffered packets up
 * to `maxPayload` bytes; packets of less than 100 bytes on average are not expected there.
 *
 * @since 0.1.0
 * @category constants
 */
export const MAX_PACKETS_PER_PAYLOAD = 10_000

/**
 * All of them, as decoders take them.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultLimits = {
  maxAttachments: MAX_ATTACHMENTS,
  maxAttachmentBytes: MAX_ATTACHMENT_BYTES,
  maxDepth: MAX_DEPTH,
  maxPacketsPerPayload: MAX_PACKETS_PER_PAYLOAD
} as const
