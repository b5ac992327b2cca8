/**
 * Reads the streams of a `StreamEvent`: from any position, and on after an outage.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

import type * as Event from "../Event.ts"
import type * as Namespace from "../Namespace.ts"
import { type AckError, TaggedError } from "../SocketIoError.ts"
import type * as StreamEvent from "../StreamEvent.ts"
import type { ClientSocket } from "./ClientSocket.ts"
import { readStream, type StreamSocket } from "./internal/streamReading.ts"

/**
 * The reasons why a stream cannot be read to its end.
 *
 * - `Stopped`: a client has stopped it.
 * - `Idle`: nobody has read it for its `idle` time, or for 10 seconds while another stream needed
 *   its place (`maxRunning`), and the server has stopped it.
 * - `Lost`: its server has ended before it.
 * - `InternalError`: it has died, or failed with an error that the event does not declare.
 * - `Gone`: the server does not have it, or not any more, or not for this client.
 * - `Trimmed`: the server has dropped values that were not read. It has those from position `from`
 *   on.
 * - `Unreadable`: its values do not fit the contract.
 *
 * @since 0.1.0
 * @category models
 */
export type StreamEndedReason =
  | { readonly _tag: "Stopped" }
  | { readonly _tag: "Idle" }
  | { readonly _tag: "Lost" }
  | { readonly _tag: "InternalError" }
  | { readonly _tag: "Gone" }
  | { readonly _tag: "Trimmed"; readonly from: number }
  | { readonly _tag: "Unreadable" }

/**
 * A stream cannot be read to its end.
 *
 * **Details**
 *
 * `reason` is a tagged value: `Effect.catchReason("StreamEnded", "Trimmed", …)` handles one of
 * them. The stream has given `at` values before.
 *
 * @since 0.1.0
 * @category errors
 */
export class StreamEnded extends TaggedError("StreamEnded")<{
  readonly event: string
  readonly stream: string
  readonly reason: StreamEndedReason
  /** The number of values that were read. */
  readonly at: number
}> {
  override get message(): string {
    return `stream of "${this.event}": ${this.reason._tag} after ${this.at} values`
  }
}

/**
 * Options of reading a stream.
 *
 * @since 0.1.0
 * @category options
 */
export interface ReadOptions {
  /** The number of values that were read before, and are left out. Default: 0. */
  readonly after?: number
  /**
   * The number of values that may be under way: the server sends no more until they are read. At
   * most 10,000. Default: 256.
   */
  readonly window?: number
}

/**
 * A stream of the server.
 *
 * - `id`: its name. A program that starts anew goes on with it: see {@link resume}.
 * - `values`: its values, from the beginning or from a position on. Each run reads it anew.
 * - `stop`: stops it for everybody, and ends its work.
 *
 * @since 0.1.0
 * @category models
 */
export interface RemoteStream<out Item, out E> {
  readonly id: string
  readonly values: (options?: ReadOptions) => Stream.Stream<Item, E | AckError | StreamEnded>
  readonly stop: Effect.Effect<void, AckError>
}

/**
 * The stream events of a contract.
 *
 * @since 0.1.0
 * @category utility types
 */
export type StartEvents<N extends Namespace.Any> = Extract<
  Namespace.ClientToServer<N>,
  { readonly stream: StreamEvent.Declaration<any, any> }
>

/**
 * The value of a stream.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Item<E> = E extends { readonly stream: StreamEvent.Declaration<infer I, any> } ? I["Type"] : never

/**
 * The failures of a stream.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Failure<E> = E extends { readonly stream: StreamEvent.Declaration<any, infer F> } ? F["Type"] : never

type Remote<N extends Namespace.Any, Name extends string> = RemoteStream<
  Item<Event.WithName<StartEvents<N>, Name>>,
  Failure<Event.WithName<StartEvents<N>, Name>>
>

/** The socket without its contract: the names of the events are made here. */
const untyped = (socket: object): StreamSocket => socket as StreamSocket

/**
 * A stream whose id is known, such as one that the program has read before it started anew. Nothing
 * is sent before its `values` are run, which fail with `Gone` if there is none.
 *
 * **Example** (A page that was loaded again)
 *
 * ```ts
 * const answer = SocketStream.resume(chat, "answer", saved.stream).values({ after: saved.count })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const resume = <N extends Namespace.Any, const Name extends Event.Name<StartEvents<N>>>(
  socket: ClientSocket<N>,
  event: Name,
  id: string
): Remote<N, Name> => ({
  id,
  values: ({ after = 0, window = 256 } = {}) =>
    readStream(
      untyped(socket),
      { event, id, after, window },
      (reason, at) => new StreamEnded({ event, stream: id, reason, at })
    ),
  stop: Effect.asVoid(untyped(socket).emitWithAck(`${event}:stop`, { stream: id }))
})

/**
 * Starts a stream, or finds the one that runs with the key of the payload. It runs on the server
 * from then on, whether or not its values are read.
 *
 * Fails with `AckError` as `emitWithAck` does. After `Disconnected` the stream may have been
 * started: with a key, the same call finds it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const start = <N extends Namespace.Any, const Name extends Event.Name<StartEvents<N>>>(
  socket: ClientSocket<N>,
  event: Name,
  ...payload: Event.EmitArguments<Event.WithName<StartEvents<N>, Name>>
): Effect.Effect<Remote<N, Name>, AckError> =>
  Effect.map(untyped(socket).emitWithAck(event, ...payload), ({ stream }) => resume(socket, event, stream))

/**
 * Starts a stream, as {@link start} does, and reads it.
 *
 * **Details**
 *
 * The stream goes on by itself after an outage, and gives every value once. It fails with one of
 * the failures that the event declares, with {@link StreamEnded} where it was stopped or is lost,
 * and with `AckError` if the server refuses it, or the socket does not connect again by itself.
 *
 * **Gotchas**
 *
 * The end of reading does not end the stream on the server: that is `stop` of {@link start}.
 *
 * **Example** (An answer, word for word)
 *
 * ```ts
 * yield* SocketStream.open(chat, "answer", { chat: "7", prompt: "Hello" }).pipe(
 *   Stream.runForEach((word) => show(word))
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = <N extends Namespace.Any, const Name extends Event.Name<StartEvents<N>>>(
  socket: ClientSocket<N>,
  event: Name,
  ...payload: Event.EmitArguments<Event.WithName<StartEvents<N>, Name>>
): ReturnType<Remote<N, Name>["values"]> =>
  Stream.unwrap(Effect.map(start(socket, event, ...payload), ({ values }) => values()))

/**
 * Finds the stream of a key that runs.
 *
 * **Example** (Another tab reads the answer, too)
 *
 * ```ts
 * const answer = yield* SocketStream.follow(chat, "answer", "7")
 * if (Option.isSome(answer)) yield* Stream.runForEach(answer.value.values(), show)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const follow = <N extends Namespace.Any, const Name extends Event.Name<StartEvents<N>>>(
  socket: ClientSocket<N>,
  event: Name,
  key: string
): Effect.Effect<Option.Option<Remote<N, Name>>, AckError> =>
  Effect.map(untyped(socket).emitWithAck(`${event}:find`, key), (id: string | null) =>
    id === null ? Option.none() : Option.some(resume(socket, event, id))
  )
