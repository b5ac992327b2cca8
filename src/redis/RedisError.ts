/**
 * The error of what is asked of Redis.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

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
export type RedisErrorReason = "Disconnected" | "Refused" | "Timeout"

/**
 * A command has no reply.
 *
 * @since 0.1.0
 * @category errors
 */
export class RedisError extends Data.TaggedError("RedisError")<{
  readonly reason: RedisErrorReason
  readonly message: string
  readonly cause?: unknown
}> {}
