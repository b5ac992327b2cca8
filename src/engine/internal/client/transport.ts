import type { TransportName } from "../../Transport.ts"

/** Why a transport has ended. */
export interface TransportEnd {
  readonly reason: "transport close" | "transport error" | "parse error"
  readonly description: string
}

/** Where a transport's packets go: the client's session. */
export interface ClientTransportSink {
  /** One packet in its text form, not empty. */
  onPacket(packet: string): void
  /** A binary message. */
  onBinary(bytes: Uint8Array): void
  /** What was given to `write` is on its way. */
  onDrain(): void
  /** The transport cannot go on; who hears it closes it. Not called after `close`. */
  onEnd(end: TransportEnd): void
}

/** The client's end of a transport. */
export interface ClientTransport {
  readonly name: TransportName
  /** Whether `write` may be called now. */
  readonly writable: boolean
  /** Connects, and calls `onOpened` when packets may be sent. */
  open(onOpened: () => void): void
  /** Sends packets: text, or binary messages; polling takes no Blobs. */
  write(packets: ReadonlyArray<string | Uint8Array | Blob>): void
  /** Lets go at once; nothing is called any more. With a session behind it the server is told. */
  close(sid: string | undefined): void
}
