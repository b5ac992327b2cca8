/**
 * Default bounds on the data that a peer may send. They are safe on the open internet.
 *
 * @since 0.1.0
 */

/**
 * Binary attachments in one packet: 10, as in the reference.
 *
 * @since 0.1.0
 * @category constants
 */
export const MAX_ATTACHMENTS = 10

/**
 * Bytes of attachments in one packet: 10,000,000. That is ten full attachments with the default
 * `maxPayload` of 1,000,000.
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
 * to `maxPayload` bytes, and packets of less than 100 bytes on average are not expected there.
 *
 * @since 0.1.0
 * @category constants
 */
export const MAX_PACKETS_PER_PAYLOAD = 10_000

/**
 * All of these limits, in the form that decoders take.
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
