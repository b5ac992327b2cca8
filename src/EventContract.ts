/**
 * The events of a contract as types: their model, and its consequences for `emit` and for
 * handlers.
 *
 * Users meet these types as those of `Event`.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type { Pipeable } from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"

import type * as Once from "./Once.ts"
import type { EventRateLimit } from "./RateLimit.ts"

/**
 * @since 0.1.0
 * @category type IDs
 */
export const TypeId = "~effect-socket.io/Event"

/**
 * A schema that needs no services, as every message is decoded and encoded synchronously.
 *
 * @since 0.1.0
 * @category models
 */
export type AnySchema = Schema.Codec<any, any, never, never>

/**
 * Schemas by name: the fields of a struct, or of a socket's data.
 *
 * @since 0.1.0
 * @category models
 */
export type Fields = { readonly [key: string]: AnySchema }

/**
 * The schema of a payload that is declared as a schema, or as the fields of a struct.
 *
 * @since 0.1.0
 * @category utility types
 */
export type PayloadOf<P> = P extends AnySchema ? P : P extends Fields ? Schema.Struct<P> : never

/**
 * The schema of any arguments, as {@link Untyped} events have them.
 *
 * @since 0.1.0
 * @category models
 */
export type AnyArguments = Schema.Codec<ReadonlyArray<unknown>>

/**
 * The mapping of the payload to the arguments of the EVENT packet: none, one value, or a tuple
 * spread over several.
 *
 * @since 0.1.0
 * @category models
 */
export type Arity = "none" | "one" | "many"

/**
 * An event of a contract.
 *
 * - `payload`: the schema of the value that `emit` and handlers take; `Schema.Void` for an event
 *   without arguments.
 * - `ack`: the schema of the acknowledgement's value; `Schema.Never` for an event whose
 *   acknowledgement has no value.
 * - `error`: the schema of the failures that the handler may answer with; `Schema.Never` for none.
 * - `once`: how the server knows a message that it has handled; `undefined` if it handles each
 *   arrival.
 * - `description`, `deprecated`, `examples`: for people who read about the event; see `AsyncApi`.
 * - `annotations`: values that the application attaches for its tools. The library does not read
 *   them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Event<
  in out Name extends string,
  out Payload extends AnySchema,
  out Ack extends AnySchema,
  out Error extends AnySchema,
  out OnceOptions extends Once.Options | undefined = Once.Options | undefined
> extends Pipeable {
  readonly [TypeId]: typeof TypeId
  readonly _tag: Name
  readonly arity: Arity
  readonly payload: Payload
  readonly ack: Ack
  readonly error: Error
  readonly hasAck: boolean
  readonly hasError: boolean
  readonly concurrency: number | undefined
  readonly rateLimit: EventRateLimit | undefined
  readonly recover: boolean
  readonly once: OnceOptions
  readonly description: string | undefined
  readonly deprecated: boolean
  readonly examples: ReadonlyArray<unknown>
  readonly annotations: Context.Context<never>
  /** The same event with one more annotation. */
  annotate<I, S>(key: Context.Key<I, S>, value: NoInfer<S>): Event<Name, Payload, Ack, Error, OnceOptions>
  /** The same event with more annotations; they replace those of the same key. */
  annotateMerge<I>(annotations: Context.Context<I>): Event<Name, Payload, Ack, Error, OnceOptions>
}

/**
 * Any event.
 *
 * @since 0.1.0
 * @category models
 */
export interface Any extends Pipeable {
  readonly [TypeId]: typeof TypeId
  readonly _tag: string
  readonly arity: Arity
  readonly payload: AnySchema
  readonly ack: AnySchema
  readonly error: AnySchema
  readonly hasAck: boolean
  readonly hasError: boolean
  readonly concurrency: number | undefined
  readonly rateLimit: EventRateLimit | undefined
  readonly recover: boolean
  readonly once: Once.Options | undefined
  readonly description: string | undefined
  readonly deprecated: boolean
  readonly examples: ReadonlyArray<unknown>
  readonly annotations: Context.Context<never>
}

/**
 * The events of a namespace that declares none: any name, any arguments, any acknowledgement. It
 * exists in types only; see `Namespace.untyped`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Untyped extends Event<string, AnyArguments, AnyArguments, Schema.Never> {
  readonly untyped: true
}

/**
 * Whether a value is an event.
 *
 * @since 0.1.0
 * @category guards
 */
export const isEvent = (u: unknown): u is Any => Predicate.hasProperty(u, TypeId)

/**
 * The name of an event.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Name<E extends Any> = E["_tag"]

/**
 * The event with the name `N` in a union of events. An {@link Untyped} event has every name.
 *
 * @since 0.1.0
 * @category utility types
 */
export type WithName<E extends Any, N extends string> = E extends Untyped ? E : Extract<E, { readonly _tag: N }>

/**
 * The value that an event carries.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Payload<E extends Any> = E["payload"]["Type"]

/**
 * The value of an event's acknowledgement; `never` if the event is not acknowledged with a value.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Ack<E extends Any> = E["ack"]["Type"]

/**
 * The failures that the handler of an event may answer with.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Error<E extends Any> = E["error"]["Type"]

/**
 * The events that are acknowledged with a value.
 *
 * @since 0.1.0
 * @category utility types
 */
export type WithAck<E extends Any> = E extends Any ? ([Ack<E>] extends [never] ? never : E) : never

/**
 * The arguments of `emit` after the event's name: none for an event without payload, any number for
 * an {@link Untyped} event, otherwise the payload.
 *
 * @since 0.1.0
 * @category utility types
 */
export type EmitArguments<E extends Any> =
  IsUnion<E> extends true
    ? [payload: OneEventAtATime<E["_tag"]>]
    : E extends Untyped
      ? ReadonlyArray<unknown>
      : E["payload"] extends Schema.Void
        ? []
        : [payload: Payload<E>]

/**
 * The value of one emission of an event, in a sink or a `PubSub`: the payload, or the list of
 * arguments of an {@link Untyped} event.
 *
 * @since 0.1.0
 * @category utility types
 */
export type EmitPayload<E extends Any> = IsUnion<E> extends true ? OneEventAtATime<E["_tag"]> : Payload<E>

/**
 * An event as one value, for each of a union of events: its name and its payload. An
 * {@link Untyped} event has its name and its arguments.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Message<E extends Any> = E extends Untyped
  ? { readonly event: string; readonly args: ReadonlyArray<unknown> }
  : E extends Any
    ? { readonly event: Name<E>; readonly payload: Payload<E> }
    : never

/**
 * Appears in an error message where `emit` gets a union of names: the right payload is unknown
 * then.
 *
 * @since 0.1.0
 * @category utility types
 */
export interface OneEventAtATime<Names> {
  readonly "emit one event at a time, its name may be any of": Names
}

type IsUnion<A, B = A> = [A] extends [never] ? false : A extends unknown ? ([B] extends [A] ? false : true) : never
