/**
 * Types for the official client and server, inferred from a contract. Nothing is generated, and
 * nothing of this module exists at run time: with `import type`, a page gets no byte of Effect.
 *
 * **Details**
 *
 * The types show values as they are on the wire, because the official packages know no schemas:
 *
 * | in the contract | for the official packages |
 * |---|---|
 * | `Schema.Date`, `DateTime`, `BigInt`, `BigDecimal`, `URL` | `string` |
 * | `Binary.Bytes` | bytes: see {@link Bytes} and {@link SentBytes} |
 * | `Schema.Uint8Array` | `string`, in base64 |
 * | `args` | several arguments |
 * | `Schema.Option(A)` | `{ _tag: "None" }` or `{ _tag: "Some", value }` |
 * | `Schema.HashMap(K, V)`, `ReadonlyMap` | a list of pairs |
 * | `Schema.Chunk(A)`, `HashSet`, `ReadonlySet` | a list |
 * | `Schema.Duration` | `{ _tag: "Millis", value }`, `{ _tag: "Nanos", value }` and the like |
 * | `undefined` | `null` |
 * | a transformation, such as `Schema.FiniteFromString` | its encoded side |
 * | `ack` without `error` | the value; from the server possibly an `EventAnswer.Failure` |
 * | `error` | `{ _tag: "Success", value }` or `{ _tag: "Failure", error }`, with the refusals of `EventAnswer` |
 * | `once` without `key` | one more argument after those of the event: {@link Attributes} |
 * | any other class | `unknown` |
 *
 * **Gotchas**
 *
 * Checks, such as a maximal length, are not visible in types. `NaN` and the infinities of
 * `Schema.Number` are strings on the wire, unlike the type: use `Schema.Finite`. Without
 * `exactOptionalPropertyTypes` the compiler does not distinguish `Schema.optional` from
 * `Schema.optionalKey`, so that every optional field may be `null` then.
 *
 * **Example** (A page on the official client)
 *
 * ```ts
 * import type { Official } from "effect-socket.io"
 * import { io, type Socket } from "socket.io-client"
 * import type { Chat } from "./contract.ts"
 *
 * const socket: Socket<Official.ListenEvents<typeof Chat>, Official.EmitEvents<typeof Chat>> = io("/chat")
 * const answer = await socket.emitWithAck("join", { name: "Ada" })
 * if (answer._tag === "Failure") show(answer.error._tag)
 * ```
 *
 * @since 0.1.0
 */
import type * as BigDecimal from "effect/BigDecimal"
import type * as ByteSize from "effect/ByteSize"
import type * as Cause from "effect/Cause"
import type * as Chunk from "effect/Chunk"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import type * as HashMap from "effect/HashMap"
import type * as HashSet from "effect/HashSet"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Result from "effect/Result"
import type * as Schema from "effect/Schema"

import type * as Event from "./Event.ts"
import type { Failure, Refusal } from "./EventAnswer.ts"
import type * as Namespace from "./Namespace.ts"

/**
 * The events of the server, as the official client listens to them: the first type of its `Socket`.
 *
 * @since 0.1.0
 * @category client
 */
export type ListenEvents<N extends Namespace.Any> = N extends Namespace.AnyUntyped
  ? AnyEvents
  : { [E in Namespace.ServerEvents<N> as Event.Name<E>]: Listener<E, Arguments<E, Bytes>, FromClient<E, SentBytes>> }

/**
 * The events that the official client may emit: the second type of its `Socket`.
 *
 * **Gotchas**
 *
 * The callback of an event with `ack` or `error` is required, as the official types derive
 * `emitWithAck` from it. An event without both takes none. An event without failures of its own has
 * bare answers here, also if it declares `error: Schema.Never`.
 *
 * The official types give `any` for `socket.timeout(5000).emitWithAck(…)`. The option `ackTimeout`
 * of the official client has the same effect, and keeps the types of `socket.emitWithAck(…)`.
 *
 * @since 0.1.0
 * @category client
 */
export type EmitEvents<N extends Namespace.Any> = N extends Namespace.AnyUntyped
  ? AnyEvents
  : {
      [E in Namespace.ClientEvents<N> as Event.Name<E>]: Listener<
        E,
        ClientArguments<E, SentBytes>,
        FromServer<E, Bytes, [answer: Failure<Refusal> | undefined]>
      >
    }

/**
 * The auth payload that the contract and all of its middlewares read. `unknown` if none of them
 * declares it.
 *
 * **Example** (Connecting with a token)
 *
 * ```ts
 * const auth: Official.Auth<typeof Chat> = { token }
 * const socket = io("/chat", { auth })
 * ```
 *
 * @since 0.1.0
 * @category client
 */
export type Auth<N extends Namespace.Any> = Wire<N["auth"]["Encoded"], SentBytes> &
  AllOf<MiddlewareAuth<N[typeof Namespace.TypeId]["middleware"]>>

/**
 * The four types of the official `Server`, for teams that keep one: the events of clients, the
 * events that it emits, the events between servers, the data of sockets.
 *
 * **Example** (An official server of the contract)
 *
 * ```ts
 * import { Server } from "socket.io"
 *
 * type Types = Official.ServerTypes<typeof Chat>
 * const io = new Server<Types[0], Types[1], Types[2], Types[3]>(httpServer)
 * io.of("/chat").on("connection", (socket) => {
 *   socket.on("join", ({ room }, answer) => answer({ _tag: "Success", value: 1 }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category server
 */
export type ServerTypes<N extends Namespace.Any> = [
  listenEvents: N extends Namespace.AnyUntyped
    ? AnyEvents
    : {
        [E in Namespace.ClientEvents<N> as Event.Name<E>]: Listener<
          E,
          ClientArguments<E, Bytes>,
          FromServer<E, Bytes, [answer?: Failure<Refusal>]>
        >
      },
  emitEvents: N extends Namespace.AnyUntyped
    ? AnyEvents
    : { [E in Namespace.ServerEvents<N> as Event.Name<E>]: Listener<E, Arguments<E, Bytes>, FromClient<E, Bytes>> },
  serverSideEvents: N extends Namespace.AnyUntyped
    ? AnyEvents
    : {
        [E in Namespace.ServerToServer<N> as Event.Name<E>]: Listener<
          E,
          Arguments<E, Bytes>,
          FromServer<E, Bytes, [answer?: Failure<Refusal>]>
        >
      },
  socketData: N extends Namespace.AnyUntyped ? any : SocketData<N[typeof Namespace.TypeId]["encodedData"]>
]

/**
 * The attributes of a message: an object after the arguments of an event that is handled once
 * (`once`), unless its id is in the payload.
 *
 * **Example** (An order that counts once, however often the client sends it)
 *
 * ```ts
 * const shop: ShopSocket = io("/shop", { retries: 10, ackTimeout: 5000 })
 * const answer = await shop.emitWithAck("order", { article: "book" }, { id: crypto.randomUUID() })
 * ```
 *
 * @since 0.1.0
 * @category client
 */
export interface Attributes {
  /** The id of the message, the same in every attempt to send it. */
  readonly id: string
  /** The W3C trace context of the sender. */
  readonly traceparent?: string
  readonly tracestate?: string
}

/**
 * The events of a namespace that declares none.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnyEvents {
  [event: string]: (...args: Array<any>) => void
}

/**
 * Bytes that come in, and that servers send: an `ArrayBuffer` in browsers, a `Buffer` in Node.
 *
 * @since 0.1.0
 * @category models
 */
export type Bytes = Uint8Array | ArrayBuffer

/**
 * Bytes that a client sends. A page may send a `Blob` or a `File`, too.
 *
 * @since 0.1.0
 * @category models
 */
export type SentBytes = Bytes | Blob

/**
 * The form that a value has on the wire, from the encoded type of its schema: canonical JSON
 * (`Schema.toCodecJson`), with bytes as `B`.
 *
 * **Example** (The message of a chat, as a page gets it)
 *
 * ```ts
 * type Message = Official.Wire<typeof ChatMessage.Encoded>     // { readonly text: string; readonly at: string }
 * ```
 *
 * @since 0.1.0
 * @category utility types
 */
export type Wire<Encoded, B = Bytes> = 0 extends 1 & Encoded
  ? Encoded
  : unknown extends Encoded
    ? unknown
    : // An alias of JSON contains itself, and would have no end.
      [Encoded] extends [Schema.Json]
      ? Encoded
      : // As a union it is a string, while an offset alone is a number.
        [DateTime.TimeZone] extends [Extract<Encoded, DateTime.TimeZone>]
        ? string | WireOfEach<Exclude<Encoded, DateTime.TimeZone>, B>
        : WireOfEach<Encoded, B>

type WireOfEach<E, B> = E extends string | number | boolean | null
  ? E
  : E extends void
    ? null
    : E extends AsString
      ? "~effect-socket.io/Attachment" extends keyof E
        ? B
        : string
      : E extends readonly unknown[]
        ? { [K in keyof E]: Wire<Exact extends true ? Required<E>[K] : E[K], B> }
        : WireOfDeclared<E, B>

/** The values whose form is a string. */
type AsString =
  | bigint
  | symbol
  | Date
  | URL
  | URLSearchParams
  | Uint8Array
  | DateTime.DateTime
  | DateTime.TimeZone.Named
  | BigDecimal.BigDecimal
  | ByteSize.ByteSize

/** The documented forms of declared classes, and of structs. */
type WireOfDeclared<E, B> =
  E extends Option.None<any>
    ? { readonly _tag: "None" }
    : E extends Option.Some<infer A>
      ? { readonly _tag: "Some"; readonly value: Wire<A, B> }
      : E extends Result.Success<infer A, any>
        ? { readonly _tag: "Success"; readonly success: Wire<A, B> }
        : E extends Result.Failure<any, infer F>
          ? { readonly _tag: "Failure"; readonly failure: Wire<F, B> }
          : E extends ReadonlyMap<infer K, infer V>
            ? ReadonlyArray<readonly [Wire<K, B>, Wire<V, B>]>
            : E extends HashMap.HashMap<infer K, infer V>
              ? ReadonlyArray<readonly [Wire<K, B>, Wire<V, B>]>
              : E extends ReadonlySet<infer A> | HashSet.HashSet<infer A> | Chunk.Chunk<infer A>
                ? ReadonlyArray<Wire<A, B>>
                : E extends Duration.Duration
                  ? DurationWire
                  : E extends DateTime.TimeZone.Offset
                    ? number
                    : E extends Redacted.Redacted<infer A>
                      ? Wire<A, B>
                      : E extends RegExp
                        ? { readonly source: string; readonly flags: string }
                        : WireOfOutcome<E, B>

type WireOfOutcome<E, B> =
  E extends Exit.Success<infer A, any>
    ? { readonly _tag: "Success"; readonly value: Wire<A, B> }
    : E extends Exit.Failure<any, infer F>
      ? { readonly _tag: "Failure"; readonly cause: ReadonlyArray<ReasonWire<F, B>> }
      : E extends Cause.Cause<infer F>
        ? ReadonlyArray<ReasonWire<F, B>>
        : // A reason of a cause has the form that the whole cause has.
          E extends Cause.Fail<infer F>
          ? Extract<ReasonWire<F, B>, { readonly _tag: "Fail" }>
          : E extends Cause.Die | Cause.Interrupt
            ? Extract<ReasonWire<never, B>, { readonly _tag: E["_tag"] }>
            : IsError<E> extends true
              ? ErrorWire
              : IsOpaque<E> extends true
                ? unknown
                : { [K in keyof E]: Wire<Exact extends true ? Required<E>[K] : E[K], B> }

type DurationWire =
  | { readonly _tag: "Millis"; readonly value: number }
  | { readonly _tag: "Nanos"; readonly value: string }
  | { readonly _tag: "Infinity" }
  | { readonly _tag: "NegativeInfinity" }

type ReasonWire<F, B> =
  | { readonly _tag: "Fail"; readonly error: Wire<F, B> }
  | { readonly _tag: "Die"; readonly defect: unknown }
  | { readonly _tag: "Interrupt"; readonly fiberId: number | null }

interface ErrorWire {
  readonly message: string
  readonly name?: string
  readonly stack?: string
  readonly cause?: unknown
}

/** A struct with a name and a message is no error. */
type IsError<E> = E extends Error ? (Error extends E ? ("stack" extends keyof E ? true : false) : false) : false

/** Whether a type is that of a class which JSON cannot show, as far as one can see. */
type IsOpaque<E> = E extends (...args: never) => unknown
  ? true
  : [Extract<keyof E, symbol | `~effect/${string}`>] extends [never]
    ? true extends { [K in keyof E]-?: IsMethod<E[K]> }[keyof E]
      ? true
      : false
    : true

type IsMethod<A> = 0 extends 1 & A ? false : [Extract<A, (...args: never) => unknown>] extends [never] ? false : true

/** Whether `exactOptionalPropertyTypes` is on: `Required` then keeps a declared `undefined`. */
type Exact = { a?: undefined } extends { a?: never } ? false : true

/** The listener of an event: its arguments, and a callback if it is acknowledged with something. */
type Listener<E extends Event.Any, Args extends ReadonlyArray<unknown>, Answer extends ReadonlyArray<unknown>> = [
  Event.Ack<E>,
  Event.Error<E>
] extends [never, never]
  ? (...args: Args) => void
  : (...args: [...args: Args, ack: (...answer: Answer) => void]) => void

/** The arguments of an event of clients: an id follows where `once` takes it from there. */
type ClientArguments<E extends Event.Any, B> = undefined extends E["once"]
  ? Arguments<E, B>
  : E["once"] extends { readonly key: unknown }
    ? Arguments<E, B>
    : [...args: Arguments<E, B>, attributes: Attributes]

type Arguments<E extends Event.Any, B> = E["payload"] extends Schema.Void
  ? []
  : "~effect-socket.io/Args" extends keyof E["payload"]
    ? E["payload"]["Encoded"] extends readonly [...infer A]
      ? { [K in keyof A]: Wire<A[K], B> }
      : never
    : [payload: Wire<E["payload"]["Encoded"], B>]

/**
 * The arguments of an acknowledgement by a server, which may refuse every event. `None` is the
 * answer without a value: the official client does not infer optional parameters.
 */
type FromServer<E extends Event.Any, B, None extends ReadonlyArray<unknown>> = [Event.Error<E>] extends [never]
  ? HasValue<E> extends true
    ? [answer: Wire<E["ack"]["Encoded"], B> | Failure<Refusal>]
    : None
  : [answer: Tagged<E, B>]

/** The arguments of an acknowledgement by a client. */
type FromClient<E extends Event.Any, B> = [Event.Error<E>] extends [never]
  ? HasValue<E> extends true
    ? [answer: Wire<E["ack"]["Encoded"], B>]
    : []
  : [answer: Tagged<E, B>]

type Tagged<E extends Event.Any, B> =
  | (HasValue<E> extends true
      ? { readonly _tag: "Success"; readonly value: Wire<E["ack"]["Encoded"], B> }
      : { readonly _tag: "Success" })
  | Failure<Wire<E["error"]["Encoded"], B> | Refusal>

type HasValue<E extends Event.Any> = [Event.Ack<E>] extends [never]
  ? false
  : E["ack"] extends Schema.Void
    ? false
    : true

/** The payloads that middlewares read, as parameters of functions: inferred together, they meet. */
type MiddlewareAuth<M> = M extends { readonly auth: { readonly Encoded: infer A } }
  ? (auth: Wire<A, SentBytes>) => void
  : never

type AllOf<F> = [F] extends [never] ? unknown : [F] extends [(auth: infer A) => void] ? A : never

type SocketData<D> = { -readonly [K in keyof D]?: Wire<D[K]> }
