import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

import type { ClientCloseReason } from "../../../DisconnectReason.ts"
import type { ConnectionDetails } from "../../ClientPlatform.ts"

/** Called when a transport cannot go on. */
export type TransportEnd = (reason: ClientCloseReason, description?: string, details?: ConnectionDetails) => void

/** A packet in the form that transports take. */
export type Packet = string | Uint8Array | Blob

/** The client's end of a transport. */
export interface ClientTransport {
  /** Connects. */
  readonly open: () => void
  /**
   * Sends packets: texts, or binary messages. Polling takes no Blobs, and no other packets until it
   * has called back. Packets in `raw` are not compressed.
   */
  readonly write: (packets: ReadonlyArray<Packet>, raw?: ReadonlySet<Packet>) => void
  /** Ends at once, and calls nothing any more. Polling tells the server that `sid` has ended. */
  readonly close: (sid?: string) => void
  /** Only polling can be left for another transport. */
  readonly pause?: undefined
}

/** A transport that its session may leave for a WebSocket. */
export interface ClientPolling extends Omit<ClientTransport, "pause"> {
  /** Stops, and calls back when no request is under way. The server releases the poll it holds. */
  readonly pause: (onPaused: () => void) => void
  /** Goes on, as the upgrade has failed. */
  readonly resume: () => void
}

/** Runs a client's effects. */
export type RunFork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

/** Calls back after some milliseconds; gives the function that cancels it. */
export const after = (runFork: RunFork, millis: number, callback: () => void): (() => void) => {
  const sleeping = runFork(Effect.sleep(millis))
  sleeping.addObserver(({ _tag }) => {
    if (_tag === "Success") callback()
  })
  return () => sleeping.interruptUnsafe()
}
