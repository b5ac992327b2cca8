/**
 * A place in which several servers keep their streams, from which `StreamLog.make` makes the
 * service.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import { TaggedError } from "../SocketIoError.ts"

/**
 * The stream that a log is of.
 *
 * @since 0.1.0
 * @category models
 */
export interface About {
  readonly namespace: string
  readonly event: string
  readonly owner: string | undefined
  readonly key: string | undefined
}

/**
 * The end of a stream, encoded; see `StreamWire.End`.
 *
 * @since 0.1.0
 * @category models
 */
export interface EncodedEnd {
  readonly _tag: string
  readonly error?: unknown
}

/**
 * The reasons why a stream can be neither started nor read.
 *
 * - `Full`: a bound is reached; `bound` is the name of its option.
 * - `Unavailable`: the store does not answer.
 *
 * @since 0.1.0
 * @category models
 */
export type StreamLogErrorReason = { readonly _tag: "Full"; readonly bound: string } | { readonly _tag: "Unavailable" }

/**
 * A stream can be neither started nor read.
 *
 * @since 0.1.0
 * @category errors
 */
export class StreamLogError extends TaggedError("StreamLogError")<{
  readonly reason: StreamLogErrorReason
  readonly message: string
  readonly cause?: unknown
}> {}

/**
 * A piece of a stream, as a store keeps it: values from a position on, encoded, and the end if they
 * are the last ones. `kept` is the first position that readers may still ask for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Piece {
  readonly from: number
  readonly values: ReadonlyArray<unknown>
  readonly kept: number
  readonly end?: EncodedEnd | undefined
}

/**
 * A stream of another server, as a store tells it. `pieces` gives those that it has not given
 * before, from the first one on, and `changed` waits until there may be more. `reading` says that
 * somebody reads it here; it is called often.
 *
 * @since 0.1.0
 * @category models
 */
export interface Followed {
  readonly about: About
  readonly pieces: Effect.Effect<ReadonlyArray<Piece>, StreamLogError>
  readonly changed: Effect.Effect<void>
  readonly reading: Effect.Effect<void, StreamLogError>
}

/**
 * The wishes of other servers about a stream of this one: it is to stop, or somebody reads it
 * there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wishes {
  readonly onStop: Effect.Effect<void>
  readonly onRead: Effect.Effect<void>
}

/**
 * A place in which several servers keep their streams, from which `StreamLog.make` makes the
 * service.
 *
 * - `begin`: keeps that a stream runs on this server, until the scope closes. It gives the id of
 *   another stream with the same key that runs, and keeps nothing then.
 * - `append`: adds a piece. A piece with an end is the last one, and frees the key.
 * - `find`: gives the id of the stream of a key that runs.
 * - `follow`: gives a stream of another server, or `undefined` if there is none, until the scope
 *   closes. A stream whose server has died ends with `{ _tag: "Lost" }`.
 * - `stop`: tells the server of a stream to stop it.
 * - `told`: the time within which a server is told that others read its streams, in milliseconds.
 *   No stream is stopped sooner for want of readers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Store {
  readonly begin: (
    id: string,
    about: About,
    wishes: Wishes
  ) => Effect.Effect<string | undefined, StreamLogError, Scope.Scope>
  readonly append: (id: string, piece: Piece) => Effect.Effect<void, StreamLogError>
  readonly find: (about: About) => Effect.Effect<string | undefined, StreamLogError>
  readonly follow: (id: string) => Effect.Effect<Followed | undefined, StreamLogError, Scope.Scope>
  readonly stop: (id: string) => Effect.Effect<void, StreamLogError>
  readonly told: number
}
