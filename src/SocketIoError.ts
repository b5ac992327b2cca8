/**
 * The errors that callers of the library can act on.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * Why an acknowledgement will not come.
 *
 * - `disconnected`: the socket disconnected before the acknowledgement came, or was disconnected when the event was emitted.
 * - `invalid acknowledgement`: what the peer answered is not what the contract declares.
 * - `payload refused`: the payload is not what the contract declares, and `description` says why: either this side has found that, and
 *   the event was not sent, or the peer has, and nothing handled it.
 * - `event refused`: a middleware of the peer has refused the event; `description` and `data` are what it said.
 * - `event not handled`: nobody on the peer's side handles the event.
 * - `handler failed`: the peer's handler died, or failed with what the contract does not declare.
 * - `too many pending`: the limit of pending acknowledgements of this socket is reached; the event was not sent.
 * - `timeout`: it did not come in time, where a time was given.
 * - `not sent`: the event was volatile, and the client is behind; or there was no room for it to wait.
 * - `not encodable`: the event's payload could not be encoded; the event was not sent.
 *
 * @since 0.1.0
 * @category models
 */
export type AckErrorReason =
  | "disconnected"
  | "invalid acknowledgement"
  | "payload refused"
  | "event refused"
  | "event not handled"
  | "handler failed"
  | "too many pending"
  | "timeout"
  | "not sent"
  | "not encodable"

/**
 * An acknowledgement did not come, or not in the declared form.
 *
 * @since 0.1.0
 * @category errors
 */
export class AckError extends Data.TaggedError("AckError")<{
  readonly event: string
  readonly reason: AckErrorReason
  readonly description?: string
  /** What a refusal of the event carries. */
  readonly data?: unknown
}> {
  override get message(): string {
    return `acknowledgement of "${this.event}": ${this.reason}${this.description ? ` (${this.description})` : ""}`
  }
}

/**
 * An option that makes no sense; building the server's layer fails with it.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOptionError extends Data.TaggedError("InvalidOptionError")<{
  readonly option: string
  readonly problem: string
}> {
  override get message(): string {
    return `option "${this.option}": ${this.problem}`
  }
}
