import type { OutboundMessage } from "../../engine/OutboundMessage.ts"
import type { CompiledContract } from "../../internal/compileContract.ts"
import type { AwayRights, AwaySession, SessionEndReason } from "../../recovery/AwaySessions.ts"
import type { MissReason, RecoverySession } from "../../recovery/RecoverySession.ts"
import type { Connection } from "./connection.ts"
import type { Environment } from "./environment.ts"

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
  /** The session that it asks for, or has asked for. */
  resumption: Resumption | undefined
  /** Its session, from its admission to its end. */
  recoverable: Session | undefined
  /** The grants of its middlewares, if they end or can be refreshed. */
  readonly rights: RecoverableRights | undefined
  /** It has its state back. */
  onResumed(data: Readonly<Record<string, unknown>>, resumed: Resumed): void
}

/** The rights of a socket, as recovery sees them. */
export interface RecoverableRights {
  readonly greeting: object
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
  add(socket: S): void
  rejoin(socket: S, rooms: ReadonlyArray<string>): void
  onSessionEnd(sid: string, reason: SessionEndReason): void
  forgetIfUnused(): void
}
