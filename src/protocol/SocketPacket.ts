/**
 * Packets of Socket.IO protocol 5 ("Packet encoding").
 *
 * @since 0.1.0
 */

/**
 * A decoded packet, its attachments put in their places: BINARY_EVENT and BINARY_ACK come as EVENT
 * and ACK.
 *
 * @since 0.1.0
 * @category models
 */
export interface SocketPacket {
  readonly type: 0 | 1 | 2 | 3 | 4
  readonly namespace: string
  /** The id of an ACK, or of an EVENT that asks for one. */
  readonly id: number | undefined
  /**
   * CONNECT: an object or `undefined`. DISCONNECT: `undefined`. EVENT: `[name, ...args]`, the name
   * a string that is not reserved, or a number. ACK: the arguments. CONNECT_ERROR: a string or an
   * object.
   */
  readonly data: unknown
}

/**
 * A packet as it goes to the engine: a text message, and the binary messages that follow it. A
 * parser may do without the text. Clients read a `Blob` when they send it; servers do not take any.
 *
 * @since 0.1.0
 * @category models
 */
export interface EncodedPacket {
  readonly text: string | undefined
  readonly attachments: ReadonlyArray<Uint8Array | Blob> | undefined
}

/**
 * Names that events cannot have, as clients and servers use them for events of their own.
 *
 * @since 0.1.0
 * @category constants
 */
export const RESERVED_EVENTS: ReadonlySet<string> = new Set([
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener"
])

/**
 * @since 0.1.0
 * @category guards
 */
export const isReservedEvent = (name: string): boolean => RESERVED_EVENTS.has(name)
