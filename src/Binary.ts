/**
 * Binary payloads that travel as Socket.IO attachments.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/** The values that the packet encoder sends as attachments. */
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
 * **Details**
 *
 * They leave as a binary attachment of a BINARY_EVENT or BINARY_ACK packet (Socket.IO protocol 5,
 * "Packet encoding"), never as base64 inside the JSON.
 *
 * **Gotchas**
 *
 * `Schema.Uint8Array` in a payload means a base64 string on the wire. In Node bytes arrive as a
 * `Buffer`, which is a `Uint8Array`; it may share memory with other messages of the same read, so
 * copy it before you write to it or keep it for long.
 *
 * **Example** (A file with its name)
 *
 * ```ts
 * const Upload = Event.make("upload", { payload: { name: Schema.String, content: Binary.Bytes } })
 * ```
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
 * A `Blob`, or a `File`, in the place of {@link Bytes} in a payload or an acknowledgement of a
 * client; it arrives as bytes.
 *
 * **Details**
 *
 * It is read when it is sent; messages that are sent later wait for it. The connection ends if it
 * cannot be read. Without a contract a `Blob` is sent as it is.
 *
 * **Gotchas**
 *
 * There are no bytes before it is sent: the value is for sending only. Servers, and clients whose
 * parser is not the JSON one, cannot send it: they die of `not encodable`.
 *
 * **Example** (Sending a file of a page)
 *
 * ```ts
 * const upload = (file: File) => chat.emitWithAck("upload", { name: file.name, content: Binary.fromBlob(file) })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromBlob = (blob: Blob): Uint8Array => blob as unknown as Uint8Array
