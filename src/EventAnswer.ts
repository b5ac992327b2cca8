/**
 * The answers of an acknowledgement on the wire, for clients that do not use this library's client.
 * With these schemas, a TypeScript page on the official client decodes the server's answers.
 *
 * **Details**
 *
 * An event that declares an `error` is acknowledged with one argument:
 *
 * | answer | argument |
 * |---|---|
 * | the handler's value | `{ "_tag": "Success", "value": … }`, without `value` if there is none |
 * | a declared failure | `{ "_tag": "Failure", "error": … }` |
 * | the payload does not fit its schema | `{ "_tag": "Failure", "error": { "_tag": "PayloadRefused", "message": … } }` |
 * | a middleware, or a rate limit, refused the event, or its `once` did | `{ "_tag": "Failure", "error": { "_tag": "EventRefused", "message": …, "data": … } }`, without `data` if there is none |
 * | nobody handles the event | `{ "_tag": "Failure", "error": { "_tag": "EventUnhandled", "message": … } }` |
 * | the handler died, or failed with an undeclared error | `{ "_tag": "Failure", "error": { "_tag": "InternalError" } }` |
 *
 * Any other event is acknowledged with the bare value, or without arguments if it declares none.
 * The last four failures can take the place of that value, too.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import type * as Event from "./Event.ts"
import {
  EVENT_REFUSED,
  EVENT_UNHANDLED,
  FAILURE,
  INTERNAL_ERROR,
  PAYLOAD_REFUSED,
  SUCCESS
} from "./internal/answers.ts"
import { compileEvent } from "./internal/compileContract.ts"
import { decodeAck } from "./internal/decodeAck.ts"
import type { AckError } from "./SocketIoError.ts"

/**
 * The payload does not fit the event's schema; `message` says why. No handler was called.
 *
 * @since 0.1.0
 * @category schemas
 */
export const PayloadRefused = Schema.TaggedStruct(PAYLOAD_REFUSED, { message: Schema.String })

/**
 * A packet middleware, or the event's rate limit, refused the event. A rate limit adds
 * `{ retryAfter }` as `data`, in milliseconds.
 *
 * An event with `once` is refused with one of these as `data`: `{ id: "missing" }` or
 * `{ id: "invalid" }`, `{ retryAfter }` while the answers cannot be reached, and
 * `{ handled: true }` if it was handled before and its answer was too large to be kept.
 *
 * @since 0.1.0
 * @category schemas
 */
export const EventRefused = Schema.TaggedStruct(EVENT_REFUSED, {
  message: Schema.String,
  data: Schema.optionalKey(Schema.Unknown)
})

/**
 * The server has no handler for the event.
 *
 * @since 0.1.0
 * @category schemas
 */
export const EventUnhandled = Schema.TaggedStruct(EVENT_UNHANDLED, { message: Schema.String })

/**
 * The handler died, or failed with an error that the event does not declare. The client gets no
 * details.
 *
 * @since 0.1.0
 * @category schemas
 */
export const InternalError = Schema.TaggedStruct(INTERNAL_ERROR, {})

/**
 * The failures that may answer every event, whatever it declares.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Refusal = Schema.Union([PayloadRefused, EventRefused, EventUnhandled, InternalError])

/**
 * @since 0.1.0
 * @category models
 */
export type Refusal = typeof Refusal.Type

/**
 * The answer of a handler that succeeded. `value` is missing if the event declares no `ack`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Success<A> {
  readonly _tag: "Success"
  readonly value: A
}

/**
 * The answer of a handler that failed, or of an event that no handler got.
 *
 * @since 0.1.0
 * @category models
 */
export interface Failure<E> {
  readonly _tag: "Failure"
  readonly error: E
}

/**
 * The answer to an event, decoded: a success, one of its declared failures, or a {@link Refusal}.
 *
 * @since 0.1.0
 * @category models
 */
export type EventAnswer<E extends Event.Any> =
  | Success<[Event.Ack<E>] extends [never] ? void : Event.Ack<E>>
  | Failure<Event.Error<E> | Refusal>

/**
 * The schema of the answer to an event that declares an `error`. It decodes the one argument of the
 * acknowledgement, in its form of JSON and attachments.
 *
 * **Gotchas**
 *
 * An event without `error` is acknowledged with its bare value: use {@link decode}, which reads
 * both.
 *
 * **Example** (A page on the official client)
 *
 * ```ts
 * import { io } from "socket.io-client"
 *
 * const decodeJoin = Schema.decodeUnknownPromise(EventAnswer.schema(Join))
 *
 * const answer = await decodeJoin(await io("/chat").emitWithAck("join", { room: "lobby" }))
 * if (answer._tag === "Success") show(answer.value)
 * else if (answer.error._tag === "RoomFull") showFull(answer.error.capacity)
 * else showProblem(answer.error._tag)
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const schema = <E extends Event.Any>(event: E): Schema.Codec<EventAnswer<E>, unknown> => {
  const value: Schema.Struct.Fields = event.hasAck && event.ack.ast._tag !== "Void" ? { value: event.ack } : {}
  // The fields depend on the event at run time. `EventAnswer` says the same in types.
  return Schema.toCodecJson(
    Schema.Union([
      Schema.TaggedStruct(SUCCESS, value),
      Schema.TaggedStruct(FAILURE, { error: Schema.Union([event.error, Refusal]) })
    ])
  ) as any
}

/**
 * Decodes the arguments of an acknowledgement as this library's client does. It yields the value,
 * and fails with a declared failure. It fails with an `AckError` on a refusal, and on an answer
 * that the contract does not declare. The effect is synchronous.
 *
 * **Example** (An answer that the official client has received)
 *
 * ```ts
 * const others = yield* EventAnswer.decode(Join, [yield* Effect.promise(() => socket.emitWithAck("join", "lobby"))])
 * ```
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = <E extends Event.Any>(
  event: E,
  args: ReadonlyArray<unknown>
): Effect.Effect<[Event.Ack<E>] extends [never] ? void : Event.Ack<E>, Event.Error<E> | AckError> => {
  let codec = codecs.get(event)
  if (codec === undefined) codecs.set(event, (codec = compileEvent(event)))
  return decodeAck(codec, args)
}

/** Deriving a codec costs far more than using it. */
const codecs = new WeakMap<Event.Any, ReturnType<typeof compileEvent>>()
