/**
 * Namespaces as the rest of the application sees them: to broadcast from anywhere, and to watch.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { RoomChange } from "../adapter/Adapter.ts"
import type { DisconnectReason } from "../DisconnectReason.ts"
import type * as Event from "../Event.ts"
import type { SessionEndReason } from "../recovery/AwaySessions.ts"
import type * as Namespace from "../Namespace.ts"
import type { AckError, ServersMissingError } from "../SocketIoError.ts"
import type { Overflow, OverflowError, StreamOptions } from "../StreamOptions.ts"
import type { BroadcastOperator, RoomSelection } from "./BroadcastOperator.ts"
import type { ServerConnection } from "./ServerConnection.ts"
import type { ServerSocket } from "./ServerSocket.ts"

/**
 * A client that has disconnected from a namespace.
 *
 * @since 0.1.0
 * @category models
 */
export interface Disconnection {
  /** The socket's id. */
  readonly id: string
  readonly reason: DisconnectReason
}

/**
 * The end of a session, where recovery is on: the client cannot come back to it.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionEnd {
  /** The id of the session's sockets. */
  readonly sid: string
  readonly reason: SessionEndReason
}

/**
 * The recipients of a broadcast.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recipients {
  /** The rooms that it was sent to; all sockets if there are none. */
  readonly rooms: ReadonlyArray<string>
  /** The rooms that were left out. */
  readonly except: ReadonlyArray<string>
}

/**
 * An event that was broadcast from this server, for each of a union of events: with its payload, or
 * with its arguments where no contract declares it. The payload is the value that was emitted, and
 * not a copy.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Broadcast<E extends Event.Any> = E extends Event.Any ? Event.Message<E> & Recipients : never

/**
 * An event of a client with its socket, for each of a union of events.
 *
 * @since 0.1.0
 * @category utility types
 */
export type SocketEvent<Socket, E extends Event.Any> = E extends Event.Any
  ? Event.Message<E> & { readonly socket: Socket }
  : never

/**
 * The overflow policies of a namespace's streams. There is no `suspend`: the sockets of a namespace
 * do not wait for a reader of its news.
 *
 * @since 0.1.0
 * @category models
 */
export type NewsOverflow = Exclude<Overflow, "suspend">

/**
 * A namespace, as an application broadcasts in it and watches it.
 * `NamespaceHandle<Namespace.Untyped>` is that of a namespace whose events are not declared.
 *
 * **Details**
 *
 * Its streams give the news of this server from the time on at which they are run. By default each
 * fails with `StreamOverflow` when more than 10,000 values wait for its reader; `StreamOptions` say
 * otherwise. The stream of the error is the method's name.
 *
 * **Gotchas**
 *
 * `sockets`, `rooms` and the streams are about this process. `fetchSockets` and `to(room).size` ask
 * every server of a cluster.
 *
 * **Example** (Broadcasts from anywhere, and a log of those who leave)
 *
 * ```ts
 * const Main = Effect.gen(function*() {
 *   const chat = yield* SocketIoServer.namespace(Chat)
 *   yield* chat.to("lobby").emit("said", "The server is up.")
 *   yield* chat.disconnections({ overflow: "dropOldest" }).pipe(
 *     Stream.runForEach(({ id, reason }) => Effect.logInfo(`${id} has left`, reason))
 *   )
 * })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface NamespaceHandle<N extends Namespace.Any>
  extends
    Pick<
      BroadcastOperator<N>,
      "emit" | "emitWithAck" | "sink" | "pubsub" | "fetchSockets" | "socketsJoin" | "socketsLeave" | "disconnectSockets"
    >,
    ServerSide<N> {
  readonly name: string
  /** The connected sockets of this process. */
  readonly sockets: Effect.Effect<ReadonlyArray<ServerSocket<N>>>
  /**
   * The connected socket with an id, or the one that a client has over a connection; none if there
   * is no such socket in this process.
   */
  readonly socket: (of: string | ServerConnection) => Effect.Effect<Option.Option<ServerSocket<N>>>
  /**
   * The rooms that sockets of this process are in, with the number of those sockets: a copy. The
   * rooms of the sockets' own ids are not among them. `to(room).size` counts on every server.
   */
  readonly rooms: Effect.Effect<ReadonlyMap<string, number>>
  /** The members of rooms. An empty list has none. */
  readonly to: (rooms: RoomSelection) => BroadcastOperator<N>
  /** The same as `to`. */
  readonly in: (rooms: RoomSelection) => BroadcastOperator<N>
  /** All sockets but the members of rooms. */
  readonly except: (rooms: RoomSelection) => BroadcastOperator<N>
  /** All sockets in the namespace. */
  readonly all: BroadcastOperator<N>
  /** The sockets that connect, after their handlers were built. */
  readonly connections: <O extends NewsOverflow = "fail">(
    options?: StreamOptions<O>
  ) => Stream.Stream<ServerSocket<N>, OverflowError<O>>
  /** The sockets that disconnect, with their reasons. */
  readonly disconnections: <O extends NewsOverflow = "fail">(
    options?: StreamOptions<O>
  ) => Stream.Stream<Disconnection, OverflowError<O>>
  /**
   * The sessions that end, where the server's `recovery` is on: a disconnected client of which the
   * stream has not told may still come back, as the same socket.
   */
  readonly sessionEnds: <O extends NewsOverflow = "fail">(
    options?: StreamOptions<O>
  ) => Stream.Stream<SessionEnd, OverflowError<O>>
  /** The rooms that sockets join and leave, that are created and deleted. */
  readonly roomChanges: <O extends NewsOverflow = "fail">(
    options?: StreamOptions<O>
  ) => Stream.Stream<RoomChange, OverflowError<O>>
  /**
   * Streams the events that this server broadcasts in the namespace. With a contract these are its
   * declared events. An event that was emitted without the contract is included if its arguments
   * fit.
   */
  readonly broadcasts: <O extends NewsOverflow = "fail">(
    options?: StreamOptions<O>
  ) => Stream.Stream<Broadcast<Namespace.ServerToClient<N>>, OverflowError<O>>
  /**
   * Streams the events of this server's clients, each with its socket, after middleware: those that
   * the contract declares or, without a contract, those that no contract declares.
   *
   * It also overflows when the events of one client that wait take half of
   * `limits.maxPendingBytes`. A client can bring that about: prefer `dropOldest` or `dropNewest`
   * where clients are not trusted, or {@link ServerSocket.events}, which makes the client wait.
   */
  readonly events: <O extends NewsOverflow = "fail">(
    options?: StreamOptions<O>
  ) => Stream.Stream<SocketEvent<ServerSocket<N>, Namespace.ClientToServer<N>>, OverflowError<O>>
}

/**
 * The events between the servers of a cluster: the contract's `serverToServer`, or any event of an
 * untyped one.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerSide<N extends Namespace.Any> {
  /**
   * Sends an event to the other servers, not to this one. Nothing happens where there is no other.
   * It dies of a payload that its schema refuses.
   */
  serverSideEmit<const Name extends Event.Name<Namespace.ServerToServer<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToServer<N>, Name>>
  ): Effect.Effect<void>
  /**
   * The same, when the stream is run, and gives the answers of the others as they come. It ends
   * when all have answered that have a handler which does not fail; at once where there is no other
   * server. It fails with a declared failure that another answers, and with an {@link AckError} on
   * an answer that does not match the contract, or if the payload's schema refuses it. It fails at
   * its end with a {@link ServersMissingError} if some servers did not answer.
   */
  serverSideEmitWithAck<const Name extends Event.Name<Event.WithAck<Namespace.ServerToServer<N>>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToServer<N>, Name>>
  ): Stream.Stream<
    Event.Ack<Event.WithName<Namespace.ServerToServer<N>, Name>>,
    AckError | ServersMissingError | Event.Error<Event.WithName<Namespace.ServerToServer<N>, Name>>
  >
  /**
   * Handles an event of the other servers, until the scope closes, which interrupts running
   * handlers. The handler's value, or a declared failure of the event, answers a server that asks;
   * another failure or a defect is logged. If there are several handlers, the first answer counts.
   */
  onServerSide<const Name extends Event.Name<Namespace.ServerToServer<N>>, E, R>(
    event: Name,
    handler: (
      ...args: Namespace.HandlerArguments<Event.WithName<Namespace.ServerToServer<N>, Name>>
    ) => Effect.Effect<Namespace.HandlerValue<Event.WithName<Namespace.ServerToServer<N>, Name>>, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
}

/**
 * One of a contract's dynamic namespaces.
 *
 * @since 0.1.0
 * @category models
 */
export interface DynamicHandle<N extends Namespace.Any> extends NamespaceHandle<N> {
  /** The parameters in its name. */
  readonly params: Namespace.Params<N>
}

/**
 * All the namespaces of a dynamic contract.
 *
 * @since 0.1.0
 * @category models
 */
export interface DynamicHandles<N extends Namespace.Any> {
  readonly pattern: string
  /** Those that are open on this server. */
  readonly active: Effect.Effect<ReadonlyArray<DynamicHandle<N>>>
  /**
   * Those that open, from the time on at which the stream is run. It overflows as the streams of
   * {@link NamespaceHandle} do.
   */
  readonly openings: <O extends NewsOverflow = "fail">(
    options?: StreamOptions<O>
  ) => Stream.Stream<DynamicHandle<N>, OverflowError<O>>
  /**
   * Those that have closed, after everything that they held was given back, from the time on at
   * which the stream is run.
   */
  readonly closings: <O extends NewsOverflow = "fail">(
    options?: StreamOptions<O>
  ) => Stream.Stream<DynamicHandle<N>, OverflowError<O>>
  /**
   * The one with these parameters, whether it is open on this server, on others, or not at all. Its
   * operators reach its clients on all servers, and a handler of events between servers works while
   * its scope is open. Its streams give news while it is open on this server, and end when it
   * closes. Parameters that make no name of the pattern are a defect.
   */
  readonly get: (params: Namespace.Params<N>) => DynamicHandle<N>
  /** Sends an event to all sockets of all of them that are open on this server. */
  readonly emit: BroadcastOperator<N>["emit"]
}
