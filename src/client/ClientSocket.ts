/**
 * A client's connection to a namespace.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { ConnectionDetails } from "../engine/ClientPlatform.ts"
import type { ClientCloseReason } from "../engine/EngineClient.ts"
import type * as Event from "../Event.ts"
import type * as Namespace from "../Namespace.ts"
import type { AckError } from "../SocketIoError.ts"

export { AckArguments, ackArguments } from "../AckArguments.ts"

/**
 * Why a client's socket disconnected: its connection ended, or one side left the namespace.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientDisconnectReason = ClientCloseReason | "io server disconnect" | "io client disconnect"

/**
 * A connection to a namespace did not come about.
 *
 * With `willRetry` the client tries again by itself: the connection to the server failed, and reconnection is on. Without, the
 * server has refused (`data` is what it said), or there are no more attempts: `reconnect` tries again.
 *
 * Where the connection to the server failed, `reason` says how; `status` and `body` are those of the HTTP response that was no success,
 * `closeCode` and `closeReason` those of the WebSocket, and `cause` is the error that is behind it, each where the platform tells.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectError extends Data.TaggedError("ConnectError")<
  ConnectionDetails & {
    readonly namespace: string
    readonly message: string
    /** What the server's refusal carries. */
    readonly data?: unknown
    readonly willRetry: boolean
    /** How the connection to the server ended, where it is not the namespace that was refused. */
    readonly reason?: ClientDisconnectReason
  }
> {}

/**
 * How a socket stands to its namespace.
 *
 * - `Connecting`: it is on its way, for the first time or after an outage.
 * - `Connected`: it is there, under this id; `recovered` says whether the server has kept its id, rooms and data since an outage, and
 *   has sent what it missed.
 * - `Failed`: an attempt has failed; whether another one follows is in the error.
 * - `Disconnected`: it was there, and is not any more; `willRetry` says whether it comes back by itself, `description` what exactly has
 *   happened, and the rest is as in {@link ConnectError}, each where it is known.
 *
 * @since 0.1.0
 * @category models
 */
export type SocketStatus =
  | { readonly _tag: "Connecting" }
  | { readonly _tag: "Connected"; readonly id: string; readonly recovered: boolean }
  | { readonly _tag: "Failed"; readonly error: ConnectError }
  | (ConnectionDetails & {
      readonly _tag: "Disconnected"
      readonly reason: ClientDisconnectReason
      readonly willRetry: boolean
      readonly description?: string
    })

/**
 * What sockets with and without a contract have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientSocketBase {
  readonly namespace: string
  /** The socket's id on the server; another one after every connection, `undefined` while it is not connected. */
  readonly id: string | undefined
  readonly connected: boolean
  /**
   * Whether it was connected again to the state that it had before an outage, with nothing missed: for servers that recover
   * connections, as the official one does with `connectionStateRecovery`.
   */
  readonly recovered: boolean
  /** How it stands, and how that changes, from the moment on in which the stream is run. */
  readonly status: Stream.Stream<SocketStatus>
  /**
   * Leaves the namespace, for everybody who shares the socket: the server sees `client namespace disconnect`. It is not connected again
   * by itself; the connection is closed when no other namespace needs it.
   */
  readonly disconnect: Effect.Effect<void>
  /**
   * Connects again after it was disconnected or refused, and waits until it is. Otherwise it only waits. It fails if somebody has
   * connected to the namespace meanwhile, who has another socket.
   */
  readonly reconnect: Effect.Effect<void, ConnectError>
  /** Sees every event that comes in, with its wire arguments, until the scope closes. */
  onAny<R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, never, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
  /** Sees every event that is sent, with its wire arguments, until the scope closes: one that waits when it leaves. */
  onAnyOutgoing<R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, never, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
}

/**
 * A connection to a namespace with a contract.
 *
 * What is emitted while it is not connected waits, up to `maxBuffered` events, and is sent when it is. It lives until its scope
 * closes, which leaves the namespace.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientSocket<N extends Namespace.Any> extends ClientSocketBase, ClientEmitter<N> {
  /**
   * Sends what cannot wait: nothing happens while it is not connected, or what was sent before has not left yet. With an acknowledgement
   * it fails then, with the reason `NotSent`.
   */
  readonly volatile: ClientEmitter<N>
  /**
   * Sends with or without compression: where the platform compresses WebSocket messages (`perMessageDeflate` of `NodeClientPlatform`) and
   * the server agrees. Browsers have no say in it.
   */
  compress(compress: boolean): ClientEmitter<N> & { readonly volatile: ClientEmitter<N> }
  /**
   * The payloads of an event of the server from the moment on in which the stream is run, also across reconnections; it ends when
   * the socket's scope closes. The first one of an event begins with what came of it in the second after the connection, unless others
   * listened: up to 256 events of any name wait that long. A reader that falls behind by more than 10,000 makes it die: nothing is dropped silently. A payload
   * that its schema refuses is left out, and logged at level Debug.
   */
  stream<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name
  ): Stream.Stream<Event.Payload<Event.WithName<Namespace.ServerToClient<N>, Name>>>
  /** The same as {@link stream}, from now on: what comes before the stream is run waits in it. */
  subscribe<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name
  ): Effect.Effect<Stream.Stream<Event.Payload<Event.WithName<Namespace.ServerToClient<N>, Name>>>, never, Scope.Scope>
  /**
   * Answers an event that the server awaits, until the scope closes: what the handler returns is the acknowledgement, what it
   * fails with one of the event's declared failures. Of several handlers the first one answers.
   */
  respond<const Name extends Event.Name<Namespace.ServerToClient<N>>, R>(
    event: Name,
    handler: (
      payload: Event.Payload<Event.WithName<Namespace.ServerToClient<N>, Name>>
    ) => Effect.Effect<
      Answer<Event.WithName<Namespace.ServerToClient<N>, Name>>,
      Event.Error<Event.WithName<Namespace.ServerToClient<N>, Name>>,
      R
    >
  ): Effect.Effect<void, never, R | Scope.Scope>
}

/**
 * What a handler returns for an event of the server.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Answer<E extends Event.Any> = [Event.Ack<E>] extends [never] ? unknown : Event.Ack<E>

/**
 * Sends a contract's events to the server.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientEmitter<N extends Namespace.Any> {
  /**
   * Sends an event. It does not wait for anything. What one turn sends leaves together, in a microtask: before the process is made to
   * exit, the client's scope is to be closed, which sends what waits.
   *
   * It dies of a payload that its schema refuses, or that cannot be encoded: a payload that comes from a user is to be checked before
   * (`Schema.decodeUnknownEffect`), or sent with {@link emitWithAck}, which fails then.
   */
  emit<const Name extends Event.Name<Namespace.ClientToServer<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ClientToServer<N>, Name>>
  ): Effect.Effect<void>
  /**
   * Sends an event and waits for its acknowledgement: as long as it takes. Add `Effect.timeout`: a server that has no handler for the
   * event, or one that does not answer, says nothing. Fails with one of the event's declared failures, or with an {@link AckError}: when
   * the connection ends after the event was sent, when it does not fit into the buffer, when its own schema refuses the payload and it is
   * not sent (`PayloadRefused`), when the server says why it does not handle the event (`PayloadRefused`, `EventRefused`,
   * `HandlerFailed`), or when it answers something else. Interruption forgets the acknowledgement, and the event if it waits to be
   * sent.
   */
  emitWithAck<const Name extends Event.Name<Event.WithAck<Namespace.ClientToServer<N>>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ClientToServer<N>, Name>>
  ): Effect.Effect<
    Event.Ack<Event.WithName<Namespace.ClientToServer<N>, Name>>,
    AckError | Event.Error<Event.WithName<Namespace.ClientToServer<N>, Name>>
  >
}

/**
 * Sends events without a contract. See {@link ClientEmitter}.
 *
 * @since 0.1.0
 * @category models
 */
export interface PlainClientEmitter {
  emit(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<void>
  emitWithAck(event: string, ...args: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<unknown>, AckError>
}

/**
 * A connection to a namespace without a contract: any event, arguments of any type. See {@link ClientSocket}.
 *
 * @since 0.1.0
 * @category models
 */
export interface PlainClientSocket extends ClientSocketBase, PlainClientEmitter {
  readonly volatile: PlainClientEmitter
  compress(compress: boolean): PlainClientEmitter & { readonly volatile: PlainClientEmitter }
  stream(event: string): Stream.Stream<ReadonlyArray<any>>
  subscribe(event: string): Effect.Effect<Stream.Stream<ReadonlyArray<any>>, never, Scope.Scope>
  /**
   * Answers an event with what the handler returns: one argument, none for `undefined`, several for `ackArguments(…)`. A failure is
   * logged, and not answered.
   */
  respond<E, R>(
    event: string,
    handler: (...args: Array<any>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
}
