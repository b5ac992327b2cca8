/**
 * A client's connection to a namespace, as handlers see it.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { DisconnectReason } from "../DisconnectReason.ts"
import type * as Event from "../Event.ts"
import type { Handshake } from "../Handshake.ts"
import type * as Namespace from "../Namespace.ts"
import type * as NamespaceMiddleware from "../NamespaceMiddleware.ts"
import type { Overflow, OverflowError, StreamOptions } from "../StreamOptions.ts"
import type { BroadcastOperator, RoomSelection } from "./BroadcastOperator.ts"
import type { EventRefused } from "./EventRefused.ts"
import type { ConnectedSocket, ServerConnection } from "./ServerConnection.ts"
import type { SocketEmitter } from "./SocketEmitter.ts"

export { EventRefused } from "./EventRefused.ts"

/**
 * An event of the client, as packet middleware sees it: before its payload is decoded.
 *
 * @since 0.1.0
 * @category models
 */
export interface IncomingEvent {
  readonly event: string
  /** The wire arguments. */
  readonly args: ReadonlyArray<unknown>
  /** Whether the client asks for an acknowledgement. */
  readonly needsAck: boolean
}

/**
 * The recovery of a client that has lost its connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface SocketRecovery {
  /** The number of messages that it has received late. */
  readonly missed: number
  /** The time from the noticed end of its connection to its return. */
  readonly outage: Duration.Duration
}

/**
 * The members of a socket that do not depend on its contract.
 *
 * **Details**
 *
 * Middleware and handlers that are added here are there until the scope closes in which they are
 * added, or the socket disconnects. A builder runs in its socket's scope, so they stay to the end
 * there. Anywhere else, `Effect.scoped` takes them back: the scope's end removes them, and
 * interrupts handlers that are under way.
 *
 * **Example** (A log of one exchange)
 *
 * ```ts
 * const traced = Effect.scoped(
 *   Effect.gen(function*() {
 *     yield* socket.onAny((event) => Effect.logDebug(event))
 *     yield* exchange(socket)
 *   })
 * )
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerSocketBase extends ConnectedSocket {
  /**
   * The socket's id, which the client knows. It is also the name of a room in which the socket is
   * alone.
   */
  readonly id: string
  /** The namespace that the client joined. */
  readonly namespace: string
  readonly handshake: Handshake
  /** The client's connection, which the client's sockets in other namespaces share. */
  readonly connection: ServerConnection
  /**
   * Whether its client has come back after a lost connection, and has received everything that it
   * had missed: it has its earlier id, rooms and data. Always `false` unless the server's
   * `recovery` is on.
   */
  readonly recovered: boolean
  /** The number of messages that it had missed, and the time without a connection. */
  readonly recovery: Option.Option<SocketRecovery>
  /**
   * Whether its client may come back to it after a lost connection: the server's `recovery` is on,
   * and the client knows of it. `false` once the socket has disconnected.
   */
  readonly recoverable: boolean
  /** The transport that the connection uses now. */
  readonly transport: string
  /** Whether the socket is connected. */
  readonly connected: boolean
  /** Whether its handlers are there. While its builder is at work, the client's events wait. */
  readonly ready: boolean
  /**
   * The rooms that the socket is in now, the one of its own id included. Once it has disconnected,
   * those that it was in then: its finalizers see them.
   */
  readonly rooms: ReadonlySet<string>
  /** Joins rooms. Nothing happens once the socket has disconnected. */
  join(rooms: RoomSelection): Effect.Effect<void>
  /** Leaves rooms. */
  leave(rooms: RoomSelection): Effect.Effect<void>
  /**
   * Asks for each room of the socket whether it may stay there, and leaves the others at once: for
   * a client whose rights have changed. The room of the socket's own id is not asked for.
   *
   * Gives the rooms that it has left. A room for which the effect fails is left, too; the first
   * failure is given after all rooms were asked for.
   *
   * **Example** (Rooms that the user may not read any more)
   *
   * ```ts
   * yield* socket.onAuth((user) => socket.reauthorize((room) => Effect.succeed(user.rooms.includes(room))))
   * ```
   */
  reauthorize<E, R>(may: (room: string) => Effect.Effect<boolean, E, R>): Effect.Effect<ReadonlyArray<string>, E, R>
  /**
   * Disconnects the socket from its namespace: the client sees `io server disconnect` and does not
   * reconnect by itself. With `close` the whole connection is closed, and every other namespace on
   * it is left the same way.
   *
   * The socket's scope closes, which interrupts its handlers, the calling one included.
   */
  disconnect(options?: { readonly close?: boolean }): Effect.Effect<void>
  /** Waits until the socket has disconnected, and gives the reason. */
  readonly disconnected: Effect.Effect<DisconnectReason>
  /**
   * Runs when the socket is about to disconnect: it still is in its rooms, and all that the handler
   * sends before it suspends still reaches them. Finalizers of the socket's scope run afterwards.
   */
  onDisconnecting<E, R>(
    handler: (reason: DisconnectReason) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
  /**
   * Adds packet middleware: it sees every event of the client from now on, before its payload is
   * decoded and its handlers start, and refuses it by failing with {@link EventRefused}. It does
   * not see events above their rate limit, and refreshes of rights.
   *
   * Middlewares run in the order in which they were added. While one checks an event, the next
   * events wait: they keep their order. A middleware that dies, or does not end within
   * `middlewareTimeout`, refuses the event, and is logged.
   */
  use<R>(
    middleware: (event: IncomingEvent) => Effect.Effect<unknown, EventRefused, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
  /**
   * Sees every event that comes in, before middleware and handlers, but not those above their rate
   * limit, and refreshes of rights.
   */
  onAny<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
  /**
   * Sees every event that goes out to the client, broadcasts included, with its wire arguments; not
   * acknowledgements.
   */
  onAnyOutgoing<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
}

/**
 * A client's connection to a namespace. `ServerSocket<Namespace.Untyped>` is that of a namespace
 * whose events are not declared: any event, arguments of type `unknown`.
 *
 * **Details**
 *
 * It lives until either side disconnects, the connection ends, or the server's scope closes; that
 * closes the scope in which the namespace's builder ran, and interrupts handlers that are under
 * way.
 *
 * `emit` and `emitWithAck` address this client. `to`, `in`, `except` and `broadcast` address the
 * other sockets of the namespace, on every server of a cluster.
 *
 * **Gotchas**
 *
 * `emit` does not fail once the socket has disconnected: the event is lost. Ask for an
 * acknowledgement where that matters. A client that connects again is a new socket, with a new id
 * and no rooms, unless the server's `recovery` is on.
 *
 * **Example** (A room, and the others in it)
 *
 * ```ts
 * const ChatLive = SocketIoServer.layerNamespace(Chat, (socket) =>
 *   Effect.succeed(Chat.of({
 *     join: ({ room }) => Effect.as(socket.join(room), 1),
 *     say: (text) => socket.to([...socket.rooms]).emit("said", text)
 *   })))
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerSocket<N extends Namespace.Any>
  extends ServerSocketBase, SocketEmitter<N>, BroadcastTargets<BroadcastOperator<N>> {
  /**
   * The auth payload, decoded by the contract. An untyped contract without `auth` gives it as it
   * came.
   */
  readonly auth: N["auth"]["Type"]
  /** The parameters of a dynamic namespace's name. */
  readonly params: Namespace.Params<N>
  /**
   * The socket's data, as far as they were set. Fetched sockets have them, on other servers, too.
   */
  readonly data: Partial<Namespace.Data<N>>
  /**
   * Sets fields of {@link ServerSocket.data}; those that are not mentioned stay, and `undefined`
   * takes one away. A value that is not of the declared type is a defect.
   */
  setData(data: DataUpdate<N>): Effect.Effect<void>
  /**
   * Runs after every refresh of the client's rights (see `NamespaceMiddleware.RefreshOptions`),
   * with the service that the middleware provides now. Handlers that start from then on see that
   * service, too. The client gets the answer to its refresh after these handlers: it knows then
   * that what they do is done. A failure is logged, and changes nothing.
   *
   * It never runs in a namespace without such a middleware.
   */
  onAuth<E, R>(
    handler: (
      service: NamespaceMiddleware.Refreshable<N[typeof Namespace.TypeId]["middleware"]>
    ) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
  /**
   * Handles an event of the client, with its payload, or with its arguments if it is untyped.
   *
   * **Details**
   *
   * The handler is there until the scope closes in which it is added, or the socket disconnects
   * (see {@link ServerSocketBase}). Several handlers of one event all run. A failure or defect of a
   * handler stays with its event: it is logged.
   *
   * A declared event is answered by the builder's record; handlers here only see it. An untyped
   * event is answered by the first handler that yields a value: none for `undefined`, several for
   * {@link ackArguments}.
   *
   * **Gotchas**
   *
   * Events without a handler are lost. A builder that adds its handlers before it ends misses none:
   * events wait for it.
   */
  on<const Name extends Event.Name<Namespace.ClientToServer<N>>, E, R>(
    event: Name,
    handler: (
      ...args: Namespace.HandlerArguments<Event.WithName<Namespace.ClientToServer<N>, Name>>
    ) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
  /** The same as {@link on} for one event: the next one of this name takes the handler back. */
  once<const Name extends Event.Name<Namespace.ClientToServer<N>>, E, R>(
    event: Name,
    handler: (
      ...args: Namespace.HandlerArguments<Event.WithName<Namespace.ClientToServer<N>, Name>>
    ) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
  /**
   * The payloads of an event from the moment on in which the stream is run, beside its handler; for
   * an untyped event, its arguments. It ends when the socket disconnects.
   *
   * **Details**
   *
   * By default (`suspend`) the client waits for the reader: its connection is not read while
   * `capacity` payloads wait, by default `reading.pauseAt`. As with slow handlers, the pause ends
   * after `reading.pauseTimeout`, or while an acknowledgement of the client is awaited. A
   * connection with more than `limits.maxPendingEvents` payloads for a reader, or
   * `limits.maxPendingBytes`, is closed with the reason `inbound overflow`.
   *
   * The other policies make no client wait: they drop payloads, or the stream fails with
   * `StreamOverflow`, when `capacity` payloads wait, by default 10,000, or when half of
   * `limits.maxPendingBytes` waits.
   */
  stream<const Name extends Event.Name<Namespace.ClientToServer<N>>, O extends Overflow = "suspend">(
    event: Name,
    options?: StreamOptions<O>
  ): Stream.Stream<Event.Payload<Event.WithName<Namespace.ClientToServer<N>, Name>>, OverflowError<O>>
  /**
   * The same as {@link ServerSocket.stream} from now on: payloads that come before the stream is
   * run wait in it.
   */
  subscribe<const Name extends Event.Name<Namespace.ClientToServer<N>>, O extends Overflow = "suspend">(
    event: Name,
    options?: StreamOptions<O>
  ): Effect.Effect<
    Stream.Stream<Event.Payload<Event.WithName<Namespace.ClientToServer<N>, Name>>, OverflowError<O>>,
    never,
    Scope.Scope
  >
  /**
   * Streams all events of the client that the contract declares, each with its name, in the order
   * in which they reach their handlers. See {@link ServerSocket.stream}. The `stream` of its
   * `StreamOverflow` is `events`.
   *
   * Those of an untyped socket are all that no contract declares. An event that no handler and no
   * other stream takes still counts as unhandled there.
   */
  events<O extends Overflow = "suspend">(
    options?: StreamOptions<O>
  ): Stream.Stream<Event.Message<Namespace.ClientToServer<N>>, OverflowError<O>>
  /**
   * The same socket without the contract's declarations: for events and data that it does not
   * declare. A declared event cannot be handled or streamed here: that is a defect.
   */
  readonly untyped: ServerSocket<Namespace.Untyped>
}

/**
 * The argument of {@link ServerSocket.setData}: some of the declared fields. It is empty if none
 * are declared.
 *
 * @since 0.1.0
 * @category utility types
 */
export type DataUpdate<N extends Namespace.Any> = [keyof Namespace.Data<N>] extends [never]
  ? Readonly<Record<string, never>>
  : Partial<OrUndefined<Namespace.Data<N>>>

type OrUndefined<Data> = { readonly [K in keyof Data]: Data[K] | undefined }

/**
 * The other sockets that a socket can address.
 *
 * @since 0.1.0
 * @category models
 */
export interface BroadcastTargets<Operator> {
  /** The members of rooms, without this socket. An empty list has none. */
  to(rooms: RoomSelection): Operator
  /** The same as {@link to}. */
  in(rooms: RoomSelection): Operator
  /** All sockets of the namespace except the members of rooms and this socket. */
  except(rooms: RoomSelection): Operator
  /** All sockets of the namespace but this one. */
  readonly broadcast: Operator
}

export { AckArguments, ackArguments } from "../AckArguments.ts"
export type { SocketEmitter } from "./SocketEmitter.ts"
