/**
 * The refusal of an event by packet middleware.
 *
 * Users meet it as a part of `ServerSocket`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

import { TypeId } from "../SocketIoError.ts"

/**
 * The failure of packet middleware that keeps an event from its handlers.
 *
 * A client that asks for the acknowledgement of a declared event gets
 * `{ _tag: "Failure", error: { _tag: "EventRefused", message, data? } }`.
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
    // It is no bug, and a client can cause it at will: a stack trace would be a quarter of its
    // cost.
    Error.stackTraceLimit = 0
    try {
      super(props)
    } finally {
      Error.stackTraceLimit = stackTraceLimit
    }
  }

  get [TypeId](): true {
    return true
  }
}
