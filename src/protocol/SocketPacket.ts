/**
 * Packets of Socket.IO protocol 5 ("Packet encoding").
 *
 * @since 0.1.0
 */

/**
 * A decoded packet with its attachments in their places: BINARY_EVENT and BINARY_ACK appear as
 * EVENT and ACK.
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
   * The payload. CONNECT: an object or `undefined`. DISCONNECT: `undefined`. EVENT:
   * `[name, ...args]`, where the name is a number, or a string that is not reserved. ACK: the
   * arguments. CONNECT_ERROR: a string or an object.
   */
  readonly data: unknown
}

/**
 * An encoded packet for the engine: a text message, and the binary messages that follow it. A
 * parser may omit the text. Clients read a `Blob` when they send it; servers refuse it.
 *
 * @since 0.1.0
 * @category models
 */
export interface EncodedPacket {
  readonly text: string | undefined
  readonly attachments: ReadonlyArray<Uint8Array | Blob> | undefined
}

/**
 * Names that events cannot have, because clients and servers use them for events of their own.
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
