/**
 * The events of a `StreamEvent` on the wire: their schemas, and the bounds of keys and windows.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

import type * as Event from "./Event.ts"

/**
 * The longest key, and the longest owner, in characters.
 *
 * @since 0.1.0
 * @category constants
 */
export const MAX_KEY = 256

/**
 * The shortest key that clients of all owners share, in characters: it must be hard to guess.
 *
 * @since 0.1.0
 * @category constants
 */
export const MIN_SHARED_KEY = 16

/**
 * The largest window of a reader, in values.
 *
 * @since 0.1.0
 * @category constants
 */
export const MAX_WINDOW = 10_000

/**
 * The end of a stream.
 *
 * - `Success`: the stream has given all of its values.
 * - `Failure`: it has failed with an error that the event declares.
 * - `InternalError`: it has died, or failed with another error. Clients get no details.
 * - `Stopped`: a client has stopped it.
 * - `Idle`: nobody has read it for its `idle` time, or for 10 seconds while another stream needs
 *   its place (`maxRunning`).
 * - `Lost`: its server has ended before it.
 *
 * @since 0.1.0
 * @category models
 */
export type End<E> =
  | { readonly _tag: "Success" | "InternalError" | "Stopped" | "Idle" | "Lost" }
  | ([E] extends [never] ? never : { readonly _tag: "Failure"; readonly error: E })

/**
 * The schema of an {@link End}.
 *
 * @since 0.1.0
 * @category schemas
 */
export type EndSchema<E extends Event.AnySchema> = Schema.Codec<End<E["Type"]>, End<E["Encoded"]>>

const Position = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Id = Schema.String.check(Schema.isMaxLength(64))

/**
 * The acknowledgement of a stream event: the id of its stream. It is hard to guess.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Started = Schema.Struct({ stream: Schema.String })

/**
 * The payload of `…:read`: the stream, the number of values that were read, and the number of
 * values that may be under way. Default of `window`: no limit but that of the connection. With the
 * window 0 the client reads no more.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Read = Schema.Struct({
  stream: Id,
  after: Position,
  window: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: MAX_WINDOW })))
})

/**
 * The acknowledgement of `…:read`: whether there is no such stream, and the first position from
 * `after` on that the server still has.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Reading = Schema.Struct({ gone: Schema.Boolean, from: Schema.Int })

/**
 * The payload of `…:find`: the key of a stream.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Key = Schema.String.check(Schema.isMaxLength(MAX_KEY))

/**
 * The acknowledgement of `…:find`: the id of the stream of that key that runs.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Found = Schema.NullOr(Schema.String)

/**
 * The payload of `…:stop`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Stop = Schema.Struct({ stream: Id })

/**
 * The acknowledgement of `…:stop`: whether there is no such stream.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Stopping = Schema.Struct({ gone: Schema.Boolean })

/**
 * The payload of `…:ack`: the number of values that were read.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Progress = Schema.Struct({ stream: Id, at: Position })

/**
 * The payload of `…:items`: values of a stream from a position on, and its end if they are the
 * last.
 *
 * @since 0.1.0
 * @category schemas
 */
export type ItemsSchema<Item extends Event.AnySchema, E extends Event.AnySchema> = Schema.Struct<{
  readonly stream: Schema.String
  readonly from: Schema.Int
  readonly values: Schema.$Array<Item>
  readonly end: Schema.optionalKey<EndSchema<E>>
}>

/**
 * Makes the schema of an {@link End}, with the failures that the event declares, if it declares
 * any.
 *
 * @since 0.1.0
 * @category schemas
 */
export const endSchema = (error: Event.AnySchema | undefined): Schema.Codec<any, any> => {
  const Plain = Schema.Struct({ _tag: Schema.Literals(["Success", "InternalError", "Stopped", "Idle", "Lost"]) })
  return error === undefined ? Plain : Schema.Union([Plain, Schema.TaggedStruct("Failure", { error })])
}
