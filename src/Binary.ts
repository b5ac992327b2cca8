/**
 * Binary payloads that travel as Socket.IO attachments.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/** What the packet encoder takes for an attachment. */
const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array || value instanceof Blob

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
export const Bytes: Bytes = Schema.declare(isBytes, {
  ...Schema.Uint8Array.ast.annotations,
  // Already in the form that the packet encoder takes: it becomes an attachment there.
  toCodecJson: () => undefined
})

/**
 * A `Blob`, or a `File`, in the place of {@link Bytes} in what a client emits or acknowledges with; it arrives as bytes.
 *
 * It is read when it is sent, what is sent later waits for it, and it ends the connection if it cannot be read. Until then there
 * are no bytes: what this gives is for sending only. Servers, and clients whose parser is not the JSON one, cannot send it: they
 * die of `not encodable`. Without a contract a `Blob` is sent as it is.
 *
 * @example
 * ```ts
 * const upload = (file: File) => chat.emitWithAck("upload", { name: file.name, content: Binary.fromBlob(file) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromBlob = (blob: Blob): Uint8Array => blob as unknown as Uint8Array
