/**
 * The parser that servers and clients use: how Socket.IO packets are put on the wire.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

import { json, type PacketParser } from "./protocol/PacketParser.ts"

/**
 * The parser of every server and client that is built where this is in context. Both sides of a
 * connection must use the same one. Default: that of Socket.IO protocol 5, JSON with bytes as
 * attachments.
 *
 * **Example** (MessagePack on a server)
 *
 * ```ts
 * import { msgpack } from "effect-socket.io/protocol/MsgpackParser"
 *
 * NodeSocketIoServer.layer({ port: 3000 }).pipe(Layer.provide(Layer.succeed(Parser, msgpack)))
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const Parser: Context.Reference<PacketParser> = Context.Reference<PacketParser>("effect-socket.io/Parser", {
  defaultValue: () => json
})
