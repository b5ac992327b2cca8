import type { Adapter } from "../../adapter/Adapter.ts"
import type { OutboundMessage } from "../../engine/OutboundMessage.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import type { AwayRights, AwaySession, SessionEndReason } from "../../recovery/AwaySessions.ts"
import type { CatchUp } from "../../recovery/CatchUp.ts"
import type { MissReason, RecoverySession } from "../../recovery/RecoverySession.ts"
import type { Connection } from "./connection.ts"
import type { Environment } from "./environment.ts"
import type { LiveSession } from "./liveSession.ts"

// The shapes that recovery has of sockets and namespaces, and they of it.

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
      readonly isUnbroken: boolean
      readonly former: number
      /** Entries that come are not for it any more. It takes those until now if it is admitted. */
      readonly stop: (isAdmitted: boolean) => void
    }
  | Resumed

/** The client has its session. */
export interface Resumed {
  readonly _tag: "Resumed"
  /** The number of messages that it has received late. */
  readonly missed: number
  /** The time without a connection, in milliseconds. */
  readonly outage: number
  /** No other server has had the session since it was here before. */
  readonly isUnbroken: boolean
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
  /** The grants of its middlewares, if they end or can be refreshed. */
  readonly rights: RecoverableRights | undefined
  /** It has its state back. */
  onResumed(data: Readonly<Record<string, unknown>>, resumed: Resumed): void
}

/** The rights of a socket, as recovery sees them. */
export interface RecoverableRights {
  readonly greeting: object
  /** Whether they tell users apart. Only the server that has the earlier ones can do so. */
  readonly tellsUsers: boolean
  park(away: AwaySession<OutboundMessage>): AwayRights
  /** Whether they are those of the same user. */
  isSameAs(former: AwayRights | undefined): boolean
}

/** A namespace, as recovery sees it. */
export interface RecoverableNamespace<S extends RecoverableSocket> {
  readonly name: string
  readonly label: string
  readonly environment: Environment
  readonly contract: CompiledContract | undefined
  readonly sockets: ReadonlyMap<string, S>
  readonly adapter: Pick<Adapter, "log">
  /** Decodes the data of a socket. Values that cannot be decoded are left out. */
  decodeData(data: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>
  add(socket: S): void
  rejoin(socket: S, rooms: ReadonlyArray<string>): void
  /** The same, where the log of all servers knows of it. */
  restore(socket: S, rooms: ReadonlyArray<string>): void
  onSessionEnd(sid: string, reason: SessionEndReason): void
  /** Nothing is known of a session any more: another server has it, or there are too many. */
  onSessionLost(sid: string): void
  forgetIfUnused(): void
}
