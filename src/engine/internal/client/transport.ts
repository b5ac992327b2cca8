/** Why a transport cannot go on. */
export type TransportEnd = (reason: "transport close" | "transport error" | "parse error", description: string) => void

/** The client's end of a transport. */
export interface ClientTransport {
  /** Connects. */
  readonly open: () => void
  /** Sends packets: text, or binary messages; polling takes no Blobs, and nothing more until it says so. */
  readonly write: (packets: ReadonlyArray<string | Uint8Array | Blob>) => void
  /** Lets go at once; nothing is called any more. With a session behind it the server is told. */
  readonly close: (sid?: string) => void
}
