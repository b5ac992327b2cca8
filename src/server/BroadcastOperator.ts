/**
 * The recipients of a broadcast: immutable values that are made cheaply and used at once or kept.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as PubSub from "effect/PubSub"
import type * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"

import type * as Event from "../Event.ts"
import type { Handshake } from "../Handshake.ts"
import type * as Namespace from "../Namespace.ts"
import type { AckError, ServersMissingError } from "../SocketIoError.ts"
import type { StreamOptions } from "../StreamOptions.ts"

/**
 * One room or several. An empty list has no members. Every value except a string is a defect, even
 * a number.
 *
 * @since 0.1.0
 * @category models
 */
export type RoomSelection = string | ReadonlyArray<string>

/**
 * Options of the `PubSub` of an event. A `PubSub` has no error, and broadcasts do not wait for its
 * subscribers: it drops payloads for a subscriber that is too slow, the oldest or the newest ones,
 * and has no default for this.
 *
 * @since 0.1.0
 * @category options
 */
export interface PubSubOptions extends StreamOptions<"dropOldest" | "dropNewest"> {
  /** The policy when `capacity` payloads wait for a subscriber, and more come. */
  readonly overflow: "dropOldest" | "dropNewest"
}

/**
 * A recipient's answer to a broadcast.
 *
 * @since 0.1.0
 * @category models
 */
export interface BroadcastAck<Ack, Error> {
  /** The id of the socket that has answered; `undefined` if it is on an official server. */
  readonly sid: string | undefined
  /**
   * The decoded answer, a declared failure, or an `AckError` if the answer does not match the
   * contract. The arguments of the acknowledgement for an untyped event.
   */
  readonly response: Result.Result<Ack, Error>
}

/**
 * Narrows or widens a selection. Every method returns a new operator: `Self`, or the form of it
 * that stays in this process.
 *
 * @since 0.1.0
 * @category models
 */
export interface Selecting<Self, Local = Self> {
  /**
   * Adds rooms: their members get the event, once each. An empty list adds no members: without
   * another room, the event has no recipients. `all`, or an operator without rooms, selects all
   * sockets of the namespace.
   */
  to(rooms: RoomSelection): Self
  /** The same as {@link to}. */
  in(rooms: RoomSelection): Self
  /** Leaves out the members of rooms. An empty list leaves out none. */
  except(rooms: RoomSelection): Self
  /**
   * Leaves out the sockets for which the event would have to wait: for events that are soon
   * replaced by newer ones.
   */
  readonly volatile: Self
  /** Only the sockets of this process. It asks no other server, so its questions do not fail. */
  readonly local: Local
  /** Whether the event may be compressed, on connections with compression. Default: true. */
  compress(compress: boolean): Self
  /**
   * Makes the selected sockets join rooms. It skips a socket whose connection has reached
   * `maxRooms`.
   */
  socketsJoin(rooms: RoomSelection): Effect.Effect<void>
  /** Makes the selected sockets leave rooms. */
  socketsLeave(rooms: RoomSelection): Effect.Effect<void>
  /**
   * Disconnects the selected sockets from the namespace, or with `close` their whole connections.
   */
  disconnectSockets(options?: { readonly close?: boolean }): Effect.Effect<void>
}

/**
 * The members of a fetched socket that do not depend on its contract: its state when it was
 * fetched, and the ways to reach it, on any server of the cluster.
 *
 * @since 0.1.0
 * @category models
 */
export interface RemoteSocketBase {
  readonly id: string
  readonly handshake: Handshake
  /** The rooms that the socket was in, the one of its own id included. */
  readonly rooms: ReadonlySet<string>
  join(rooms: RoomSelection): Effect.Effect<void>
  leave(rooms: RoomSelection): Effect.Effect<void>
  /** Disconnects the socket from its namespace, or with `close` its whole connection. */
  disconnect(options?: { readonly close?: boolean }): Effect.Effect<void>
}

/**
 * A fetched socket, on any server of the cluster.
 *
 * @since 0.1.0
 * @category models
 */
export interface RemoteSocket<N extends Namespace.Any> extends RemoteSocketBase {
  /** The data that the socket carried. */
  readonly data: Partial<Namespace.Data<N>>
  /** Sends an event to the socket; nothing happens if it has disconnected. */
  emit<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToClient<N>, Name>>
  ): Effect.Effect<void>
  /**
   * Sends an event and waits for its acknowledgement; fails with `Disconnected` if the socket has
   * disconnected or does so meanwhile, and with `PayloadRefused` if the payload's schema refuses
   * it.
   */
  emitWithAck<const Name extends Event.Name<Event.WithAck<Namespace.ServerToClient<N>>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToClient<N>, Name>>
  ): Effect.Effect<
    Event.Ack<Event.WithName<Namespace.ServerToClient<N>, Name>>,
    AckError | Event.Error<Event.WithName<Namespace.ServerToClient<N>, Name>>
  >
}

/**
 * Sends the events of a contract to a selection, and asks nobody.
 *
 * @since 0.1.0
 * @category models
 */
export interface Broadcasting<N extends Namespace.Any> {
  /**
   * Sends an event to the selection. It is encoded once and keeps its order among all that the
   * calling fiber emits.
   *
   * It never fails. It dies of a payload that its schema refuses, of arguments that cannot be
   * encoded, and of a function, even without recipients. Check a user's payload before
   * (`Schema.decodeUnknownEffect`).
   */
  emit<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToClient<N>, Name>>
  ): Effect.Effect<void>
  /**
   * Emits every payload of a stream to the selection, as {@link emit} does: it dies of a payload
   * that its schema refuses, and with the outbox policy `suspend` the stream waits for slow
   * clients.
   *
   * **Example** (Prices for the members of a room)
   *
   * ```ts
   * yield* Stream.run(prices, market.to("board").sink("price"))
   * ```
   */
  sink<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name
  ): Sink.Sink<void, Event.EmitPayload<Event.WithName<Namespace.ServerToClient<N>, Name>>>
  /**
   * A view of an event as a `PubSub`, until the scope closes.
   *
   * **Details**
   *
   * To publish a payload is to {@link emit} it to the selection: it is encoded once, and dies of a
   * payload that its schema refuses. A subscriber gets the payloads of the event that this server
   * broadcasts to the operator's rooms from then on, from wherever they are emitted: those to at
   * least one of these rooms, or to all sockets. An operator without rooms gets all of them. The
   * broadcasts of other servers are not among them.
   *
   * The payload is the value that was emitted, not a copy. Each subscriber has a buffer of its own;
   * see {@link PubSubOptions}. The `PubSub` shuts down when the scope closes, when the server ends,
   * and when a dynamic namespace closes.
   *
   * **Gotchas**
   *
   * `PubSub.publishUnsafe` publishes nothing and gives `false`: to emit is an effect.
   *
   * **Example** (Publishes prices, and reads what is published)
   *
   * ```ts
   * const prices = yield* market.to("board").pubsub("price", { overflow: "dropOldest" })
   * yield* PubSub.publish(prices, { symbol: "ACME", price: 1 })
   * yield* Stream.runForEach(Stream.fromPubSub(prices), record)
   * ```
   */
  pubsub<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name,
    options: PubSubOptions
  ): Effect.Effect<
    PubSub.PubSub<Event.EmitPayload<Event.WithName<Namespace.ServerToClient<N>, Name>>>,
    never,
    Scope.Scope
  >
}

/**
 * Broadcasts the events that a contract sends to clients. An untyped contract has all events, with
 * any arguments: JSON values and bytes.
 *
 * **Details**
 *
 * `size`, `fetchSockets` and `emitWithAck` ask every server of a cluster, and fail with
 * `ServersMissingError` if one does not answer. They never fail on a server that is alone, with the
 * in-memory adapter: `Effect.orDie` is right there, as is {@link Selecting.local}, which has no
 * such error.
 *
 * **Example** (The members of a room, as far as the servers answer)
 *
 * ```ts
 * const members = chat.to("lobby").size.pipe(
 *   Effect.catchTag("ServersMissingError", ({ partial }) => Effect.succeed(partial))
 * )
 * const here = chat.to("lobby").local.size
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface BroadcastOperator<N extends Namespace.Any>
  extends Selecting<BroadcastOperator<N>, LocalOperator<N>>, Broadcasting<N> {
  /**
   * The number of selected sockets, on every server. For one room, and for all sockets, the cost
   * does not depend on their number. A socket that has disconnected counts until its handlers have
   * ended. It fails if a server of a cluster does not answer; the error has the number of the
   * others.
   */
  readonly size: Effect.Effect<number, ServersMissingError<number>>
  /**
   * The selected sockets, on every server. It fails if a server of a cluster does not answer; the
   * error has the sockets of the others.
   */
  readonly fetchSockets: Effect.Effect<
    ReadonlyArray<RemoteSocket<N>>,
    ServersMissingError<ReadonlyArray<RemoteSocket<N>>>
  >
  /**
   * Sends an event to the selection when the stream runs, and yields each recipient's answer as it
   * comes. The stream ends when all recipients have answered or disconnected; add `Stream.timeout`
   * (between answers) or `Stream.interruptWhen`. Ending it earlier forgets the missing
   * acknowledgements. It dies of a payload that its schema refuses, as {@link Broadcasting.emit}
   * does.
   *
   * In a cluster it fails after all other answers if a server does not answer. Official servers do
   * not tell that a client has disconnected, and pass on the first argument of an answer alone.
   */
  emitWithAck<const Name extends Event.Name<Event.WithAck<Namespace.ServerToClient<N>>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToClient<N>, Name>>
  ): Stream.Stream<
    BroadcastAck<
      Event.Ack<Event.WithName<Namespace.ServerToClient<N>, Name>>,
      AckError | Event.Error<Event.WithName<Namespace.ServerToClient<N>, Name>>
    >,
    ServersMissingError
  >
}

/**
 * A `BroadcastOperator` for the sockets of this process alone: no other server is asked, so
 * {@link size}, {@link fetchSockets} and {@link emitWithAck} do not fail.
 *
 * @since 0.1.0
 * @category models
 */
export interface LocalOperator<N extends Namespace.Any> extends Selecting<LocalOperator<N>>, Broadcasting<N> {
  /** The number of selected sockets of this process. See {@link BroadcastOperator.size}. */
  readonly size: Effect.Effect<number>
  /** The selected sockets of this process. */
  readonly fetchSockets: Effect.Effect<ReadonlyArray<RemoteSocket<N>>>
  /**
   * Asks the selected sockets of this process, as {@link BroadcastOperator.emitWithAck} asks those
   * of all servers.
   */
  emitWithAck<const Name extends Event.Name<Event.WithAck<Namespace.ServerToClient<N>>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToClient<N>, Name>>
  ): Stream.Stream<
    BroadcastAck<
      Event.Ack<Event.WithName<Namespace.ServerToClient<N>, Name>>,
      AckError | Event.Error<Event.WithName<Namespace.ServerToClient<N>, Name>>
    >
  >
}
