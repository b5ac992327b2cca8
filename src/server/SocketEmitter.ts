/**
 * The sending of events to one client.
 *
 * Users meet it as `ServerSocket.SocketEmitter`.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Sink from "effect/Sink"

import type * as Event from "../Event.ts"
import type * as Namespace from "../Namespace.ts"
import type { AckError } from "../SocketIoError.ts"

/**
 * Sends a contract's events to one client, with flags. An untyped contract has all events, with any
 * arguments: JSON values and bytes (`Uint8Array` or another view, `ArrayBuffer`).
 *
 * @since 0.1.0
 * @category models
 */
export interface SocketEmitter<N extends Namespace.Any> {
  /**
   * Drops an event that would have to wait because the client reads too slowly, rather than to
   * buffer it. An acknowledgement then fails with `NotSent`.
   */
  readonly volatile: SocketEmitter<N>
  /** Whether events may be compressed, on a connection with compression. Default: true. */
  compress(compress: boolean): SocketEmitter<N>
  /**
   * Sends an event to the client. It does not wait for anything, and never fails: it does nothing
   * once the socket has disconnected. The event leaves at the end of the turn of the event loop, or
   * when the process exits.
   *
   * It dies of a payload that its schema refuses, of arguments that cannot be encoded, and of a
   * function: use {@link emitWithAck} to ask for an acknowledgement. Check a user's payload before
   * (`Schema.decodeUnknownEffect`), or send it with {@link emitWithAck}, which fails then.
   */
  emit<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToClient<N>, Name>>
  ): Effect.Effect<void>
  /**
   * Sends an event and waits for its acknowledgement: the declared value, or the arguments of an
   * untyped event's.
   *
   * Fails with one of the event's declared failures, or with an {@link AckError} when the client
   * disconnects or answers something else, or when the payload is refused by its schema
   * (`PayloadRefused`) and is not sent. It waits as long as the client is connected: add
   * `Effect.timeout`. Interruption forgets the acknowledgement.
   */
  emitWithAck<const Name extends Event.Name<Event.WithAck<Namespace.ServerToClient<N>>>>(
    event: Name,
    ...payload: Event.EmitArguments<Event.WithName<Namespace.ServerToClient<N>, Name>>
  ): Effect.Effect<
    Event.Ack<Event.WithName<Namespace.ServerToClient<N>, Name>>,
    AckError | Event.Error<Event.WithName<Namespace.ServerToClient<N>, Name>>
  >
  /**
   * Emits every payload of a stream, as {@link emit} does: it dies of a payload that its schema
   * refuses, and with the outbox policy `suspend` the stream waits for the client.
   */
  sink<const Name extends Event.Name<Namespace.ServerToClient<N>>>(
    event: Name
  ): Sink.Sink<void, Event.EmitPayload<Event.WithName<Namespace.ServerToClient<N>, Name>>>
}
