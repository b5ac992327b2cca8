/**
 * The error of a server that cannot listen.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

import { TypeId } from "../SocketIoError.ts"

/**
 * The server could not listen.
 *
 * @since 0.1.0
 * @category errors
 */
export class ListenError extends Schema.TaggedError<ListenError>()("ListenError", {
  message: Schema.String,
  cause: Schema.Defect()
}) {
  get [TypeId](): true {
    return true
  }
}
