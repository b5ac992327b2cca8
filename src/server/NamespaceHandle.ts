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
import type * as Namespace from "../Namespace.ts"
import type { AckError } from "../SocketIoError.ts"
import type { BroadcastOperator, PlainBroadcastOperator, RoomSelection } from "./BroadcastOperator.ts"
import type { PlainSocket, ServerSocket } from "./ServerSocket.ts"

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
 * An event that was broadcast from this server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Broadcast {
  readonly event: string
  /** The wire arguments. */
  readonly args: ReadonlyArray<unknown>
  /** The rooms that it was sent to; everybody if there are none. */
  readonly rooms: ReadonlyArray<string>
  /** The rooms that were left out. */
  readonly except: ReadonlyArray<string>
}

/**
 * A namespace. Its streams tell what happens on this server from the moment on in which they are run; a reader that falls behind by more
 * than 10,000 values loses the oldest.
 *
 * @since 0.1.0
 * @category models
 */
export interface NamespaceHandle<Operator, Socket> {
  readonly name: string
  /** The connected sockets of this process. */
  readonly sockets: Effect.Effect<ReadonlyArray<Socket>>
  /** The connected socket of this process that has an id; none if there is not, or it is on another server. */
  readonly socket: (sid: string) => Effect.Effect<Option.Option<Socket>>
  /** The members of rooms: of an empty list nobody. */
  readonly to: (rooms: RoomSelection) => Operator
  /** The same as `to`. */
  readonly in: (rooms: RoomSelection) => Operator
  /** All sockets but the members of rooms. */
  readonly except: (rooms: RoomSelection) => Operator
  /** All sockets in the namespace. */
  readonly all: Operator
  /** The sockets that connect, once their handlers are there. */
  readonly connections: Stream.Stream<Socket>
  /** The sockets that disconnect, and why. */
  readonly disconnections: Stream.Stream<Disconnection>
  /** Who joins and leaves which room, and which rooms come and go. */
  readonly roomChanges: Stream.Stream<RoomChange>
  /** What is broadcast in the namespace from this server. */
  readonly broadcasts: Stream.Stream<Broadcast>
}

/**
 * What servers of a cluster say to each other in a namespace with a contract: the events of `serverToServer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerSide<N extends Namespace.Any> {
  /**
   * Sends an event to the other servers, not to this one. A server on its own has nobody to send to. It dies of a payload that its
   * schema refuses.
   */
  serverSideEmit<const Name extends Event.Name<Namespace.ServerToServer<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToServer<N>, Name>>
  ): Effect.Effect<void>
  /**
   * The same, when the stream is run, and gives the answers of the others as they come. It ends when all have answered, but for
   * those that have no handler, or whose handler fails; a server on its own ends it at once. It fails with a declared failure that
   * another answers, and with an {@link AckError} on an answer that is not what the contract declares, or if the payload's schema
   * refuses it.
   */
  serverSideEmitWithAck<const Name extends Event.Name<Event.WithAck<Namespace.ServerToServer<N>>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToServer<N>, Name>>
  ): Stream.Stream<
    Event.Ack<Event.WithName<Namespace.ServerToServer<N>, Name>>,
    AckError | Event.Error<Event.WithName<Namespace.ServerToServer<N>, Name>>
  >
  /**
   * Handles an event of the other servers, until the scope closes, which interrupts handlers that are under way. What the handler
   * returns answers those that ask, as does a failure that the event declares; another failure or a defect is logged. Where there
   * are several handlers, the first answer counts.
   */
  onServerSide<const Name extends Event.Name<Namespace.ServerToServer<N>>, E, R>(
    event: Name,
    handler: (
      payload: Event.Payload<Event.WithName<Namespace.ServerToServer<N>, Name>>
    ) => Effect.Effect<ServerSideAnswer<Event.WithName<Namespace.ServerToServer<N>, Name>>, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
}

/**
 * What the handler of an event between servers returns.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ServerSideAnswer<E extends Event.Any> = [Event.Ack<E>] extends [never] ? unknown : Event.Ack<E>

/**
 * The same without a contract: any event.
 *
 * @since 0.1.0
 * @category models
 */
export interface PlainServerSide {
  serverSideEmit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void>
  serverSideEmitWithAck(event: string, ...args: ReadonlyArray<unknown>): Stream.Stream<ReadonlyArray<unknown>>
  onServerSide<E, R>(
    event: string,
    handler: (...args: Array<any>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
}

/**
 * A namespace with a contract.
 *
 * @since 0.1.0
 * @category models
 */
export interface ContractHandle<N extends Namespace.Any>
  extends
    NamespaceHandle<BroadcastOperator<N>, ServerSocket<N>>,
    Pick<
      BroadcastOperator<N>,
      "emit" | "emitWithAck" | "fetchSockets" | "socketsJoin" | "socketsLeave" | "disconnectSockets"
    >,
    ServerSide<N> {}

/**
 * A namespace without a contract.
 *
 * @since 0.1.0
 * @category models
 */
export interface PlainHandle
  extends
    NamespaceHandle<PlainBroadcastOperator, PlainSocket>,
    Pick<
      PlainBroadcastOperator,
      "emit" | "emitWithAck" | "fetchSockets" | "socketsJoin" | "socketsLeave" | "disconnectSockets"
    >,
    PlainServerSide {}

/**
 * One of a contract's dynamic namespaces.
 *
 * @since 0.1.0
 * @category models
 */
export interface DynamicHandle<N extends Namespace.Any> extends ContractHandle<N> {
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
  /** Those that open, from the moment on in which the stream is run. */
  readonly opened: Stream.Stream<DynamicHandle<N>>
  /** Those that have closed, once what they held is given back, from the moment on in which the stream is run. */
  readonly closed: Stream.Stream<DynamicHandle<N>>
  /**
   * The one with these parameters, whether it is open on this server, on others, or not at all. What is sent to it reaches its
   * clients on all servers, and what other servers send to it is handled while the handler's scope is open. Its streams tell what
   * happens while it is open on this server, and end when it closes. Parameters that make no name of the pattern are a defect.
   */
  readonly get: (params: Namespace.Params<N>) => DynamicHandle<N>
  /** Sends an event to everybody in all of them that are open on this server. */
  readonly emit: BroadcastOperator<N>["emit"]
}
