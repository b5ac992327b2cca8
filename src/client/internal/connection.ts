/** The connection to a server and the sockets on it, as they know each other. */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Schedule from "effect/Schedule"

import type * as EngineClient from "../../engine/EngineClient.ts"
import type { ClientWire } from "../../internal/clientWire.ts"
import type { EncodedPacket, SocketPacket } from "../../protocol/SocketPacket.ts"
import type { ConnectError, SocketStatus } from "../ClientSocket.ts"
import type { Outage } from "../Reconnection.ts"

export interface ManagerRuntime extends EngineClient.EngineClientRuntime {
  /** The context of the client. */
  readonly context: Context.Context<never>
}

/** The end of the connection, or of an attempt to open it. */
export interface ConnectionEnd extends EngineClient.ClientClose {
  /** Whether another attempt follows. */
  readonly willRetry: boolean
}

/** A connection to a server. */
export interface Link extends EngineClient.EngineClient {
  /** It is about to move to another server: events wait for that. */
  readonly isMoving?: boolean
}

/** A packet, and the connection over which it has come. */
export interface Received extends SocketPacket {
  readonly link: Link
}

/** The receiver of the news of a connection. */
export interface LinkSink extends Pick<EngineClient.EngineClientSink, "onOpen" | "onUpgrade" | "onClose"> {
  readonly onPacket: (packet: Received) => void
}

/**
 * Makes a connection, which is not opened yet, with headers and parameters as they are by now. `fx`
 * tells a server of this library what the client takes beyond the protocol.
 */
export type Dial = (sink: LinkSink, fx?: string) => Effect.Effect<Link>

/** A namespace's socket, as the manager sees it. */
export interface Member {
  readonly namespace: string
  /** The connection is open, and the namespace can be asked for. */
  readonly onOpen: () => void
  readonly onPacket: (packet: Received) => void
  /**
   * The connection has moved to another server, which can be asked for the namespace. Gives what to
   * call when the previous connection has ended: until then acknowledgements come over it.
   */
  readonly onMove: () => () => void
  readonly onEnd: (end: ConnectionEnd) => void
}

/** The connection, as its sockets use it. */
export interface Connection {
  /** The bounds of one socket. */
  readonly options: {
    readonly maxBuffered: number
    readonly bufferOverflow: "newest" | "oldest"
    readonly maxPendingAcks: number
  }
  readonly runtime: ManagerRuntime
  /** The connection that is open, or being opened or closed. */
  readonly engine: Link | undefined
  /** Throws on a packet that cannot be encoded. */
  readonly encode: (packet: SocketPacket, mayHaveBinary: boolean) => EncodedPacket
  /** Sends a packet if the connection is open: this one, or the present one. */
  readonly send: (packet: EncodedPacket, compress?: boolean, link?: Link) => void
}

/**
 * One connection to a server: opened when a namespace needs it, and opened again after an outage.
 */
export interface Manager<M extends Member> extends Connection {
  /** The sockets that want to be connected, by their namespaces. */
  readonly members: ReadonlyMap<string, M>
  /** Gives the target of a new socket, as the extras of the client change it. */
  readonly target: ClientParts["target"]
  /**
   * Opens the connection for a socket, or lets it use the one that is open: after `begin`, in which
   * the socket may leave.
   */
  readonly add: (member: M, begin: () => void) => void
  /**
   * Remembers that a socket leaves its namespace: before the server has answered its CONNECT, or
   * after.
   */
  readonly leave: (namespace: string, how: Former) => void
  /** Takes a socket out, and closes the connection after the last one. */
  readonly remove: (member: M) => void
  /** Closes the connection once everything that waits is sent, for good. */
  readonly close: () => void
}

/**
 * A socket that has left its namespace over this connection. Packets for it are still on their way:
 * for the one that `asked` to be connected an answer, for the one that `left` events, which must
 * not reach a socket that joins the namespace again.
 */
export type Former = "asked" | "left"

/** Makes the auth payload, anew for every connection, and something of it. */
export type MakeAuth = <A>(use: (auth: Readonly<Record<string, unknown>> | undefined) => A) => Fiber.Fiber<A>

/**
 * A client's socket: it wants to be connected until somebody disconnects it, or the server refuses
 * it.
 */
export interface SocketRuntime extends Member {
  readonly target: Target
  /** The face of the socket, typed by `ClientSocket`. */
  readonly socket: object
  /** Whether events can be sent now. */
  readonly canSend: () => boolean
  /** Begins to use the socket; gives the end of that. The socket ends with its last user. */
  readonly use: (makeAuth: MakeAuth) => () => void
  /** Waits until the socket is connected, or an attempt has failed that no other one follows. */
  readonly ready: Effect.Effect<void, ConnectError>
}

/** The target of a connection. The auth payload `true` stands for an effect. */
export interface Target {
  readonly namespace: string
  /** The contract, or the name. */
  readonly of: unknown
  readonly wire: ClientWire | undefined
  readonly auth: unknown
  /** Sees every status of the socket, and gives the one that takes its place. */
  readonly onStatus?: (status: SocketStatus) => SocketStatus
  /** Sees every event that the socket receives, and gives the one that takes its place. */
  readonly onEvent?: (packet: Received) => Received
  /** Gives the socket that takes the place of one. */
  readonly decorate?: ((socket: SocketRuntime, connection: Connection) => SocketRuntime) | undefined
}

/** The parts of a client that extras change. */
export interface ClientParts {
  /** Makes the sessions below connections. */
  readonly make: EngineClient.MakeEngineClient
  readonly dial: Dial
  readonly reconnection: false | Schedule.Schedule<unknown, Outage>
  readonly target: (target: Target) => Target
}

/** A client, as extras see it. */
export interface Extended extends Pick<Connection, "runtime" | "encode" | "send"> {
  readonly options: Pick<EngineClient.EngineClientOptions, "origin">
  readonly members: ReadonlyMap<string, Member>
  /** The namespaces whose former sockets the connection remembers. */
  readonly former: Map<string, Former>
}

/** Gives the parts that take the place of those of a client. */
export type Extend = (parts: ClientParts, client: Extended) => ClientParts

/** Changes a client. */
export interface Extra {
  readonly extend: Extend
}
