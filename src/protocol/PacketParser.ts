/**
 * The port that parsers implement to put Socket.IO packets on the wire, and the parser of Socket.IO
 * protocol 5.
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
 * A parser of packets. It never throws: a value that cannot be encoded or decoded gives a
 * `ProtocolError`, and an error of a decoder closes the connection.
 *
 * **Details**
 *
 * Provide one as the service `Parser`, to the server's layer and to the client's. `json` is the
 * default; `MsgpackParser` is the other one of this library.
 *
 * **Gotchas**
 *
 * A decoder gets data from strangers: it must enforce `DecoderLimits`, and it must not throw.
 *
 * @since 0.1.0
 * @category models
 */
export interface PacketParser {
  /**
   * Encodes a packet. Its data may hold bytes (`ArrayBuffer`s and views of them, on clients
   * `Blob`s) unless `mayHaveBinary` is false. Callers pass false only if they are sure, because the
   * search is skipped then.
   */
  readonly encode: (packet: SocketPacket, mayHaveBinary: boolean) => EncodedPacket | ProtocolError
  /** Makes the decoder of one connection, which may keep a packet in assembly. */
  readonly makeDecoder: (limits: DecoderLimits) => Decoder
  /**
   * Reads the beginning of a large message, without its payload, for a server that may refuse it
   * unread: a CONNECT without data, or an EVENT with only its name. The message is decoded if this
   * returns `undefined`. Default: every message is decoded; for `json` a server uses
   * `PacketPreview`.
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
  /**
   * The packet that waits for them. A server counts the memory of its data while it waits. Default:
   * it counts nothing.
   */
  readonly incomplete?: SocketPacket | undefined
  /** Takes a text message that starts at `offset`; `undefined` while more messages are awaited. */
  text(message: string, offset: number): SocketPacket | ProtocolError | undefined
  /** Takes a binary message; `undefined` while more messages are awaited. */
  binary(bytes: Uint8Array): SocketPacket | ProtocolError | undefined
}

/**
 * The parser of Socket.IO protocol 5: JSON, with bytes as attachments. Every client speaks it
 * unless it is configured otherwise.
 *
 * @since 0.1.0
 * @category parsers
 */
export const json: PacketParser = {
  encode,
  makeDecoder: (limits) => new PacketDecoder(limits)
}
