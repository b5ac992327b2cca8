/**
 * A client's connection, which carries its sockets in all namespaces.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { DisconnectReason } from "../DisconnectReason.ts"
import type { ConnectionDetails } from "../engine/EngineRequest.ts"
import type { SessionClose } from "../engine/EngineSession.ts"

/**
 * A socket, as its connection knows it: the members that every `ServerSocket` has, whatever its
 * contract.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectedSocket {
  /** The id, which the client knows. */
  readonly id: string
  /** The namespace that the client joined. */
  readonly namespace: string
  /** Whether the socket is connected. */
  readonly connected: boolean
  /** Disconnects the socket, or with `close` the whole connection. */
  disconnect(options?: { readonly close?: boolean }): Effect.Effect<void>
  /** Waits until the socket has disconnected, and gives the reason. */
  readonly disconnected: Effect.Effect<DisconnectReason>
}

/**
 * A client's connection: one session of Engine.IO, and the client's sockets over it.
 *
 * **Details**
 *
 * A socket has its connection (`socket.connection`), and `SocketIoServer.connections` streams those
 * that open. It lives until the client or the server closes it, or the server's scope closes. A
 * change of the transport, such as an upgrade to WebSocket, does not end it. A client that
 * reconnects has a new connection.
 *
 * Its scope closes after the scopes of its sockets: a resource in it is there for all of them, and
 * for their finalizers. Interruption of {@link closed} stops the wait, and closes nothing.
 *
 * **Gotchas**
 *
 * A connection has no sockets until the client has joined a namespace. It may never join one: the
 * server then closes it after `limits.connectTimeout`.
 *
 * `sockets` are those of this connection. A user with two browser tabs has two connections: put
 * the sockets of a user in a room.
 *
 * **Example** (Two namespaces of one client)
 *
 * ```ts
 * const AdminLive = SocketIoServer.layerNamespace(Admin, Effect.fnUntraced(function*(socket) {
 *   const chat = yield* SocketIoServer.namespace(Chat)
 *   return Admin.of({
 *     announce: Effect.fnUntraced(function*(text: string) {
 *       const same = yield* chat.socket(socket.connection)
 *       if (Option.isSome(same)) yield* same.value.emit("notice", text)
 *     })
 *   })
 * }))
 * ```
 *
 * **Example** (A log of upgrades)
 *
 * ```ts
 * const log = SocketIoServer.connections().pipe(
 *   Stream.mapEffect((connection) =>
 *     connection.transportChanges.pipe(
 *       Stream.runForEach((name) => Effect.logDebug(`${connection.id} uses ${name}`)),
 *       Effect.forkScoped
 *     )
 *   ),
 *   Stream.runDrain
 * )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerConnection {
  /** The id of the Engine.IO session. The client and proxies know it; it is not a socket's id. */
  readonly id: string
  /** The details of the request that opened it: address, headers, query, URL. */
  readonly details: ConnectionDetails
  /** Whether it is open. */
  readonly isOpen: boolean
  /** The transport that it uses now. */
  readonly transport: string
  /**
   * Streams the name of the current transport, and then of each one that the connection changes to.
   * The stream ends with the connection.
   */
  readonly transportChanges: Stream.Stream<string>
  /**
   * Waits until it has closed, and gives the reason, with a description where more is known. At
   * once if it has closed already.
   */
  readonly closed: Effect.Effect<SessionClose>
  /**
   * The scope of the connection. It closes when the connection has ended and the scopes of its
   * sockets have closed. Failures of its finalizers are logged. Shutting down the server waits for
   * them, up to `drainTimeout`. A connection that does not use it has none.
   */
  readonly scope: Scope.Scope
  /**
   * Adds a finalizer to {@link scope}, with the services of the calling effect. It runs at once if
   * the scope has closed already.
   */
  addFinalizer<R>(finalizer: Effect.Effect<unknown, never, R>): Effect.Effect<void, never, R>
  /**
   * The client's connected sockets over this connection: one in each namespace that it is in. They
   * are the objects that their builders got. `handle.socket(connection)` gives one with its
   * contract.
   */
  readonly sockets: Effect.Effect<ReadonlyArray<ConnectedSocket>>
  /**
   * Closes the connection, after disconnecting its sockets: the client sees `io server disconnect`
   * and does not reconnect by itself. Messages that wait are sent first. Nothing happens if it has
   * closed already.
   */
  close(): Effect.Effect<void>
}
