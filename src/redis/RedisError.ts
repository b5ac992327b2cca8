/**
 * The error of a command of Redis.
 *
 * @since 0.1.0
 */
import { TaggedError } from "../SocketIoError.ts"

/**
 * Why a command has no reply.
 *
 * - `Disconnected`: there is no connection, or it was lost before the reply came. A command that
 *   was sent may have been executed.
 * - `Refused`: Redis has answered with an error. The command was not executed.
 * - `Timeout`: the reply did not come in time.
 *
 * @since 0.1.0
 * @category models
 */
export type RedisErrorReason =
  | { readonly _tag: "Disconnected" }
  | { readonly _tag: "Refused" }
  | { readonly _tag: "Timeout" }

/**
 * A command has no reply.
 *
 * **Details**
 *
 * `reason` is a tagged value: `Effect.catchReason("RedisError", "Timeout", …)` handles one of them.
 *
 * @since 0.1.0
 * @category errors
 */
export class RedisError extends TaggedError("RedisError")<{
  readonly reason: RedisErrorReason
  readonly message: string
  readonly cause?: unknown
}> {}
