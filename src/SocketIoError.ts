/**
 * The errors that callers of the library can act on.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * Why an acknowledgement will not come.
 *
 * - `Disconnected`: the socket disconnected before the acknowledgement came, or was disconnected
 *   when the event was emitted.
 * - `InvalidAcknowledgement`: the peer's answer is not what the contract declares; `description`
 *   says why.
 * - `PayloadRefused`: the payload is not what the contract declares, and `description` says why.
 *   Either this side found that, and the event was not sent, or the peer did, and nothing handled
 *   it.
 * - `EventRefused`: a middleware of the peer refused the event, with `description` and `data`.
 * - `EventNotHandled`: nobody on the peer's side handles the event.
 * - `HandlerFailed`: the peer's handler died, or failed with an error that the contract does not
 *   declare.
 * - `TooManyPending`: the limit of pending acknowledgements of this socket is reached; the event
 *   was not sent.
 * - `Timeout`: it did not come within the `ackTimeout` of a `RetryingEmitter`.
 * - `NotSent`: the event was volatile and the client was behind; or the outbox had no capacity for
 *   it.
 *
 * @since 0.1.0
 * @category models
 */
export type AckErrorReason =
  | { readonly _tag: "Disconnected" }
  | { readonly _tag: "InvalidAcknowledgement"; readonly description: string }
  | { readonly _tag: "PayloadRefused"; readonly description?: string }
  | { readonly _tag: "EventRefused"; readonly description?: string; readonly data?: unknown }
  | { readonly _tag: "EventNotHandled"; readonly description?: string }
  | { readonly _tag: "HandlerFailed"; readonly description?: string }
  | { readonly _tag: "TooManyPending" }
  | { readonly _tag: "Timeout" }
  | { readonly _tag: "NotSent" }

/**
 * An acknowledgement did not come, or not in the declared form.
 *
 * **Details**
 *
 * `reason` is a tagged value: `Effect.catchReason("AckError", "Disconnected", …)` handles one of
 * them, `Effect.catchReasons("AckError", { … })` several. `message` names the event and the reason.
 *
 * **Gotchas**
 *
 * The failures that an event declares come as themselves, not as an `AckError`. `Effect.timeout`
 * fails with its own `TimeoutError`; the reason `Timeout` comes from a `RetryingEmitter` alone.
 *
 * **Example** (Asking again after an outage)
 *
 * ```ts
 * const joined = chat.emitWithAck("join", { room: "lobby" }).pipe(
 *   Effect.retry({
 *     while: (error) => error._tag === "AckError" && error.reason._tag === "Disconnected",
 *     times: 3
 *   }),
 *   Effect.catchReason("AckError", "PayloadRefused", ({ description }) => showHint(description))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class AckError extends Data.TaggedError("AckError")<{
  readonly event: string
  readonly reason: AckErrorReason
}> {
  override get message(): string {
    const { _tag, description }: { readonly _tag: string; readonly description?: string } = this.reason
    return `acknowledgement of "${this.event}": ${_tag}${description ? ` (${description})` : ""}`
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
