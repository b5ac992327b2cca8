import type { EngineClientRuntime } from "../../engine/EngineClient.ts"
import type { ClientWire } from "../../internal/clientWire.ts"
import type { SocketPacket } from "../../protocol/SocketPacket.ts"
import type { SocketStatus } from "../ClientSocket.ts"

// The places at which a client lets itself be observed. A client without telemetry has no observer,
// and only asks whether there is one.

/** A socket that is observed. */
export interface Observed {
  readonly namespace: string
  /** The contract, or the name. */
  readonly of: unknown
  readonly wire: ClientWire | undefined
}

/** Observes one socket. */
export interface SocketObserver {
  /** The conversion of the contract's events, which the socket uses in place of its own. */
  readonly wire: ClientWire | undefined
  /** The socket is connected. The server has said this to clients of this library. */
  readonly onGreeting: (fx: { readonly trace?: unknown } | undefined) => void
  readonly onStatus: (status: SocketStatus) => void
  /** An event has come. Gives the event that the socket is to receive. */
  readonly onEvent: <P extends SocketPacket>(packet: P) => P
  /** Gives the face that the socket shows in place of its own. */
  readonly face: (socket: any) => object
}

/** Observes a client. */
export interface ClientObserver {
  /** The value of `fx` in its requests. */
  readonly fx: string
  readonly observe: (socket: Observed, runtime: EngineClientRuntime) => SocketObserver
}
