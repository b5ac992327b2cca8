import type { ClientCloseReason } from "../../EngineClient.ts"
import type { ConnectionDetails } from "../../ClientPlatform.ts"

/** Why a transport cannot go on. */
export type TransportEnd = (reason: ClientCloseReason, description: string, details?: ConnectionDetails) => void

/** A packet as transports take it. */
export type Packet = string | Uint8Array | Blob

/** The client's end of a transport. */
export interface ClientTransport {
  /** Connects. */
  readonly open: () => void
  /** Sends packets: text, or binary messages; polling takes no Blobs, and nothing more until it says so. Those of `raw` are not compressed. */
  readonly write: (packets: ReadonlyArray<Packet>, raw?: ReadonlySet<Packet>) => void
  /** Lets go at once; nothing is called any more. With a session behind it the server is told. */
  readonly close: (sid?: string) => void
}
