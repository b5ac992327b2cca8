/**
 * A client's connection to a namespace, as handlers see it.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"

import type { DisconnectReason } from "../DisconnectReason.ts"
import type { TransportName } from "../engine/Transport.ts"
import type * as Event from "../Event.ts"
import type { Handshake } from "../Handshake.ts"
import type * as Namespace from "../Namespace.ts"
import type { AckError } from "../SocketIoError.ts"
import type { BroadcastOperator, PlainBroadcastOperator, RoomSelection } from "./BroadcastOperator.ts"

/**
 * What sockets with and without a contract have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface SocketBase {
  /** The socket's id, which the client knows. It is also the name of a room in which the socket is alone. */
  readonly id: string
  /** The namespace that the client joined. */
  readonly namespace: string
  readonly handshake: Handshake
  /** The transport that the connection uses now. */
  readonly transport: TransportName
  /** Whether the socket is connected. */
  readonly connected: boolean
  /** The rooms that the socket is in now, the one of its own id included. */
  readonly rooms: ReadonlySet<string>
  /** Joins rooms. Nothing happens once the socket has disconnected. */
  join(rooms: RoomSelection): Effect.Effect<void>
  /** Leaves rooms. */
  leave(rooms: RoomSelection): Effect.Effect<void>
  /**
   * Disconnects the socket from its namespace: the client sees `io server disconnect` and does not reconnect by itself.
   * With `close` the whole connection is closed, and every other namespace on it is left the same way.
   *
   * The socket's scope closes, which interrupts its handlers, the calling one included.
   */
  disconnect(options?: { readonly close?: boolean }): Effect.Effect<void>
  /** Waits until the socket has disconnected, and says why. */
  readonly disconnected: Effect.Effect<DisconnectReason>
}

/**
 * A client's connection to a namespace with a contract.
 *
 * It lives until either side disconnects, the connection ends, or the server's scope closes; that closes the scope in which
 * the namespace's builder ran, and interrupts handlers that are under way.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerSocket<N extends Namespace.Any> extends SocketBase, BroadcastTargets<BroadcastOperator<N>> {
  /** The auth payload, decoded by the contract. */
  readonly auth: N["auth"]["Type"]
  /**
   * Sends an event to the client. It does not wait for anything, and never fails: nothing happens once the socket has
   * disconnected. A payload that is not of the declared type is a defect.
   */
  emit<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToClient<N>, Name>>
  ): Effect.Effect<void>
  /**
   * Sends an event and waits for its acknowledgement.
   *
   * Fails with one of the event's declared failures, or with an {@link AckError} when the client disconnects or answers
   * something else. It waits as long as the client is connected: add `Effect.timeout`. Interruption forgets the
   * acknowledgement.
   */
  emitWithAck<const Name extends Event.Name<Event.WithAck<Namespace.ServerToClient<N>>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToClient<N>, Name>>
  ): Effect.Effect<
    Event.Ack<Event.WithName<Namespace.ServerToClient<N>, Name>>,
    AckError | Event.Error<Event.WithName<Namespace.ServerToClient<N>, Name>>
  >
  /** The same socket without the contract: for events that it does not declare. */
  readonly plain: PlainSocket
}

/**
 * A client's connection to a namespace, without a contract: any event, arguments of any type.
 *
 * @since 0.1.0
 * @category models
 */
export interface PlainSocket extends SocketBase, BroadcastTargets<PlainBroadcastOperator> {
  /**
   * Handles an event until the socket disconnects. Where the client asks for an acknowledgement, it gets the handler's
   * value: none for `undefined`, several for {@link ackArguments}. A failure or defect of the handler stays with its
   * event: it is logged, and not acknowledged. Several handlers of one event all run; the first value acknowledges.
   *
   * A contract's events go to the contract's handlers alone.
   */
  on<E, R>(event: string, handler: (...args: Array<any>) => Effect.Effect<unknown, E, R>): Effect.Effect<void, never, R>
  /** Sees every event that comes in, before its handlers, until the socket disconnects. */
  onAny<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R>
  /** Sends an event. Arguments are JSON values and bytes (`Uint8Array` or another view, `ArrayBuffer`). */
  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void>
  /** Sends an event and waits for the arguments of its acknowledgement. */
  emitWithAck(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<unknown>, AckError>
}

/**
 * Whom else a socket can address.
 *
 * @since 0.1.0
 * @category models
 */
export interface BroadcastTargets<Operator> {
  /** The members of rooms, without this socket. */
  to(rooms: RoomSelection): Operator
  /** The same as {@link to}. */
  in(rooms: RoomSelection): Operator
  /** Everybody in the namespace but the members of rooms, without this socket. */
  except(rooms: RoomSelection): Operator
  /** Everybody in the namespace, without this socket. */
  readonly broadcast: Operator
}

/**
 * Several arguments of an acknowledgement, as the value of a plain handler.
 *
 * @since 0.1.0
 * @category models
 */
export class AckArguments {
  readonly values: ReadonlyArray<unknown>
  constructor(values: ReadonlyArray<unknown>) {
    this.values = values
  }
}

/**
 * Acknowledges with several arguments: the value to return from a plain handler.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ackArguments = (...values: ReadonlyArray<unknown>): AckArguments => new AckArguments(values)
