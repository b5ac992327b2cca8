/**
 * Events of a contract: a name, the schema of what it carries, and what its acknowledgement carries.
 *
 * An event is a value without a runtime. The server and the client share it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

import { isReservedEvent } from "./protocol/SocketPacket.ts"
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
 * How the payload maps to the arguments of the EVENT packet: none, one value, or a tuple spread over several.
 *
 * @since 0.1.0
 * @category models
 */
export type Arity = "none" | "one" | "many"

/**
 * An event of a contract.
 *
 * - `payload`: what handlers take and `emit` takes; `void` for an event without arguments.
 * - `ack`: what the acknowledgement carries; `Schema.Never` for an event that is not acknowledged with a value.
 * - `error`: the failures that the handler may answer with; `Schema.Never` for none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Event<Name extends string, Payload extends AnySchema, Ack extends AnySchema, Error extends AnySchema> {
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
}

/**
 * Any event.
 *
 * @since 0.1.0
 * @category models
 */
export interface Any {
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
}

/**
 * The name of an event.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Name<E extends Any> = E["_tag"]

/**
 * The event called `N` of a union of events.
 *
 * @since 0.1.0
 * @category utility types
 */
export type WithName<E extends Any, N extends string> = Extract<E, { readonly _tag: N }>

/**
 * What an event carries.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Payload<E extends Any> = E["payload"]["Type"]

/**
 * What the acknowledgement of an event carries; `never` if the event is not acknowledged with a value.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Ack<E extends Any> = E["ack"]["Type"]

/**
 * What the handler of an event may fail with.
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
 * The arguments of `emit` behind the event's name: none for an event without payload, otherwise the payload.
 *
 * @since 0.1.0
 * @category utility types
 */
export type EmitArguments<E extends Any> =
  IsUnion<E> extends true
    ? [payload: OneEventAtATime<E["_tag"]>]
    : E["payload"] extends Schema.Void
      ? []
      : [payload: Payload<E>]

/**
 * Stands in an error message where the name to emit may be one of several: which payload is right is not known then.
 *
 * @since 0.1.0
 * @category utility types
 */
export interface OneEventAtATime<Names> {
  readonly "emit one event at a time, its name may be any of": Names
}

type IsUnion<A, B = A> = [A] extends [never] ? false : A extends unknown ? ([B] extends [A] ? false : true) : never

type Fields = { readonly [key: string]: AnySchema }

type PayloadOf<P> = P extends AnySchema ? P : P extends Fields ? Schema.Struct<P> : never

type ArgsOf<A> = A extends ReadonlyArray<AnySchema> ? Schema.Tuple<A> : never

interface Answers<Ack extends AnySchema, Error extends AnySchema> {
  /** What the acknowledgement carries. Without it the event is acknowledged, when asked, with no arguments. */
  readonly ack?: Ack
  /**
   * What the handler may fail with. The acknowledgement then is one tagged argument,
   * `{ _tag: "Success", value }` or `{ _tag: "Failure", error }`.
   */
  readonly error?: Error
  /** How many handlers of this event run at once for one socket; 1 keeps strict order. Default: the namespace's. */
  readonly concurrency?: number
  /** How often the client of one socket may send this event. The server sees to it. Default: no limit. */
  readonly rateLimit?: EventRateLimit
}

/**
 * Declares an event.
 *
 * `payload` is one wire argument: a schema, or the fields of a struct. `args` are several wire arguments, which handlers
 * and `emit` take as one tuple. Without either the event carries nothing.
 *
 * Payloads are converted by their canonical JSON codec (`Schema.toCodecJson`: a `Schema.Date` is an ISO string on the
 * wire); `Binary.Bytes` travel as attachments. Schemas must work synchronously and without services.
 *
 * A union that contains itself should tell its members apart by a literal field (`_tag`), or by being an array or an object. Where more
 * than one member that contains the union can take the same value, as in `Union([{ and: self }, { or: self }])`, all of them are
 * tried at every level of a value that does not fit: twenty levels, in a message of 200 bytes, take seconds. The server logs
 * a warning when it serves a contract that lets clients send such a thing.
 *
 * An object of the right form may stand for an instance of a `Schema.Class`: it is made one (which costs more than to give
 * an instance).
 *
 * Throws if the name is reserved by the protocol (`connect`, `connect_error`, `disconnect`, `disconnecting`,
 * `newListener`, `removeListener`), and if `concurrency` is not a positive integer: a contract is a constant of the
 * program.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  // `NoInfer`, as an event that is declared within a namespace would otherwise take what it leaves out from there: as `any`.
  /**
   * Declares an event with one wire argument: `payload` is a schema, or the fields of a struct. Throws if the name is reserved by the
   * protocol.
   */
  <
    const Name extends string,
    Payload extends AnySchema | Fields,
    Ack extends AnySchema = Schema.Never,
    Error extends AnySchema = Schema.Never
  >(
    name: Name,
    options: Answers<Ack, Error> & { readonly payload: Payload; readonly args?: never }
  ): Event<Name, PayloadOf<Payload>, NoInfer<Ack>, NoInfer<Error>>
  /**
   * Declares an event with several wire arguments: handlers and `emit` take `args` as one tuple. Throws if the name is reserved by the
   * protocol.
   */
  <
    const Name extends string,
    const Args extends ReadonlyArray<AnySchema>,
    Ack extends AnySchema = Schema.Never,
    Error extends AnySchema = Schema.Never
  >(
    name: Name,
    options: Answers<Ack, Error> & { readonly args: Args; readonly payload?: never }
  ): Event<Name, ArgsOf<Args>, NoInfer<Ack>, NoInfer<Error>>
  /** Declares an event that carries nothing. Throws if the name is reserved by the protocol. */
  <const Name extends string, Ack extends AnySchema = Schema.Never, Error extends AnySchema = Schema.Never>(
    name: Name,
    options?: Answers<Ack, Error> & { readonly payload?: never; readonly args?: never }
  ): Event<Name, Schema.Void, NoInfer<Ack>, NoInfer<Error>>
} = (
  name: string,
  options: Answers<AnySchema, AnySchema> & {
    readonly payload?: AnySchema | Fields
    readonly args?: ReadonlyArray<AnySchema>
  } = {}
): any => {
  if (isReservedEvent(name)) throw new Error(`"${name}" is a reserved event name`)
  checkConcurrency(`event "${name}"`, options.concurrency)
  const arity: Arity = options.args !== undefined ? "many" : options.payload !== undefined ? "one" : "none"
  const payload =
    options.args !== undefined
      ? Schema.Tuple(options.args)
      : options.payload === undefined
        ? Schema.Void
        : Schema.isSchema(options.payload)
          ? options.payload
          : Schema.Struct(options.payload as Fields)
  return {
    [TypeId]: TypeId,
    _tag: name,
    arity,
    payload,
    ack: options.ack ?? Schema.Never,
    error: options.error ?? Schema.Never,
    hasAck: options.ack !== undefined,
    hasError: options.error !== undefined,
    concurrency: options.concurrency,
    rateLimit: options.rateLimit
  }
}

/** @internal */
export const checkConcurrency = (owner: string, concurrency: number | undefined): void => {
  if (concurrency !== undefined && (!Number.isInteger(concurrency) || concurrency < 1)) {
    throw new Error(`concurrency of ${owner} must be a positive integer, not ${String(concurrency)}`)
  }
}
