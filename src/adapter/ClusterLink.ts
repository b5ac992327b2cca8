/**
 * The port between an adapter for a cluster and a wire format: how the messages of one namespace
 * travel between servers.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import type { SharedLog } from "./SharedLog.ts"
import type { RecoveryHost } from "./Adapter.ts"
import type { ClusterAnswer, ClusterMessage, Sender } from "./ClusterMessage.ts"

/**
 * One namespace's line to the other servers.
 *
 * **Details**
 *
 * A link never fails and never throws: it encodes a message at once, keeps it, within bounds, while
 * the broker is away, and counts what it has to drop in the `ClusterMonitor`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClusterLink {
  /** The id of this server in this namespace; unique, and new at every start. */
  readonly uid: string
  /** Sends a message to all other servers of the namespace, in the order of the calls. */
  readonly send: (message: ClusterMessage) => void
  /** Sends an answer to the server that has asked. */
  readonly answer: (to: Sender, answer: ClusterAnswer) => void
  /**
   * The number of servers in the namespace, this one included, after all that was sent before has
   * reached the broker: each of these servers gets it. `undefined` while it cannot be known, or
   * cannot be believed: during an outage and shortly after it.
   */
  readonly servers: Effect.Effect<number | undefined>
  /**
   * The number of servers at the last count that was believed, this one included: those that are
   * missing where nobody can count them. `undefined` before the first one. Default: it is not
   * known.
   */
  readonly lastServers?: () => number | undefined
  /**
   * For how long the broker has been out of reach, in milliseconds; 0 while it is reached.
   * Questions that nobody is at work on do not wait for a broker that is away for longer than a
   * second. Default: it is always reached.
   */
  readonly awayFor?: () => number
  /** A room has its first member on this server: links that subscribe to rooms do so. */
  readonly onRoomCreated?: (room: string) => void
  /** A room has lost its last member on this server. */
  readonly onRoomDeleted?: (room: string) => void
  /**
   * Waits until this server hears the messages to a room; `undefined` if it does already. It does
   * not wait for a broker that is away.
   */
  readonly whenHeard?: (room: string) => Effect.Effect<void> | undefined
  /**
   * The log that all servers share, where the receiver asks for one. The receiver gets what its own
   * server has appended as it gets what others have.
   */
  readonly log?: Omit<SharedLog, "watch"> | undefined
}

/**
 * The receiver of a link's messages: the adapter. Its methods are synchronous and never throw.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClusterReceiver {
  readonly onMessage: (from: Sender, message: ClusterMessage) => void
  readonly onAnswer: (from: Sender, answer: ClusterAnswer) => void
  /** A server has left in good order, or is known to be dead. */
  readonly onServerLeft: (uid: string, isDead: boolean) => void
  /** Whether a socket of this server is in a room. The room of a socket's own id counts. */
  readonly hasRoom: (room: string) => boolean
  /** The ids of this server's sockets in any of the rooms, or of all without a room. */
  readonly socketIds: (rooms: ReadonlyArray<string>) => ReadonlyArray<string>
  /** The rooms of this server's sockets, with those of their own ids. */
  readonly roomNames: () => ReadonlyArray<string>
  /** Recovery, where a link with a log is asked for it. */
  readonly recovery?: RecoveryHost | undefined
}

/**
 * Opens the link of a namespace, in the namespace's scope. It must not suspend: a link connects in
 * the background.
 *
 * @since 0.1.0
 * @category models
 */
export type LinkFactory = (
  namespace: string,
  receiver: ClusterReceiver
) => Effect.Effect<ClusterLink, never, Scope.Scope>
