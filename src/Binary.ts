/**
 * Binary payloads that travel as Socket.IO attachments.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/** The encoder of packets sends these values as attachments. */
const isBytes = (value: unknown): value is Uint8Array => value instanceof Uint8Array || value instanceof Blob

/**
 * The encoded form of {@link Bytes}: bytes that stay bytes. In types it is distinct from the bytes
 * of other schemas, which become base64; see `Official.Wire`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Attachment extends Uint8Array<ArrayBufferLike> {
  /** In types only. */
  readonly "~effect-socket.io/Attachment"?: never
}

/**
 * The schema type of {@link Bytes}.
 *
 * @since 0.1.0
 * @category models
 */
export interface Bytes extends Schema.Codec<Uint8Array<ArrayBufferLike>, Attachment> {}

/**
 * Bytes anywhere inside a payload, or as a whole payload.
 *
 * **Details**
 *
 * They leave as a binary attachment of a BINARY_EVENT or BINARY_ACK packet (Socket.IO protocol 5,
 * "Packet encoding"), never as base64 inside the JSON.
 *
 * In a JSON Schema they are `{ "x-socket.io": "binary" }`, without a `type`; see `AsyncApi`.
 *
 * **Gotchas**
 *
 * `Schema.Uint8Array` in a payload means a base64 string on the wire. In Node bytes arrive as a
 * `Buffer`, which is a `Uint8Array`. It may share memory with other messages of the same read, so
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
  // JSON Schema has no type for bytes; this annotation becomes a keyword of it.
  "x-socket.io": "binary",
  // The encoder of packets turns bytes into an attachment, so they stay as they are here.
  toCodecJson: () => undefined
})

/**
 * Puts a `Blob` or a `File` in the place of {@link Bytes} in a payload or an acknowledgement of a
 * client. It arrives as bytes.
 *
 * **Details**
 *
 * The `Blob` is read when it is sent; later messages wait for it. The connection ends if it cannot
 * be read. Without a contract a `Blob` is sent as it is.
 *
 * **Gotchas**
 *
 * The bytes do not exist before sending, so use the value for sending only. Servers, and clients
 * whose parser is not the JSON one, cannot send it: they die of `not encodable`.
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
