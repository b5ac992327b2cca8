/**
 * Binary payloads that travel as Socket.IO attachments.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The schema type of {@link Bytes}.
 *
 * @since 0.1.0
 * @category models
 */
export interface Bytes extends Schema.Codec<Uint8Array<ArrayBufferLike>> {}

/**
 * Bytes anywhere inside a payload, or a payload of their own.
 *
 * They leave as a binary attachment of a BINARY_EVENT or BINARY_ACK packet (Socket.IO protocol 5, "Packet encoding"),
 * never as base64 inside the JSON. In Node what arrives is a `Buffer`, which is a `Uint8Array`; it may share memory with
 * other messages of the same read, so copy it before you write to it or keep it for long.
 *
 * `Schema.Uint8Array` in a payload means a base64 string on the wire.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Bytes: Bytes = (Schema.Uint8Array as Schema.declare<Uint8Array<ArrayBufferLike>>).annotate({
  // Already in the form that the packet encoder takes: it becomes an attachment there.
  toCodecJson: () => undefined
})
