/**
 * A client's connection to a namespace.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"

import type { ConnectionDetails } from "../engine/ClientPlatform.ts"
import type { ClientCloseReason } from "../DisconnectReason.ts"
import type * as Event from "../Event.ts"
import type * as Namespace from "../Namespace.ts"
import { type AckError, TaggedError } from "../SocketIoError.ts"
import type { Overflow, OverflowError, StreamOptions } from "../StreamOptions.ts"

export { AckArguments, ackArguments } from "../AckArguments.ts"

/**
 * The reason for which a client's socket disconnected: its connection ended, or one side left the
 * namespace.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientDisconnectReason = ClientCloseReason | "io server disconnect" | "io client disconnect"

/**
 * The reasons why a connection to a namespace does not come about.
 *
 * - `Refused`: the server refuses it, with the message of the error and `data`. A middleware or a
 *   builder has failed with `ConnectRefused`, the auth payload does not fit the contract, or there
 *   is no such namespace.
 * - `Disconnected`: there is no connection to the server, or one side has left the namespace
 *   meanwhile; `reason` says which. `status` and `body` are those of the HTTP response that was no
 *   success, `closeCode` and `closeReason` those of the WebSocket, and `cause` is the error that
 *   led to it, each where the platform tells.
 * - `AuthFailed`: the effect that makes the auth payload has died, or its payload does not fit the
 *   contract; `cause` says why.
 * - `OldServer`: the server speaks the protocol of Socket.IO 2, or an older one.
 * - `Closed`: the socket cannot connect any more. Its scope has closed, or another socket of the
 *   client has connected to the namespace since this one left it.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectErrorReason =
  | { readonly _tag: "Refused"; readonly data?: unknown }
  | (ConnectionDetails & { readonly _tag: "Disconnected"; readonly reason: ClientDisconnectReason })
  | { readonly _tag: "AuthFailed"; readonly cause: unknown }
  | { readonly _tag: "OldServer" }
  | { readonly _tag: "Closed" }

/**
 * A connection to a namespace did not come about.
 *
 * **Details**
 *
 * `reason` is a tagged value: `Effect.catchReason("ConnectError", "Refused", …)` handles one of
 * them.
 *
 * With `willRetry` the client tries again by itself: there is no connection to the server, and the
 * schedule of reconnection goes on. Without it, it does not: the server has refused, or there are
 * no more attempts. `reconnect` tries again.
 *
 * **Gotchas**
 *
 * `connect` and `reconnect` do not fail while the client tries again by itself. With the default
 * schedule they wait for ever for a server that cannot be reached. `status` tells each attempt that
 * has failed.
 *
 * **Example** (A user who has to sign in)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { SocketIoClient } from "effect-socket.io/client"
 *
 * const chat = SocketIoClient.connect("/chat").pipe(
 *   Effect.timeout("30 seconds"),
 *   Effect.catchReason("ConnectError", "Refused", ({ data }, { message }) => askToSignIn(message, data))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectError extends TaggedError("ConnectError")<{
  readonly namespace: string
  readonly message: string
  readonly reason: ConnectErrorReason
  /** Whether the client tries again by itself. */
  readonly willRetry: boolean
  /** The error that led to it, if there is one: that of the reason. */
  readonly cause?: unknown
}> {}

/**
 * The reason why a server of this library has not recovered a socket, which has missed events then.
 *
 * - `expired`: the socket came back too late.
 * - `unknown`: the server does not know it.
 * - `trimmed`: the server does not have all of the missed events any more.
 * - `overflow`: there are more of them than it sends to one client.
 * - `refused`: it does not recover this socket.
 * - `epoch`: the server has been started anew.
 * - `unavailable`: Redis, which has the sessions, does not answer.
 *
 * Later versions of the server may have other reasons.
 *
 * @since 0.1.0
 * @category models
 */
export type RecoveryRefusal =
  | "expired"
  | "unknown"
  | "trimmed"
  | "overflow"
  | "refused"
  | "epoch"
  | "unavailable"
  | (string & {})

/**
 * The connection status of a socket.
 *
 * - `Connecting`: it is on its way, for the first time or after an outage.
 * - `Connected`: it is connected, under this id. `recovered` says whether the server has kept its
 *   id, rooms and data since an outage, and has sent the events that it missed. A server of this
 *   library says in `recovery` why it has not. A socket that moves to another connection, because
 *   its server is drained or its rights have ended, is `Connected` anew, and not `Disconnected`
 *   before that. A server of this library says in `auth` after how many milliseconds the rights end
 *   that the client has come with, if they do.
 * - `Failed`: an attempt has failed. The error says whether another one follows.
 * - `Disconnected`: it has left the namespace, or lost the connection. `willRetry` says whether it
 *   connects again by itself, `description` tells the circumstances; the other fields are as in
 *   {@link ConnectError}, each where it is known.
 *
 * @since 0.1.0
 * @category models
 */
export type SocketStatus =
  | { readonly _tag: "Connecting" }
  | {
      readonly _tag: "Connected"
      readonly id: string
      readonly recovered: boolean
      readonly recovery?: { readonly reason: RecoveryRefusal }
      readonly auth?: { readonly expiresIn: number }
    }
  | { readonly _tag: "Failed"; readonly error: ConnectError }
  | (ConnectionDetails & {
      readonly _tag: "Disconnected"
      readonly reason: ClientDisconnectReason
      readonly willRetry: boolean
      readonly description?: string
    })

/**
 * The overflow policies of a client's streams. There is no `suspend`: a client that stopped reading
 * would not see the server's pings either, and all namespaces share the connection.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientOverflow = Exclude<Overflow, "suspend">

/**
 * The members that sockets with and without a contract share.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientSocketBase {
  /** The name of the namespace. */
  readonly namespace: string
  /**
   * The socket's id on the server: another one after every connection, `undefined` while it is not
   * connected.
   */
  readonly id: string | undefined
  /** Whether the socket is connected. */
  readonly connected: boolean
  /**
   * Whether the socket has recovered after an outage, with nothing missed. This needs a server that
   * recovers connections, such as the official one with `connectionStateRecovery`.
   */
  readonly recovered: boolean
  /**
   * Whether the server keeps the socket's session for it: after an outage the socket may recover.
   * `false` before the first connection.
   */
  readonly recoverable: boolean
  /**
   * The status of the socket, and its changes from the moment on in which the stream is run. It
   * ends when the socket's scope closes. A reader that is 10,000 changes late misses the oldest.
   */
  readonly status: Stream.Stream<SocketStatus>
  /**
   * Runs a handler at every change of the status from now on, until the scope closes. It starts in
   * the moment of the change, before the events that follow it, where {@link status} tells later: a
   * protocol on top of the socket needs that. Failures of the handler are logged. The end of the
   * scope interrupts it.
   */
  onStatus<E, R>(
    handler: (status: SocketStatus) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
  /**
   * Leaves the namespace, for everybody who shares the socket: the server sees
   * `client namespace disconnect`. The socket does not connect again by itself. The connection is
   * closed when no other namespace needs it.
   */
  disconnect(): Effect.Effect<void>
  /**
   * Waits until the socket is not connected any more, and gives the reason. It does not wait if the
   * socket has disconnected already. An outage counts, though the socket connects again after it:
   * `status` tells more.
   */
  readonly disconnected: Effect.Effect<ClientDisconnectReason>
  /**
   * Connects again after the socket was disconnected or refused, and waits until it is connected.
   * While the socket is on its way by itself, this only waits. Fails with {@link ConnectError} as
   * `connect` does, and if another socket has been connected to the namespace meanwhile.
   * Interruption only ends the wait.
   */
  reconnect(): Effect.Effect<void, ConnectError>
  /**
   * Sees every event that comes in, with its wire arguments, until the scope closes, which
   * interrupts the handler where it is at work. Its failures are logged.
   */
  onAny<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
  /**
   * Sees every event that is sent, with its wire arguments, until the scope closes, which
   * interrupts the handler where it is at work. Events that wait for the connection are seen when
   * they leave. Failures of the handler are logged.
   */
  onAnyOutgoing<E, R>(
    handler: (event: string, args: ReadonlyArray<unknown>) => Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, never, R | Scope.Scope>
}

/**
 * A connection to a namespace. `ClientSocket<Namespace.Untyped>` is that to a namespace whose
 * events are not declared: any event, arguments of type `unknown`.
 *
 * **Details**
 *
 * Events that are emitted while the socket is not connected wait, up to `maxBuffered`, and are sent
 * when it is. The socket lives until its scope closes, which leaves the namespace and ends the
 * socket's streams.
 *
 * **Gotchas**
 *
 * A stream listens from the moment on in which it is run. Events that come in the second after the
 * connection wait for the first stream or handler of their name, up to 256 of any name;
 * {@link ClientSocket.subscribe} begins at once, for later.
 *
 * **Example** (Reads one event, and answers another)
 *
 * ```ts
 * const chat = yield* SocketIoClient.connect(Chat)
 * yield* chat.respond("alive", () => Effect.succeed(true))
 * yield* chat.stream("message").pipe(Stream.runForEach(({ text }) => Console.log(text)))
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientSocket<N extends Namespace.Any> extends ClientSocketBase, ClientEmitter<N> {
  /**
   * All events of the server, each with its name, in the order of their arrival: those that the
   * contract declares. See {@link ClientSocket.stream}; the stream of its `StreamOverflow` is
   * `events`.
   */
  events<O extends ClientOverflow = "fail">(
    options?: StreamOptions<O>
  ): Stream.Stream<Event.Message<Namespace.ServerEvents<N>>, OverflowError<O>>
  /**
   * The payloads of an event of the server from the moment on in which the stream is run, also
   * across reconnections. It ends when the socket's scope closes. By default it fails with
   * `StreamOverflow` when more than 10,000 payloads wait for the reader. A payload that its schema
   * refuses is left out, and logged at level Debug.
   */
  stream<const Name extends Event.Name<Namespace.ServerEvents<N>>, O extends ClientOverflow = "fail">(
    event: Name,
    options?: StreamOptions<O>
  ): Stream.Stream<Event.Payload<Event.WithName<Namespace.ServerEvents<N>, Name>>, OverflowError<O>>
  /**
   * The same as {@link ClientSocket.stream} from now on: payloads that come before the stream is
   * run wait in it. It ends when the scope, or the socket's, closes.
   */
  subscribe<const Name extends Event.Name<Namespace.ServerEvents<N>>, O extends ClientOverflow = "fail">(
    event: Name,
    options?: StreamOptions<O>
  ): Effect.Effect<
    Stream.Stream<Event.Payload<Event.WithName<Namespace.ServerEvents<N>, Name>>, OverflowError<O>>,
    never,
    Scope.Scope
  >
  /**
   * Answers an event for which the server awaits an acknowledgement, until the scope closes: with
   * the value of the handler, or with one of the event's declared failures. Of several handlers the
   * first one answers. The end of the scope interrupts those that are at work, the one that closes
   * it included, and does not wait for them. They do not answer then.
   *
   * The handler of an untyped event takes its arguments and answers with one argument, none for
   * `undefined`, several for `ackArguments(…)`. A failure is logged then, and not answered.
   */
  respond<const Name extends Event.Name<Namespace.ServerEvents<N>>, R>(
    event: Name,
    handler: (
      ...args: Namespace.HandlerArguments<Event.WithName<Namespace.ServerEvents<N>, Name>>
    ) => Effect.Effect<
      Namespace.HandlerValue<Event.WithName<Namespace.ServerEvents<N>, Name>>,
      Namespace.HandlerError<Event.WithName<Namespace.ServerEvents<N>, Name>>,
      R
    >
  ): Effect.Effect<void, never, R | Scope.Scope>
}

/**
 * Sends a contract's events to the server, with flags. Those of an untyped contract are all events,
 * with any arguments: JSON values and bytes (`Uint8Array` or another view, `ArrayBuffer`, `Blob`).
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientEmitter<N extends Namespace.Any> {
  /**
   * Drops events rather than to let them wait: while the socket is not connected, or earlier events
   * have not left yet. An acknowledgement then fails with `NotSent`.
   */
  readonly volatile: ClientEmitter<N>
  /**
   * Whether events may be compressed, where the platform compresses WebSocket messages
   * (`perMessageDeflate` of `NodeClientPlatform`) and the server agrees. Browsers decide by
   * themselves. Default: true.
   */
  compress(compress: boolean): ClientEmitter<N>
  /**
   * Sends an event. It waits for nothing, and never fails.
   *
   * **Details**
   *
   * Events of one turn leave together, in a microtask. Close the client's scope before you make the
   * process exit: that sends the events that wait.
   *
   * **Gotchas**
   *
   * A payload that its schema refuses, or that cannot be encoded, is a defect. Check a payload that
   * comes from a user (`Schema.decodeUnknownEffect`), or send it with
   * {@link ClientEmitter.emitWithAck}, which fails then.
   */
  emit<const Name extends Event.Name<Namespace.ClientEvents<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ClientEvents<N>, Name>>
  ): Effect.Effect<void>
  /**
   * Sends an event and waits for its acknowledgement, as long as it takes.
   *
   * **Details**
   *
   * Fails with one of the event's declared failures, or with an {@link AckError}: when the
   * connection ends after the event was sent (`Disconnected`), when there is no capacity for it to
   * wait (`NotSent`), when too many acknowledgements are awaited (`TooManyPending`), when its
   * schema refuses the payload and it is not sent (`PayloadRefused`), when the server says why it
   * does not handle the event (`PayloadRefused`, `EventRefused`, `HandlerFailed`), or when the
   * server answers something else. Interruption forgets the acknowledgement, and the event if it
   * waits to be sent.
   *
   * **Gotchas**
   *
   * A handler that does not answer says nothing, nor does a server without a contract that has no
   * handler for the event: add `Effect.timeout`. Where a contract is served, this fails with
   * `EventNotHandled`.
   */
  emitWithAck<const Name extends Event.Name<Event.WithAck<Namespace.ClientEvents<N>>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ClientEvents<N>, Name>>
  ): Effect.Effect<
    Event.Ack<Event.WithName<Namespace.ClientEvents<N>, Name>>,
    AckError | Event.Error<Event.WithName<Namespace.ClientEvents<N>, Name>>
  >
}
