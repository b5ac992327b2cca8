/**
 * Events of a contract: a name, and the schemas of the payload, the acknowledgement and the
 * failures.
 *
 * An event is a value without a runtime. The server and the client share it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import { pipeArguments } from "effect/Pipeable"
import * as Schema from "effect/Schema"

import {
  type Any,
  type AnySchema,
  type Arity,
  type Event,
  type Fields,
  type PayloadOf,
  TypeId
} from "./EventContract.ts"
import { checkConcurrency } from "./internal/declarationChecks.ts"
import type * as Once from "./Once.ts"
import { isReservedEvent } from "./protocol/SocketPacket.ts"
import type { EventRateLimit } from "./RateLimit.ts"

export {
  type Ack,
  type Any,
  type AnyArguments,
  type AnySchema,
  type Arity,
  type EmitArguments,
  type EmitPayload,
  type Error,
  type Event,
  type Fields,
  isEvent,
  type Message,
  type Name,
  type OneEventAtATime,
  type Payload,
  type PayloadOf,
  TypeId,
  type Untyped,
  type WithAck,
  type WithName
} from "./EventContract.ts"

export { type MustBeSynchronous, type Standard, standard } from "./StandardSchema.ts"

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
   * The rate at which the client of one socket may send this event. The server enforces it, and
   * does not serve the namespace if the rate makes no sense. Default: no limit.
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
  readonly once?: Once.Options<Payload> & Once.Given<OnceOptions>
}

/**
 * Declares an event.
 *
 * Throws if the name is reserved by the protocol (`connect`, `connect_error`, `disconnect`,
 * `disconnecting`, `newListener`, `removeListener`) or begins with `~fx:`, which this library keeps
 * for itself, and if `concurrency` is not a positive integer: a contract is a constant of the
 * program. A `rateLimit` that is no rate is a defect of the layer that serves the namespace.
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
  ): Event<Name, Schema.Void, NoInfer<Ack>, NoInfer<Error>, Once.Of<NoInfer<OnceOptions>>>
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
  ): Event<Name, ArgsOf<Args>, NoInfer<Ack>, NoInfer<Error>, Once.Of<NoInfer<OnceOptions>>>
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
  ): Event<Name, PayloadOf<Payload>, NoInfer<Ack>, NoInfer<Error>, Once.Of<NoInfer<OnceOptions>>>
} = (
  name: string,
  options: Answers<AnySchema, AnySchema, any, unknown> &
    Documentation<unknown> & {
      readonly payload?: AnySchema | Fields
      readonly args?: ReadonlyArray<AnySchema>
    } = {}
): any => {
  // The overloads say what it is: nothing here knows which of them was called.
  if (isReservedEvent(name) || name.startsWith("~fx:")) throw new Error(`"${name}" is a reserved event name`)
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
