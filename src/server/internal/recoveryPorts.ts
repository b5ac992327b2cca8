import type * as Effect from "effect/Effect"

import type { AwaySockets, BroadcastFlags, BroadcastPacket, RecoveryHost, Selection } from "../../adapter/Adapter.ts"
import type { DeliveryOrder } from "../../adapter/DeliveryOrder.ts"
import type { DisconnectReason } from "../../DisconnectReason.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import type { SessionEndReason } from "../../recovery/AwaySessions.ts"
import type { RecoverableSocket } from "./recoverable.ts"
import type { EncodedEvent, EventData } from "./wire.ts"

/** The ends of connections after which a client may come back. */
export const LOSSES: ReadonlySet<DisconnectReason> = new Set([
  "transport close",
  "transport error",
  "ping timeout",
  "forced close",
  "server shutting down",
  "session resumed",
  "auth expired"
])

/** The end of a session whose client may not come back. */
export const endOf = (reason: DisconnectReason): SessionEndReason =>
  reason === "client namespace disconnect" ? "left" : "kicked"

/** Whether a client takes the last argument of an event for an offset. Its name counts, too. */
export const endsInText = (data: ReadonlyArray<unknown>): boolean => typeof data[data.length - 1] === "string"

/**
 * Adds an offset after the declared arguments. Clients take the last argument of an event for an
 * offset if it is a text, so an event that ends in another text gets one, too.
 */
export const withOffset = (
  contract: CompiledContract | undefined,
  data: ReadonlyArray<unknown>,
  offset: string
): ReadonlyArray<unknown> => extended(data, contract?.outgoing.get(data[0] as string)?.length ?? 0, offset)

/** The same, for an event with so many declared arguments. */
export const extended = (data: ReadonlyArray<unknown>, length: number, offset: string): ReadonlyArray<unknown> => {
  // Most events have one argument.
  if (data.length === 2 && length < 2) return [data[0], data[1], offset]
  const last = Math.max(data.length, length + 1)
  // At once in its size: an array that grows takes several times the memory.
  const more = Array<unknown>(last + 1)
  // Arguments without a value may have been left out.
  for (let i = 0; i < last; i++) more[i] = i < data.length ? data[i] : null
  more[last] = offset
  return more
}

/** The recovery of the clients of one namespace, as its sockets send. */
export interface SendingRecovery<S> {
  readonly order: DeliveryOrder
  /**
   * Sends an event to one client, which gets it later if it misses it. Returns whether it was sent
   * already. Throws if it cannot be encoded. `onLost` is called if a log may not have it.
   */
  direct(socket: S, packet: EventData, flags: BroadcastFlags, onLost?: () => void): boolean
  /** The same for a client whose connection has ended, by the id of its sockets. */
  late(sid: string, packet: EventData, onLost: () => void): void
  /** Waits until what was sent to a socket before has been sent. `undefined` if it has. */
  settled(socket: S): Effect.Effect<void> | undefined
}

/** The recovery of the clients of one namespace. */
export interface Recovery<S extends RecoverableSocket> extends SendingRecovery<S> {
  /** The sockets whose clients may come back, where this server has them. */
  readonly away: AwaySockets | undefined
  /** Where all servers share a log. */
  readonly host: RecoveryHost | undefined
  /** Whether the namespace must stay, as sessions wait for their clients. */
  readonly isAwaiting: boolean
  broadcast(packet: BroadcastPacket, flags: BroadcastFlags, selection: Selection): EncodedEvent
  /** A client asks for its session, before its admission is decided. */
  claim(socket: S): void
  /** A client may be admitted. Gets what `admit` needs; `undefined` if that is nothing. */
  prepare(socket: S): Effect.Effect<void> | undefined
  /** Admits a client, and tells it. */
  admit(socket: S): void
  onEnd(socket: S, reason: DisconnectReason): void
  onJoined(socket: S, room: string): void
  onLeft(socket: S, room: string): void
  onPing(socket: S, ping: number): void
  /** The data of a socket have changed. */
  onData(socket: S): void
  /** The server disconnects a socket: everything that it has sent before must come first. */
  flush(socket: S): void
}
