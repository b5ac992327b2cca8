/**
 * The recipients of what a process emits that is no server: immutable values that are made cheaply
 * and used at once or kept.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Sink from "effect/Sink"

import type * as Event from "../Event.ts"
import type * as Namespace from "../Namespace.ts"
import type { RoomSelection } from "../server/BroadcastOperator.ts"
import type { RedisError } from "./RedisError.ts"

/**
 * Emits the events that a contract sends to clients, and acts on sockets, on all servers of a
 * cluster. An untyped contract has all events, with any arguments: JSON values and bytes.
 *
 * **Details**
 *
 * Every effect ends when Redis has confirmed the message, and fails with a {@link RedisError} if it
 * has not: see `RedisEmitter`. Redis does not say which servers have heard it.
 *
 * @since 0.1.0
 * @category models
 */
export interface EmitterOperator<N extends Namespace.Any> {
  /**
   * Adds rooms: their members get the event, once each. An empty list adds no members: without
   * another room, the event has no recipients. An operator without rooms selects all sockets of the
   * namespace. The id of a socket is a room.
   */
  to(rooms: RoomSelection): EmitterOperator<N>
  /** The same as {@link to}. */
  in(rooms: RoomSelection): EmitterOperator<N>
  /** Leaves out the members of rooms. An empty list leaves out none. */
  except(rooms: RoomSelection): EmitterOperator<N>
  /**
   * Leaves out the sockets for which the event would have to wait: for events that are soon
   * replaced by newer ones. Redis confirms these events, too.
   */
  readonly volatile: EmitterOperator<N>
  /** Whether the event may be compressed, on connections with compression. Default: true. */
  compress(compress: boolean): EmitterOperator<N>
  /**
   * Sends an event to the selection, on all servers. A fiber's events keep their order, but on a
   * Redis Cluster with sharded channels: there it holds within one room.
   *
   * It dies of a payload that its schema refuses, of arguments that cannot be encoded, and of a
   * function, even without recipients.
   */
  emit<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToClient<N>, Name>>
  ): Effect.Effect<void, RedisError>
  /**
   * Emits every payload of a stream to the selection, one after the other, as {@link emit} does.
   */
  sink<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name
  ): Sink.Sink<void, Event.EmitPayload<Event.WithName<Namespace.ServerToClient<N>, Name>>, never, RedisError>
  /** Makes the selected sockets join rooms. */
  socketsJoin(rooms: RoomSelection): Effect.Effect<void, RedisError>
  /** Makes the selected sockets leave rooms. */
  socketsLeave(rooms: RoomSelection): Effect.Effect<void, RedisError>
  /**
   * Disconnects the selected sockets from the namespace, or with `close` their whole connections.
   */
  disconnectSockets(options?: { readonly close?: boolean }): Effect.Effect<void, RedisError>
}

/**
 * A namespace of a cluster, as a process sees it that is no server. Its operators select all
 * sockets, unless rooms are added.
 *
 * @since 0.1.0
 * @category models
 */
export interface EmitterNamespace<N extends Namespace.Any> extends EmitterOperator<N> {
  readonly name: string
  /** All sockets in the namespace. */
  readonly all: EmitterOperator<N>
  /**
   * Sends an event of the contract's `serverToServer` to all servers; any event without a contract.
   * There are no answers. It dies of a payload that its schema refuses.
   */
  serverSideEmit<const Name extends Event.Name<Namespace.ServerToServer<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToServer<N>, Name>>
  ): Effect.Effect<void, RedisError>
}
