/**
 * Bounds on what a peer may send, as defaults that are safe on the open internet.
 *
 * @since 0.1.0
 */
import { packetLimits } from "./internal/packetLimits.ts"

/**
 * The default limits.
 *
 * - `maxAttachments`: 10 binary attachments in one packet, as the reference has it.
 * - `maxAttachmentBytes`: 10,000,000 bytes of attachments in one packet; with the default `maxPayload` of 1,000,000 that is
 *   what ten full ones come to.
 * - `maxDepth`: 64 levels of arrays and objects in a payload; real payloads stay below twenty, and what handles them
 *   recursively needs a bound.
 * - `maxPacketsPerPayload`: 10,000 packets in one long-polling payload. The official client groups what it has buffered up to
 *   `maxPayload` bytes; smaller packets than 100 bytes on average are not expected there.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultLimits = {
  ...packetLimits,
  maxPacketsPerPayload: 10_000
} as const
