/**
 * The errors that callers of the library can act on, and the base of all errors of the library.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Predicate from "effect/Predicate"
import type * as Types from "effect/Types"

/**
 * The mark of this library's errors.
 *
 * @since 0.1.0
 * @category type ids
 */
export const TypeId = "~effect-socket.io/Error"

/**
 * An error of this library. Every error that its effects and streams fail with is one.
 *
 * @since 0.1.0
 * @category models
 */
export interface SocketIoError extends Error {
  readonly [TypeId]: true
  readonly _tag: string
}

/**
 * Whether a value is an error of this library.
 *
 * **Details**
 *
 * The type narrows a union of errors to those of the library.
 *
 * **Gotchas**
 *
 * The refusals that an application makes itself (`ConnectRefused`, `EventRefused`,
 * `RequestForbidden`) are errors of the library, too. A `ProtocolError` is none: codecs return it,
 * and nothing fails with it.
 *
 * **Example** (The application's own errors go on)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { SocketIoError } from "effect-socket.io"
 *
 * const joined = chat.emitWithAck("join", { room: "lobby" }).pipe(
 *   Effect.catchIf(SocketIoError.isSocketIoError, ({ message }) => Effect.logWarning(message))
 * )
 * ```
 *
 * @since 0.1.0
 * @category guards
 */
export const isSocketIoError = <E>(
  value: E
): value is unknown extends E ? E & SocketIoError : Extract<E, SocketIoError> => Predicate.hasProperty(value, TypeId)

/**
 * The base of this library's error classes: as `Data.TaggedError`, with the mark that
 * {@link isSocketIoError} looks for. It is for parts of the library that live elsewhere, such as an
 * adapter or a store.
 *
 * @since 0.1.0
 * @category constructors
 */
export const TaggedError = <const Tag extends string>(
  tag: Tag
): new <A extends Record<string, any> = {}>(
  args: Types.VoidIfEmpty<{ readonly [P in keyof A as P extends "_tag" ? never : P]: A[P] }>
) => Cause.YieldableError & { readonly _tag: Tag; readonly [TypeId]: true } & Readonly<A> => {
  // Untyped, as no class can say that its instances have the properties of a type parameter.
  const Base: any = Data.TaggedError(tag)
  // Not of each error: logs would show it.
  Base.prototype[TypeId] = true
  return Base
}

/**
 * The reasons why an acknowledgement will not come.
 *
 * - `Disconnected`: the socket disconnected before the acknowledgement came, or was not connected
 *   when the event was emitted.
 * - `InvalidAcknowledgement`: the peer's answer does not fit the contract; `description` says why.
 * - `PayloadRefused`: the payload does not fit the contract; `description` says why. Either this
 *   side found that, and did not send the event, or the peer did, and no handler was called.
 * - `EventRefused`: a middleware of the peer refused the event, or a rate limit, or `once` of the
 *   event, with `description` and `data`; see `EventAnswer`.
 * - `EventNotHandled`: the peer has no handler for the event.
 * - `HandlerFailed`: the peer's handler died, or failed with an error that the contract does not
 *   declare.
 * - `TooManyPending`: as many acknowledgements are awaited as may be (`maxPendingAcks`), of a
 *   connection on a server, of a namespace in a client; the event was not sent.
 * - `Timeout`: the acknowledgement did not come within the `ackTimeout` of a `RetryingEmitter`.
 * - `NotSent`: the event was volatile and the client was too slow, or the outbox had no capacity
 *   for the event.
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
 * An acknowledgement did not come, or did not fit its declaration.
 *
 * **Details**
 *
 * `reason` is a tagged value: `Effect.catchReason("AckError", "Disconnected", …)` handles one of
 * them, `Effect.catchReasons("AckError", { … })` several. `message` names the event and the reason.
 *
 * **Gotchas**
 *
 * Failures that the event declares are failures of the effect themselves, not an `AckError`.
 * `Effect.timeout` fails with its own `TimeoutError`; the reason `Timeout` comes from a
 * `RetryingEmitter` alone.
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
export class AckError extends TaggedError("AckError")<{
  readonly event: string
  readonly reason: AckErrorReason
}> {
  override get message(): string {
    const { _tag, description }: { readonly _tag: string; readonly description?: string } = this.reason
    return `ack of "${this.event}": ${_tag}${description ? ` (${description})` : ""}`
  }
}

/**
 * An option that makes no sense. Layers and constructors with options fail with it.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOptionError extends TaggedError("InvalidOptionError")<{
  readonly option: string
  readonly problem: string
}> {
  override get message(): string {
    return `option "${this.option}": ${this.problem}`
  }
}

/**
 * Some servers of the cluster have not answered: they have died or hang, or the connection between
 * the servers is lost. It does not occur on a single server.
 *
 * **Details**
 *
 * `missing` is the number of these servers, and `partial` is what the others have answered. Streams
 * have given their answers before, and have no `partial`.
 *
 * **Example** (The sockets of the servers that answer)
 *
 * ```ts
 * const sockets = chat.all.fetchSockets.pipe(
 *   Effect.catchTag("ServersMissingError", ({ partial }) => Effect.succeed(partial))
 * )
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class ServersMissingError<out A = void>
  extends /* @__PURE__ */ TaggedError("ServersMissingError")<{
    readonly missing: number
    readonly partial: unknown
  }>
{
  // Clients do not use the class: bundlers leave it out of pages, as the call above is marked as
  // pure.
  declare readonly partial: A

  override get message(): string {
    return `${this.missing} ${this.missing === 1 ? "server has" : "servers have"} not answered`
  }
}
