/**
 * The decision on a request to upgrade to a WebSocket, or to connect in another way.
 *
 * @since 0.1.0
 */
import type { HandshakeError } from "./HandshakeError.ts"
import type { WebSocketChannel } from "./Transport.ts"

/**
 * The decision on a request to upgrade: it is refused, or accepted with these headers and a
 * function that takes the connection once it is open.
 *
 * @since 0.1.0
 * @category models
 */
export type UpgradeDecision<Carrier = WebSocketChannel> =
  | HandshakeError
  | {
      readonly headers: Readonly<Record<string, string | Array<string>>> | undefined
      readonly accept: (connection: Carrier) => void
    }
