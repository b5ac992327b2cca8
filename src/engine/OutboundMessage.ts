/**
 * A message on its way to one or many sessions.
 *
 * @since 0.1.0
 */
import { charactersOf } from "../internal/cost.ts"
import { utf8Length } from "../internal/utf8.ts"

/**
 * An encoded message: the text of an Engine.IO message packet with its leading `4`, and the binary
 * messages that follow it; either may be missing. It is encoded once for all of its recipients.
 *
 * @since 0.1.0
 * @category models
 */
export class OutboundMessage {
  readonly text: string | undefined
  readonly attachments: ReadonlyArray<Uint8Array> | undefined
  /**
   * Whether more than one session gets it. Transports then keep its wire form in `prepared`.
   */
  readonly shared: boolean
  /** Whether it may be compressed, where the connection allows it. */
  compress = true
  /** Whether it may be dropped for a slow client, where `outboxOverflow` says so. */
  droppable = true
  /** The wire form for WebSocket transports. The first one that sends the message makes it. */
  prepared: unknown = undefined
  private size = -1

  constructor(text: string | undefined, attachments: ReadonlyArray<Uint8Array> | undefined, shared: boolean) {
    this.text = text
    this.attachments = attachments
    this.shared = shared
  }

  /** The number of Engine.IO packets: an attachment counts as a packet. */
  get packets(): number {
    return (this.text === undefined ? 0 : 1) + (this.attachments?.length ?? 0)
  }

  /**
   * The most memory that it takes, in bytes, without its wire form: the objects, and two bytes for
   * a character of the text.
   */
  get memory(): number {
    let bytes = OutboundMessage.memoryOf(this.text?.length ?? 0)
    if (this.attachments !== undefined) for (const { byteLength } of this.attachments) bytes += OBJECTS + byteLength
    return bytes
  }

  /** The same for a text of so many characters, without attachments. */
  static memoryOf(characters: number): number {
    return OBJECTS + 2 * characters
  }

  /**
   * The bytes that it counts while it waits in an outbox: its size, or more if its text takes more
   * in memory; its place; and its objects, unless it is shared.
   */
  get waitingBytes(): number {
    const { attachments, byteLength, shared, text } = this
    let bytes = PLACE + byteLength
    if (text !== undefined && byteLength > text.length) {
      let size = byteLength
      for (const attachment of attachments ?? []) size -= attachment.byteLength
      bytes += charactersOf(text, size) - size
    }
    return shared ? bytes : bytes + MESSAGE + (attachments?.length ?? 0) * ATTACHMENT
  }

  /**
   * The size in bytes, with the text as UTF-8, without frames. Computed at the first call.
   */
  get byteLength(): number {
    if (this.size < 0) {
      this.size = this.text === undefined ? 0 : utf8Length(this.text)
      for (const { byteLength } of this.attachments ?? []) this.size += byteLength
    }
    return this.size
  }
}

/** The objects of a message, or of an attachment. */
const OBJECTS = 280

// The figures of V8 on 64 bits, measured with messages that wait.

/**
 * The place of a message or packet in an outbox, or in a stream, in bytes.
 *
 * @since 0.1.0
 * @category constants
 */
export const PLACE = 64

/** A message with a text, without its characters. */
const MESSAGE = 136

/** An attachment without its bytes. */
const ATTACHMENT = 200
