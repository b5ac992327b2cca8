/**
 * The transports of a server.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

import { polling } from "./PollingTransport.ts"
import type { AnyTransport } from "./Transport.ts"
import { webSocket } from "./WebSocketTransport.ts"

/**
 * The transports of a server, in the order in which clients are told of upgrades to them.
 *
 * **Details**
 *
 * The layer that makes the server reads it once. Default: long-polling and WebSocket. The option
 * `transports` selects those that clients may use. Metrics count each under its own name.
 *
 * **Gotchas**
 *
 * Names must be unique: if two definitions have the same name, the later one is used. Existing
 * clients know `polling` and `websocket`, and ignore other names among the upgrades.
 *
 * **Example** (Adding a transport)
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import { PollingTransport, Transport, Transports, WebSocketTransport } from "effect-socket.io/engine"
 *
 * declare const webTransport: Transport.TransportDefinition<WebTransportSession> & {
 *   readonly carriage: "connection"
 * }
 *
 * const WithWebTransport = Layer.succeed(Transports.Transports, [
 *   PollingTransport.polling,
 *   WebSocketTransport.webSocket,
 *   webTransport
 * ])
 * ```
 *
 * @since 0.1.0
 * @category references
 */
export const Transports: Context.Reference<ReadonlyArray<AnyTransport>> = Context.Reference<
  ReadonlyArray<AnyTransport>
>("effect-socket.io/engine/Transports", { defaultValue: () => [polling, webSocket] })
