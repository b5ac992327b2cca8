/**
 * Events of a contract: a name, and the schemas of the payload, the acknowledgement and the
 * failures.
 *
 * An event is a value without a runtime. The server and the client share it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as JsonSchema from "effect/JsonSchema"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { StandardSchemaV1 } from "effect/StandardSchema"

import type { Attachment } from "./Binary.ts"
import { standardCodec } from "./internal/standardSchema.ts"
import { rateOf } from "./internal/tokenBucket.ts"
import type * as Once from "./Once.ts"
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
 * - `once`: how the server knows a message that it has handled; `undefined` if it handles each arrival.
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

type Fields = { readonly [key: string]: AnySchema }

type PayloadOf<P> = P extends AnySchema ? P : P extends Fields ? Schema.Struct<P> : never

type ArgsOf<A> = A extends ReadonlyArray<AnySchema> ? ArgsSchema<A> : never

/**
 * The schema of several wire arguments, which `emit` and handlers take as one tuple. It is a
 * `Schema.Tuple`, but for a mark in types: a tuple as `payload` is one argument.
 *
 * @since 0.1.0
 * @category models
 */
export interface ArgsSchema<A extends ReadonlyArray<AnySchema>> extends Schema.Tuple<A> {
  /** In types only. */
  readonly "~effect-socket.io/Args"?: never
}

/** The documentation of an event whose payload is of this type. */
interface Documentation<A> {
  /** The purpose of the event. CommonMark is allowed. */
  readonly description?: string
  /** Whether new programs should not use the event. Default: false. */
  readonly deprecated?: boolean
  /** Examples of the payload, for documentation. They are checked where it is made. */
  readonly examples?: ReadonlyArray<A>
}

type TypeOf<S> = S extends AnySchema ? S["Type"] : never

/** The type of the options `once` as they are given, and nothing else. It is `unknown` if there are none. */
type Given<O> = O & { readonly [K in Exclude<keyof O, keyof Once.Options>]: NoOption<K> }

/** Appears in an error message where `once` has an option that does not exist. */
interface NoOption<Name> {
  readonly "once has no option": Name
}

type OnceOf<O> = unknown extends O ? undefined : O extends Once.Options ? O : Once.Options

interface Answers<Ack extends AnySchema, Error extends AnySchema, Payload, OnceOptions> {
  /**
   * The acknowledgement's value. Default: the event is acknowledged without arguments, if the
   * sender asks for it.
   */
  readonly ack?: Ack
  /**
   * The failures of the handler. The acknowledgement is one tagged argument then:
   * `{ _tag: "Success", value }` or `{ _tag: "Failure", error }`; see `EventAnswer`. Default: none.
   */
  readonly error?: Error
  /**
   * The number of handlers of this event that run at once for one socket; 1 keeps strict order.
   * Default: the namespace's.
   */
  readonly concurrency?: number
  /**
   * The rate at which the client of one socket may send this event. The server enforces it.
   * Default: no limit.
   */
  readonly rateLimit?: EventRateLimit
  /**
   * Whether clients that have missed this event get it when they come back, where the server's
   * `recovery` is on. Events that are out of date soon need not take its memory. Default: true.
   * Volatile emits are never recovered, and neither are those that ask for an acknowledgement.
   */
  readonly recover?: boolean
  /**
   * Whether the server handles a message once, however often its client sends it; see
   * `Once.Options`. It has no meaning for events of the server. Default: every arrival is handled.
   */
  readonly once?: Once.Options<Payload> & Given<OnceOptions>
}

/**
 * Declares an event.
 *
 * Throws if the name is reserved by the protocol (`connect`, `connect_error`, `disconnect`,
 * `disconnecting`, `newListener`, `removeListener`) or begins with `~fx:`, which this library keeps
 * for itself, if `concurrency` is not a positive integer, and if `rateLimit` is no rate: a contract
 * is a constant of the program.
 *
 * **Details**
 *
 * `payload` is one wire argument: a schema, or the fields of a struct. `args` are several wire
 * arguments, which `emit` and handlers take as one tuple. Without both, the event carries no data.
 *
 * Payloads are converted by their canonical JSON codec (`Schema.toCodecJson`: a `Schema.Date` is an
 * ISO string on the wire); `Binary.Bytes` travel as attachments. Schemas must work synchronously
 * and without services.
 *
 * A plain object may take the place of an instance of a `Schema.Class`. The library turns it into
 * an instance, which costs more than passing one.
 *
 * **Gotchas**
 *
 * The members of a union that contains itself must differ by a literal field (`_tag`), or by being
 * an array or an object. Otherwise several members that contain the union may accept the same
 * value, as in `Union([{ and: self }, { or: self }])`. All of them are then tried at every level of
 * an invalid value: twenty levels, in a message of 200 bytes, take seconds. The server logs a
 * warning when it serves a contract that lets clients send such a value.
 *
 * **Example** (The three forms of a payload)
 *
 * ```ts
 * const Join = Event.make("join", { payload: { room: Schema.String }, ack: Schema.Int, error: RoomFull })
 * const Cursor = Event.make("cursor", { args: [Schema.Finite, Schema.Finite], rateLimit: { limit: 60 } })
 * const Leave = Event.make("leave").annotate(Title, "Leave the room")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  // `NoInfer`: otherwise an event that is declared within a namespace would infer its missing
  // options from there, as `any`.
  /** Declares an event that carries no data. Throws if the name is reserved by the protocol. */
  <
    const Name extends string,
    Ack extends AnySchema = Schema.Never,
    Error extends AnySchema = Schema.Never,
    OnceOptions = unknown
  >(
    name: Name,
    options?: Answers<Ack, Error, void, OnceOptions> &
      Documentation<never> & { readonly payload?: never; readonly args?: never }
  ): Event<Name, Schema.Void, NoInfer<Ack>, NoInfer<Error>, OnceOf<NoInfer<OnceOptions>>>
  /**
   * Declares an event with several wire arguments: handlers and `emit` take `args` as one tuple.
   * Throws if the name is reserved by the protocol.
   */
  <
    const Name extends string,
    const Args extends ReadonlyArray<AnySchema>,
    Ack extends AnySchema = Schema.Never,
    Error extends AnySchema = Schema.Never,
    OnceOptions = unknown
  >(
    name: Name,
    options: Answers<Ack, Error, ArgsOf<Args>["Type"], OnceOptions> &
      Documentation<NoInfer<TypeOf<ArgsOf<Args>>>> & { readonly args: Args; readonly payload?: never }
  ): Event<Name, ArgsOf<Args>, NoInfer<Ack>, NoInfer<Error>, OnceOf<NoInfer<OnceOptions>>>
  // The last one: mistakes are explained by it.
  /**
   * Declares an event with one wire argument: `payload` is a schema, or the fields of a struct.
   * Throws if the name is reserved by the protocol.
   */
  <
    const Name extends string,
    Payload extends AnySchema | Fields,
    Ack extends AnySchema = Schema.Never,
    Error extends AnySchema = Schema.Never,
    OnceOptions = unknown
  >(
    name: Name,
    options: Answers<Ack, Error, PayloadOf<Payload>["Type"], OnceOptions> &
      Documentation<NoInfer<TypeOf<PayloadOf<Payload>>>> & { readonly payload: Payload; readonly args?: never }
  ): Event<Name, PayloadOf<Payload>, NoInfer<Ack>, NoInfer<Error>, OnceOf<NoInfer<OnceOptions>>>
} = (
  name: string,
  options: Answers<AnySchema, AnySchema, any, unknown> &
    Documentation<unknown> & {
      readonly payload?: AnySchema | Fields
      readonly args?: ReadonlyArray<AnySchema>
    } = {}
): any => {
  if (isReservedEvent(name) || name.startsWith("~fx:")) throw new Error(`"${name}" is a reserved event name`)
  checkConcurrency(`event "${name}"`, options.concurrency)
  const rate = options.rateLimit && rateOf(options.rateLimit)
  if (typeof rate === "string") throw new Error(`rateLimit of event "${name}": ${rate}`)
  const arity: Arity = options.args !== undefined ? "many" : options.payload !== undefined ? "one" : "none"
  const payload =
    options.args !== undefined
      ? Schema.Tuple(options.args)
      : options.payload === undefined
        ? Schema.Void
        : Schema.isSchema(options.payload)
          ? options.payload
          : Schema.Struct(options.payload as Fields)
  return makeEvent({
    _tag: name,
    arity,
    payload,
    ack: options.ack ?? Schema.Never,
    error: options.error ?? Schema.Never,
    hasAck: options.ack !== undefined,
    hasError: options.error !== undefined,
    concurrency: options.concurrency,
    rateLimit: options.rateLimit,
    recover: options.recover ?? true,
    once: options.once,
    description: options.description,
    deprecated: options.deprecated ?? false,
    examples: options.examples ?? [],
    annotations: Context.empty()
  })
}

/**
 * The schema of a Standard Schema, as {@link standard} makes it.
 *
 * @since 0.1.0
 * @category models
 */
export type Standard<S extends StandardSchemaV1> = Schema.Codec<
  StandardSchemaV1.InferOutput<S>,
  WithAttachments<StandardSchemaV1.InferInput<S>>
>

/** Bytes travel as attachments, whatever schema they have. */
type WithAttachments<A> = unknown extends A
  ? A
  : A extends Uint8Array | ArrayBuffer | Blob
    ? Attachment
    : A extends Date | ((...args: never) => unknown)
      ? A
      : A extends object
        ? { [K in keyof A]: WithAttachments<A[K]> }
        : A

/**
 * Appears in an error message where {@link standard} gets a schema that is asynchronous.
 *
 * @since 0.1.0
 * @category utility types
 */
export interface MustBeSynchronous {
  readonly "the schema is asynchronous; a message is validated at once": never
}

/**
 * Takes a schema of another library, such as zod, valibot or ArkType, for a payload, an
 * acknowledgement, a failure or an auth payload: anything with the interface of
 * [Standard Schema](https://standardschema.dev).
 *
 * Throws on a schema that says it is asynchronous, as those of valibot do. An asynchronous schema
 * of zod does not say so: its first value is a defect, which answers `InternalError`.
 *
 * **Details**
 *
 * - Values that come in are validated, and their handlers get the result. A value that the schema
 *   refuses is answered as any other: at most five of its issues are told, each cut at 200
 *   characters.
 * - Values that go out are validated, too, and the result is sent: fields that the schema drops do
 *   not leave. The packet's encoder makes JSON of it, and attachments of bytes.
 * - `jsonSchema` describes the value on the wire, for documentation. Default: what the schema says
 *   itself (`~standard.jsonSchema`), otherwise anything.
 *
 * **Gotchas**
 *
 * A schema whose result it would refuse, such as zod's `z.string().transform(Number)`, serves for
 * values that only come in. Dates are strings on the wire: `z.coerce.date()` reads them, `z.date()`
 * does not.
 *
 * **Example** (A payload of zod)
 *
 * ```ts
 * import * as z from "zod"
 *
 * const Say = Event.make("say", {
 *   payload: Event.standard(z.object({ text: z.string().max(2_000), at: z.coerce.date() })),
 *   ack: Schema.Int
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const standard = <S extends StandardSchemaV1>(
  schema: S & (S extends { readonly async: true } ? MustBeSynchronous : unknown),
  options: { readonly jsonSchema?: JsonSchema.JsonSchema } = {}
): Standard<S> => standardCodec(schema, options.jsonSchema) as Standard<S>

const Prototype = {
  [TypeId]: TypeId,
  pipe() {
    return pipeArguments(this, arguments)
  },
  annotate(key: Context.Key<any, any>, value: unknown) {
    // `this` is an event: the prototype alone has no type for it.
    return (this as any).annotateMerge(Context.make(key, value))
  },
  annotateMerge(this: Any, annotations: Context.Context<any>) {
    return makeEvent({ ...this, annotations: Context.merge(this.annotations, annotations) })
  }
}

const makeEvent = (fields: Omit<Any, "pipe" | typeof TypeId>): Any => Object.assign(Object.create(Prototype), fields)

/** @internal */
export const checkConcurrency = (owner: string, concurrency: number | undefined): void => {
  if (concurrency !== undefined && (!Number.isInteger(concurrency) || concurrency < 1)) {
    throw new Error(`concurrency of ${owner} must be a positive integer, not ${String(concurrency)}`)
  }
}
