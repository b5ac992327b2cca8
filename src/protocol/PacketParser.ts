/**
 * How Socket.IO packets are put on the wire: the port that parsers implement, and the parser of
 * Socket.IO protocol 5.
 *
 * Both sides of a connection must use the same one.
 *
 * @since 0.1.0
 */
import { type DecoderLimits, PacketDecoder } from "./PacketDecoder.ts"
import { encode } from "./PacketEncoder.ts"
import type { ProtocolError } from "./ProtocolError.ts"
import type { EncodedPacket, SocketPacket } from "./SocketPacket.ts"

/**
 * A parser. Nothing of it throws: what cannot be encoded or decoded gives a `ProtocolError`, and
 * what a decoder refuses closes the connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface PacketParser {
  /**
   * Encodes a packet. Its data may hold bytes (`ArrayBuffer`s and views of them, on clients
   * `Blob`s) unless `mayHaveBinary` is false: whoever says so must know, as the search is spared
   * then.
   */
  readonly encode: (packet: SocketPacket, mayHaveBinary: boolean) => EncodedPacket | ProtocolError
  /** Makes the decoder of one connection, which may keep a packet in assembly. */
  readonly makeDecoder: (limits: DecoderLimits) => Decoder
  /**
   * The packet that a large message begins, without its payload, for a server that may refuse it
   * unread: a CONNECT with no data, or an EVENT with its name alone. `undefined` has the message
   * decoded. Default: every message is decoded; for `json` a server uses `PacketPreview`.
   */
  readonly preview?: (message: string | Uint8Array, offset: number) => SocketPacket | undefined
}

/**
 * The decoder of one connection. It takes messages in the order of their arrival.
 *
 * @since 0.1.0
 * @category models
 */
export interface Decoder {
  /** The number of messages that are still awaited to complete a packet. */
  readonly pending: number
  /** Takes a text message that starts at `offset`; `undefined` while more messages are awaited. */
  text(message: string, offset: number): SocketPacket | ProtocolError | undefined
  /** Takes a binary message; `undefined` while more messages are awaited. */
  binary(bytes: Uint8Array): SocketPacket | ProtocolError | undefined
}

/**
 * The parser of Socket.IO protocol 5: JSON, with bytes as attachments. Every client speaks it
 * unless it is told otherwise.
 *
 * @since 0.1.0
 * @category parsers
 */
export const json: PacketParser = {
  encode,
  makeDecoder: (limits) => new PacketDecoder(limits)
}
