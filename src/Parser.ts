/**
 * The parser of servers and clients. It encodes and decodes Socket.IO packets.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

import { json, type PacketParser } from "./protocol/PacketParser.ts"

/**
 * The parser of every server and client that is built in its context. Both sides of a connection
 * must use the same one. Default: the parser of Socket.IO protocol 5, which is JSON with bytes as
 * attachments.
 *
 * **Example** (MessagePack on a server)
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import { Parser } from "effect-socket.io"
 * import { NodeSocketIoServer } from "effect-socket.io/node"
 * import { msgpack } from "effect-socket.io/protocol/MsgpackParser"
 *
 * const Server = NodeSocketIoServer.layer({ port: 3000 }).pipe(
 *   Layer.provide(Layer.succeed(Parser.Parser, msgpack))
 * )
 * ```
 *
 * **Gotchas**
 *
 * The layer of the server, or of the client, reads it once, when it is built: provide the parser to
 * that layer, not to its users. With a parser other than `json`, official clients need the same one
 * as their option `parser`.
 *
 * @since 0.1.0
 * @category services
 */
export const Parser: Context.Reference<PacketParser> = Context.Reference<PacketParser>("effect-socket.io/Parser", {
  defaultValue: () => json
})
