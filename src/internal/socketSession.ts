import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"

/**
 * The key of what the sockets and the namespaces of a server tell other parts of this library about
 * sessions. The application's types do not have it.
 */
export const SESSION: unique symbol = Symbol("effect-socket.io/session")

/** The session of a socket, where recovery is on, also after the end of the socket. */
export interface SocketSession {
  /** A recovered socket: whether no other server has had the session since it was here before. */
  readonly isUnbroken: boolean
  /**
   * Sends an event that no contract declares to the client alone: now, or with its session once it
   * is back. `onLost` is called if the client may never get it, though it may be recovered: the log
   * that servers share may not have it.
   */
  emit(event: string, argument: unknown, onLost: () => void): Effect.Effect<void>
  /** Sends one past those that are on their way through a log. It is not recovered. */
  emitAtOnce(event: string, argument: unknown): Effect.Effect<void>
}

/** A server's socket, as other parts of this library see it. */
export interface WithSession {
  readonly [SESSION]: SocketSession
}

/** A handle of a namespace, as other parts of this library see it. */
export interface WithSessions {
  /**
   * Streams the sessions that end, or that another server has from now on. `pick` is called at
   * once, with the id of the socket; values other than `undefined` are streamed.
   */
  readonly [SESSION]: <A>(pick: (sid: string) => A | undefined) => Stream.Stream<A>
}
