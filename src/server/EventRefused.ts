/**
 * The refusal of an event by packet middleware.
 *
 * Users meet it as a part of `ServerSocket`.
 *
 * @since 0.1.0
 */
import { TaggedRefusal } from "../internal/taggedRefusal.ts"

/**
 * The failure of packet middleware that keeps an event from its handlers.
 *
 * A client that asks for the acknowledgement of a declared event gets
 * `{ _tag: "Failure", error: { _tag: "EventRefused", message, data? } }`.
 *
 * @since 0.1.0
 * @category errors
 */
export class EventRefused extends TaggedRefusal<EventRefused>()("EventRefused") {}
