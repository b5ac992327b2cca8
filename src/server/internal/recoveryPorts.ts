import type * as Effect from "effect/Effect"

import type {
  Adapter,
  AwaySockets,
  BroadcastFlags,
  BroadcastPacket,
  RecoveryHost,
  Selection
} from "../../adapter/Adapter.ts"
import type { DeliveryOrder } from "../../adapter/DeliveryOrder.ts"
import type { DisconnectReason } from "../../DisconnectReason.ts"
import { OutboundMessage } from "../../engine/OutboundMessage.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import type { AwaySession, SessionEndReason } from "../../recovery/AwaySessions.ts"
import type { CatchUp } from "../../recovery/CatchUp.ts"
import type { MissReason, RecoverySession } from "../../recovery/RecoverySession.ts"
import type { Connection } from "./connection.ts"
import type { Environment } from "./environment.ts"
import type { LiveSession } from "./liveSession.ts"
import type { EncodedEvent, EventData } from "./wire.ts"

/** The session of a client in one namespace. */
export type Session = RecoverySession<OutboundMessage>

/** The session that a client asks for with its CONNECT, and what has become of that. */
export type Resumption =
  /** It is there, and this client alone has it. The client has received all up to a position. */
  | {
      readonly _tag: "Claimed"
      readonly away: AwaySession<OutboundMessage>
      readonly received: number
      readonly former: number
    }
  /** It is not. The client has an offset with a hash. */
  | { readonly _tag: "Missing"; readonly reason: MissReason; readonly former: number }
  /** All servers have it: this one reads what the client has missed. */
  | {
      readonly _tag: "CatchingUp"
      readonly catchUp: CatchUp
      readonly generation: string
      readonly former: number
      readonly stop: () => void
    }
  | Resumed

/** The client has its session. */
export interface Resumed {
  readonly _tag: "Resumed"
  /** The number of messages that it has received late. */
  readonly missed: number
  /** The time without a connection, in milliseconds. */
  readonly outage: number
}

/** A socket, as recovery sees it. */
export interface RecoverableSocket {
  id: string
  readonly connection: Connection
  readonly rawAuth: Readonly<Record<string, unknown>>
  readonly joined: ReadonlySet<string> | undefined
  readonly isDisconnected: boolean
  readonly data: Readonly<Record<string, unknown>>
  /** Its data, encoded by its contract. Throws on data that cannot be. */
  readonly encodedData: Readonly<Record<string, unknown>>
  /** The session that it asks for, or has asked for. */
  resumption: Resumption | undefined
  /** Its session, from its admission to its end. */
  recoverable: Session | LiveSession | undefined
  /** It has its state back. */
  onResumed(data: Readonly<Record<string, unknown>>, resumed: Resumed): void
}

/** A namespace, as recovery sees it. */
export interface RecoverableNamespace<S extends RecoverableSocket> {
  readonly name: string
  readonly label: string
  readonly environment: Environment
  readonly contract: CompiledContract | undefined
  readonly sockets: ReadonlyMap<string, S>
  readonly adapter: Pick<Adapter, "log">
  /** Decodes the data of a socket. What cannot be decoded is left out. */
  decodeData(data: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>
  add(socket: S): void
  rejoin(socket: S, rooms: ReadonlyArray<string>): void
  /** The same, where the log of all servers knows of it. */
  restore(socket: S, rooms: ReadonlyArray<string>): void
  onSessionEnd(sid: string, reason: SessionEndReason): void
  forgetIfUnused(): void
}

/** The ends of connections after which a client may come back. */
export const LOSSES: ReadonlySet<DisconnectReason> = new Set([
  "transport close",
  "transport error",
  "ping timeout",
  "forced close",
  "server shutting down",
  "session resumed"
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
): ReadonlyArray<unknown> => {
  const length = contract?.outgoing.get(data[0] as string)?.length ?? 0
  const extended = data.slice()
  // Arguments without a value may have been left out.
  while (extended.length <= length) extended.push(null)
  extended.push(offset)
  return extended
}

/** The same message, which no outbox drops: the client is told that it gets it. */
export const undroppable = ({ attachments, compress, text }: OutboundMessage): OutboundMessage => {
  const message = new OutboundMessage(text, attachments, false)
  message.compress = compress
  message.droppable = false
  return message
}

/** The recovery of the clients of one namespace. */
export interface Recovery<S extends RecoverableSocket> {
  /** The sockets whose clients may come back, where this server has them. */
  readonly away: AwaySockets | undefined
  /** Where all servers share a log. */
  readonly host: RecoveryHost | undefined
  readonly order: DeliveryOrder
  /** Whether the namespace must stay, as sessions wait for their clients. */
  readonly isAwaiting: boolean
  /** Encodes a broadcast. */
  broadcast(packet: BroadcastPacket, flags: BroadcastFlags, selection: Selection): EncodedEvent
  /**
   * Sends an event to one client, which gets it later if it misses it. Returns whether it was sent
   * already. Throws if it cannot be encoded.
   */
  direct(socket: S, packet: EventData, flags: BroadcastFlags): boolean
  /** A client asks for its session, before its admission is decided. */
  claim(socket: S): void
  /** A client may be admitted: what `admit` needs. `undefined` if that is nothing. */
  prepare(socket: S): Effect.Effect<void> | undefined
  /** Admits a client, and tells it. */
  admit(socket: S): void
  /** A socket ends. */
  onEnd(socket: S, reason: DisconnectReason): void
  onJoined(socket: S, room: string): void
  onLeft(socket: S, room: string): void
  onPing(socket: S, ping: number): void
  /** The data of a socket have changed. */
  onData(socket: S): void
  /** The server disconnects a socket: what it has sent to it before comes before that. */
  flush(socket: S): void
  /** Waits until what was sent to a socket before has been sent. `undefined` if it has. */
  settled(socket: S): Effect.Effect<void> | undefined
}
