/**
 * A message on its way to one or many sessions.
 *
 * @since 0.1.0
 */

/**
 * An encoded message: the text of an Engine.IO message packet, its leading `4` included, and the binary messages that
 * follow it; either may be missing. It is encoded once, whoever gets it.
 *
 * @since 0.1.0
 * @category models
 */
export class OutboundMessage {
  readonly text: string | undefined
  readonly attachments: ReadonlyArray<Uint8Array> | undefined
  /** Whether more than one session gets it. Transports then keep what they have made of it in `prepared`. */
  readonly shared: boolean
  /** Whether it may be compressed, where the connection allows it. */
  compress = true
  /** The wire form for WebSocket transports, made by the first that sends the message. */
  prepared: unknown = undefined

  constructor(text: string | undefined, attachments: ReadonlyArray<Uint8Array> | undefined, shared: boolean) {
    this.text = text
    this.attachments = attachments
    this.shared = shared
  }
}
