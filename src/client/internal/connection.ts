/** The connection to a server and the sockets on it, as they know each other. */
import type * as EngineClient from "../../engine/EngineClient.ts"
import type { EncodedPacket, SocketPacket } from "../../protocol/SocketPacket.ts"
import type { WriteStep } from "../ClientDebug.ts"
import type { ResolvedClientOptions } from "../ClientOptions.ts"
import type { ClientObserver } from "./observing.ts"

export interface ManagerRuntime extends EngineClient.EngineClientRuntime {
  /** Writes a debug line about a step of the connection, if the application wants that. */
  readonly debug: (...step: Parameters<WriteStep>) => void
  readonly warn: (message: string, annotations: Readonly<Record<string, unknown>>) => void
  /** The observer of the client, if it has telemetry. */
  readonly observer: ClientObserver | undefined
}

/** The end of the connection, or of an attempt to open it. */
export interface ConnectionEnd extends EngineClient.ClientClose {
  /** Whether another attempt follows. */
  readonly willRetry: boolean
}

/** A packet, and the connection over which it has come. */
export interface Received extends SocketPacket {
  readonly link: EngineClient.EngineClient
}

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
  readonly options: ResolvedClientOptions
  readonly runtime: ManagerRuntime
  /** The connection that is open, or being opened or closed. */
  readonly engine: EngineClient.EngineClient | undefined
  /** The connection is about to move to another server: events wait for that. */
  readonly isMoving: boolean
  /** Throws on a packet that cannot be encoded. */
  readonly encode: (packet: SocketPacket, mayHaveBinary: boolean) => EncodedPacket
  /** Sends a packet if the connection is open: this one, or the present one. */
  readonly send: (packet: EncodedPacket, compress?: boolean, link?: EngineClient.EngineClient) => void
}

/**
 * One connection to a server: opened when a namespace needs it, and opened again after an outage.
 */
export interface Manager<M extends Member> extends Connection {
  /** The sockets that want to be connected, by their namespaces. */
  readonly members: ReadonlyMap<string, M>
  /** Opens the connection for a socket, or lets it use the one that is open. */
  readonly add: (member: M) => void
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
