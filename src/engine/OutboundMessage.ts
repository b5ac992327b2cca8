/**
 * A message on its way to one or many sessions.
 *
 * @since 0.1.0
 */
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
