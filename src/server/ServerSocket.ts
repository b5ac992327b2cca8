/**
 * A client's connection to a namespace, as handlers see it.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Sink from "effect/Sink"
import type * as Stream from "effect/Stream"

import type { DisconnectReason } from "../DisconnectReason.ts"
import type * as Event from "../Event.ts"
import type { Handshake } from "../Handshake.ts"
import type * as Namespace from "../Namespace.ts"
import type { AckError } from "../SocketIoError.ts"
import type { Overflow, OverflowError, StreamOptions } from "../StreamOptions.ts"
import type { BroadcastOperator, PlainBroadcastOperator, RoomSelection } from "./BroadcastOperator.ts"
import type { ConnectedSocket, ServerConnection } from "./ServerConnection.ts"

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
 * What packet middleware fails with to keep an event from its handlers. Of an event of the contract for which the client asks for an
 * acknowledgement, it gets `{ _tag: "Failure", error: { _tag: "EventRefused", message, data? } }`.
 *
 * @since 0.1.0
 * @category errors
 */
export class EventRefused extends Schema.TaggedError<EventRefused>()("EventRefused", {
  message: Schema.String,
  data: Schema.optionalKey(Schema.Unknown)
}) {
  constructor(props: { readonly message: string; readonly data?: unknown }) {
    const { stackTraceLimit } = Error
    // It is no bug, and happens as often as a client likes: to tell where from would be a quarter of what it costs.
    Error.stackTraceLimit = 0
    try {
      super(props)
    } finally {
      Error.stackTraceLimit = stackTraceLimit
    }
  }
}

/**
 * What sockets with and without a contract have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface SocketBase extends ConnectedSocket {
  /** The socket's id, which the client knows. It is also the name of a room in which the socket is alone. */
  readonly id: string
  /** The namespace that the client joined. */
  readonly namespace: string
  readonly handshake: Handshake
  /** The client's connection, which the client's sockets in other namespaces share. */
  readonly connection: ServerConnection
  /** The transport that the connection uses now. */
  readonly transport: string
  /** Whether the socket is connected. */
  readonly connected: boolean
  /**
   * The rooms that the socket is in now, the one of its own id included; once it has disconnected, those that it was in then:
   * its finalizers see them.
   */
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
  /**
   * Runs when the socket is about to disconnect: it still is in its rooms, and what the handler sends before it suspends still
   * reaches them. Finalizers of the socket's scope run afterwards.
   */
  onDisconnecting<E, R>(
    handler: (reason: DisconnectReason) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R>
  /**
   * Adds packet middleware: it sees every event of the client from now on, before its payload is decoded and its handlers
   * start, and refuses it by failing with {@link EventRefused}. Middlewares run in the order in which they were added. While one is
   * at work on an event, the events behind it wait: they keep their order. A middleware that dies, or is not done within
   * `middlewareTimeout`, refuses the event, and is logged.
   */
  use<R>(middleware: (event: IncomingEvent) => Effect.Effect<unknown, EventRefused, R>): Effect.Effect<void, never, R>
  /** Sees every event that comes in, before middleware and handlers, until the socket disconnects. */
  onAny<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R>
  /** Sees every event that goes out to the client, broadcasts included, with its wire arguments; not acknowledgements. */
  onAnyOutgoing<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R>
}

/**
 * Sends a contract's events to one client, with flags.
 *
 * @since 0.1.0
 * @category models
 */
export interface SocketEmitter<N extends Namespace.Any> {
  /**
   * Drops what would have to wait because the client is behind, rather than to buffer it. An acknowledgement then fails with
   * `NotSent`.
   */
  readonly volatile: SocketEmitter<N>
  /** Whether what is sent may be compressed, on a connection that compresses at all. Default: true. */
  compress(compress: boolean): SocketEmitter<N>
  /**
   * Sends an event to the client. It does not wait for anything, and never fails: nothing happens once the socket has
   * disconnected. It leaves at the end of the turn of the event loop, or when the process exits.
   *
   * It dies of a payload that its schema refuses, or that cannot be encoded: a payload that comes from a user is to be checked before
   * (`Schema.decodeUnknownEffect`), or sent with {@link emitWithAck}, which fails then.
   */
  emit<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToClient<N>, Name>>
  ): Effect.Effect<void>
  /**
   * Sends an event and waits for its acknowledgement.
   *
   * Fails with one of the event's declared failures, or with an {@link AckError} when the client disconnects or answers
   * something else, or when the payload is refused by its schema (`PayloadRefused`) and is not sent. It waits as long as the client is connected: add `Effect.timeout`. Interruption forgets the
   * acknowledgement.
   */
  emitWithAck<const Name extends Event.Name<Event.WithAck<Namespace.ServerToClient<N>>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToClient<N>, Name>>
  ): Effect.Effect<
    Event.Ack<Event.WithName<Namespace.ServerToClient<N>, Name>>,
    AckError | Event.Error<Event.WithName<Namespace.ServerToClient<N>, Name>>
  >
  /**
   * Emits every payload of a stream, as {@link emit} does: it dies of a payload that its schema refuses, and with the outbox policy
   * `suspend` the stream waits for the client.
   */
  sink<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name
  ): Sink.Sink<void, Event.EmitPayload<Event.WithName<Namespace.ServerToClient<N>, Name>>>
}

/**
 * Sends any event to one client, with flags.
 *
 * @since 0.1.0
 * @category models
 */
export interface PlainEmitter {
  /** See {@link SocketEmitter.volatile}. */
  readonly volatile: PlainEmitter
  /** See {@link SocketEmitter.compress}. */
  compress(compress: boolean): PlainEmitter
  /**
   * Sends an event. Arguments are JSON values and bytes (`Uint8Array` or another view, `ArrayBuffer`). It dies of those that cannot be
   * encoded, and of a function: an acknowledgement is asked for with {@link emitWithAck}.
   */
  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void>
  /**
   * Sends an event and waits for the arguments of its acknowledgement. Fails with an {@link AckError} when the client disconnects. It
   * dies of arguments that cannot be encoded, as {@link emit} does.
   */
  emitWithAck(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<unknown>, AckError>
  /** Emits every list of arguments of a stream. See {@link SocketEmitter.sink}. */
  sink(event: string): Sink.Sink<void, ReadonlyArray<unknown>>
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
export interface ServerSocket<N extends Namespace.Any>
  extends SocketBase, SocketEmitter<N>, BroadcastTargets<BroadcastOperator<N>> {
  /** The auth payload, decoded by the contract. */
  readonly auth: N["auth"]["Type"]
  /** The parameters of a dynamic namespace's name. */
  readonly params: Namespace.Params<N>
  /** What the socket carries, as far as it was set; whoever fetches it sees it, on other servers, too. */
  readonly data: Partial<Namespace.Data<N>>
  /**
   * Sets fields of {@link data}; those that are not mentioned stay, and `undefined` takes one away. A value that is not of the
   * declared type is a defect.
   */
  setData(data: DataUpdate<N>): Effect.Effect<void>
  /**
   * The payloads of an event from the moment on in which the stream is run, beside its handler. It ends when the socket
   * disconnects.
   *
   * **Details**
   *
   * By default (`suspend`) the client waits for the reader: its connection is not read while `capacity` payloads wait, by default
   * `reading.pauseAt`. As with slow handlers, the pause ends after `reading.pauseTimeout`, or while an acknowledgement of the
   * client is awaited. A connection with more than `limits.maxPendingEvents` payloads for a reader, or `limits.maxPendingBytes`,
   * is closed with the reason `inbound overflow`.
   *
   * The other policies make no client wait: they drop payloads, or the stream fails with `StreamOverflow`, when `capacity`
   * payloads wait, by default 10,000, or when half of `limits.maxPendingBytes` waits.
   */
  stream<const Name extends Event.Name<Namespace.ClientToServer<N>>, O extends Overflow = "suspend">(
    event: Name,
    options?: StreamOptions<O>
  ): Stream.Stream<Event.Payload<Event.WithName<Namespace.ClientToServer<N>, Name>>, OverflowError<O>>
  /** The same as {@link ServerSocket.stream} from now on: payloads that come before the stream is run wait in it. */
  subscribe<const Name extends Event.Name<Namespace.ClientToServer<N>>, O extends Overflow = "suspend">(
    event: Name,
    options?: StreamOptions<O>
  ): Effect.Effect<
    Stream.Stream<Event.Payload<Event.WithName<Namespace.ClientToServer<N>, Name>>, OverflowError<O>>,
    never,
    Scope.Scope
  >
  /**
   * All events of the client that the contract declares, each with its name, in the order in which they reach their handlers. See
   * {@link ServerSocket.stream}; the stream of its `StreamOverflow` is `events`.
   */
  events<O extends Overflow = "suspend">(
    options?: StreamOptions<O>
  ): Stream.Stream<Event.Message<Namespace.ClientToServer<N>>, OverflowError<O>>
  /** The same socket without the contract: for events that it does not declare. */
  readonly plain: PlainSocket
}

/**
 * What {@link ServerSocket.setData} takes: some of the declared fields, and nothing where none are declared.
 *
 * @since 0.1.0
 * @category utility types
 */
export type DataUpdate<N extends Namespace.Any> = [keyof Namespace.Data<N>] extends [never]
  ? Readonly<Record<string, never>>
  : Partial<OrUndefined<Namespace.Data<N>>>

type OrUndefined<Data> = { readonly [K in keyof Data]: Data[K] | undefined }

/**
 * A client's connection to a namespace, without a contract: any event, arguments of any type.
 *
 * @since 0.1.0
 * @category models
 */
export interface PlainSocket extends SocketBase, PlainEmitter, BroadcastTargets<PlainBroadcastOperator> {
  /** What the socket carries; whoever fetches it sees it, on other servers, too: plain JSON values. */
  readonly data: Readonly<Record<string, any>>
  /** Sets fields of {@link data}; those that are not mentioned stay, and `undefined` takes one away. */
  setData(data: Readonly<Record<string, unknown>>): Effect.Effect<void>
  /**
   * Handles an event until the socket disconnects. Where the client asks for an acknowledgement, it gets the handler's
   * value: none for `undefined`, several for {@link ackArguments}. A failure or defect of the handler stays with its
   * event: it is logged, and not acknowledged. Several handlers of one event all run; the first value acknowledges.
   *
   * A contract's events go to the contract's handlers alone.
   */
  on<E, R>(event: string, handler: (...args: Array<any>) => Effect.Effect<unknown, E, R>): Effect.Effect<void, never, R>
  /**
   * The arguments of an event from the moment on in which the stream is run; see {@link ServerSocket.stream}. Events of a
   * contract are streamed by the contract's socket: here they are a defect.
   */
  stream<O extends Overflow = "suspend">(
    event: string,
    options?: StreamOptions<O>
  ): Stream.Stream<ReadonlyArray<any>, OverflowError<O>>
  /** The same as {@link PlainSocket.stream}, from now on. */
  subscribe<O extends Overflow = "suspend">(
    event: string,
    options?: StreamOptions<O>
  ): Effect.Effect<Stream.Stream<ReadonlyArray<any>, OverflowError<O>>, never, Scope.Scope>
  /**
   * All events of the client that no contract declares, each with its name and its arguments. An event that no handler and no
   * other stream takes still counts as unhandled. See {@link ServerSocket.events}.
   */
  events<O extends Overflow = "suspend">(
    options?: StreamOptions<O>
  ): Stream.Stream<Event.Message<Event.Untyped>, OverflowError<O>>
}

/**
 * Whom else a socket can address.
 *
 * @since 0.1.0
 * @category models
 */
export interface BroadcastTargets<Operator> {
  /** The members of rooms, without this socket: of an empty list nobody. */
  to(rooms: RoomSelection): Operator
  /** The same as {@link to}. */
  in(rooms: RoomSelection): Operator
  /** Everybody in the namespace but the members of rooms, without this socket. */
  except(rooms: RoomSelection): Operator
  /** Everybody in the namespace, without this socket. */
  readonly broadcast: Operator
}

export { AckArguments, ackArguments } from "../AckArguments.ts"
