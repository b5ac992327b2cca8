/**
 * The handlers of events as types: their arguments, their effects and the services that they need.
 *
 * Users meet these types as those of `Namespace`.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"

import type * as Event from "./Event.ts"
import type * as StreamEvent from "./StreamEvent.ts"

/**
 * The effect that an event's handler returns: it yields the acknowledgement, or fails with one of
 * the declared failures. If the event declares no acknowledgement, the value is ignored.
 *
 * The handler of an untyped event may yield any value, and fail with any error, which is logged.
 * The value is the argument of the acknowledgement: `undefined` means no argument,
 * `ackArguments(…)` means several.
 *
 * @since 0.1.0
 * @category utility types
 */
export type HandlerResult<E extends Event.Any> = Effect.Effect<HandlerValue<E>, HandlerError<E>, any>

/**
 * The arguments of an event's handler: its payload, or the event's own arguments if it is untyped.
 *
 * @since 0.1.0
 * @category utility types
 */
export type HandlerArguments<E extends Event.Any> = E extends Event.Untyped
  ? ReadonlyArray<unknown>
  : [payload: Event.Payload<E>]

/**
 * The value of a handler that may answer: the acknowledgement, if the event declares one; anything
 * otherwise.
 *
 * @since 0.1.0
 * @category utility types
 */
export type HandlerValue<E extends Event.Any> = E extends Event.Untyped
  ? unknown
  : [Event.Ack<E>] extends [never]
    ? unknown
    : Event.Ack<E>

/**
 * The failures of a handler that may answer: those that the event declares; any if it is untyped.
 *
 * @since 0.1.0
 * @category utility types
 */
export type HandlerError<E extends Event.Any> = E extends Event.Untyped ? unknown : Event.Error<E>

/**
 * The handler of an event: of its payload, or of its arguments if it is untyped. That of a
 * `StreamEvent` returns a stream.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Handler<E extends Event.Any> = E extends Event.Untyped
  ? (...args: ReadonlyArray<unknown>) => HandlerResult<E>
  : E extends { readonly stream: StreamEvent.Declaration<infer Item, infer Failure> }
    ? StreamEvent.Handler<Event.Payload<E>, Item["Type"], Failure["Type"]>
    : (payload: Event.Payload<E>) => HandlerResult<E>

/**
 * The handlers of a set of events, by name: one for each event. A record for untyped events may
 * hold any names. The other events of a `StreamEvent` have none, as the server handles them.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Handlers<E extends Event.Any> = {
  readonly [Current in E as Current extends { readonly streamOf: string } ? never : Current["_tag"]]: Handler<Current>
}

/**
 * Refuses handlers of events that clients do not send.
 *
 * @since 0.1.0
 * @category utility types
 */
export type OnlyDeclared<E extends Event.Any, H> = {
  readonly [K in Exclude<keyof H, keyof Handlers<E>>]: NotAClientToServerEvent<K>
}

/**
 * Appears in an error message where a handler has a name that is not among the `clientToServer`
 * events.
 *
 * @since 0.1.0
 * @category utility types
 */
export interface NotAClientToServerEvent<Name> {
  readonly "this event is not declared in clientToServer": Name
}

/**
 * The services that a record of handlers needs.
 *
 * @since 0.1.0
 * @category utility types
 */
export type HandlersServices<H> = H[keyof H] extends infer F
  ? F extends (...args: Array<any>) => Effect.Effect<infer _A, infer _E, infer R>
    ? R
    : F extends (...args: Array<any>) => Stream.Stream<infer _A, infer _E, infer R>
      ? R
      : F extends {
            readonly stream: (...args: Array<any>) => Stream.Stream<infer _A, infer _E, infer R>
            readonly allow: (...args: Array<any>) => Effect.Effect<boolean, never, infer R2>
          }
        ? R | R2
        : never
  : never
