/**
 * A namespace's contract: the events of each direction, and the conditions under which clients may
 * connect.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"

import type * as Event from "./Event.ts"
import { type ClientContract, makeClientContract } from "./internal/clientWire.ts"
import {
  compileContract,
  type CompiledContract,
  type Declaration,
  type Prepare,
  undeclaredAuth
} from "./internal/compileContract.ts"
import { checkConcurrency } from "./internal/declarationChecks.ts"
import { compilePattern, matchPattern } from "./internal/namespacePattern.ts"
import type * as NamespaceMiddleware from "./NamespaceMiddleware.ts"
import type * as StreamEvent from "./StreamEvent.ts"

/**
 * @since 0.1.0
 * @category type IDs
 */
export const TypeId = "~effect-socket.io/Namespace"

/**
 * The contract of a namespace. Extend it as a class, to give it a name of its own in types.
 *
 * **Details**
 *
 * A contract is a constant: every method gives another one, which can be extended as a class, too.
 *
 * @since 0.1.0
 * @category models
 */
export interface Namespace<
  in out Name extends string,
  out Auth extends Event.AnySchema,
  in out ClientToServer extends Event.Any,
  in out ServerToClient extends Event.Any,
  out Middleware extends NamespaceMiddleware.AnyService,
  in out Declared extends Declarations = NoDeclarations
> extends Base {
  readonly [TypeId]: {
    readonly clientToServer: ClientToServer
    readonly serverToClient: ServerToClient
    readonly serverToServer: Declared["serverToServer"]
    readonly clientEvents: ClientToServer | NamespaceMiddleware.RefreshRequest<Middleware>
    readonly serverEvents: ServerToClient | NamespaceMiddleware.RefreshNotice<Middleware>
    readonly middleware: Middleware
    readonly data: Declared["data"]
    readonly encodedData: Declared["encodedData"]
    readonly params: Declared["params"]
  }
  readonly _tag: Name
  readonly auth: Auth
  readonly params: ParamSchemas<Declared["params"]>
  readonly untyped: false

  /**
   * Adds a middleware. Middlewares run in the order in which they were added, each before the next.
   *
   * A middleware with `refresh` brings two events; throws if the contract declares one of these
   * names in the same direction.
   */
  middleware<M extends NamespaceMiddleware.AnyService>(
    middleware: M
  ): Namespace<Name, Auth, ClientToServer, ServerToClient, Middleware | M, Declared>

  /**
   * Adds events, by direction. Throws if the contract declares an event of that name in the same
   * direction.
   */
  add<
    const C2S extends ReadonlyArray<Event.Any> = readonly [],
    const S2C extends ReadonlyArray<Event.Any> = readonly [],
    const S2S extends ReadonlyArray<Event.Any> = readonly []
  >(
    events: EventOptions<C2S, S2C, S2S>
  ): Namespace<
    Name,
    Auth,
    ClientToServer | C2S[number],
    ServerToClient | S2C[number],
    Middleware,
    {
      readonly serverToServer: Declared["serverToServer"] | S2S[number]
      readonly data: Declared["data"]
      readonly encodedData: Declared["encodedData"]
      readonly params: Declared["params"]
    }
  >

  /**
   * Adds the events, the data, the middlewares and the annotations of another contract. The name,
   * the parameters, `auth`, `concurrency` and the documentation stay those of this one.
   *
   * Throws if both declare different events, or different data, of one name, and if the other one
   * declares an `auth` or a `concurrency` that this one does not: nothing is lost silently. A
   * middleware of both runs once.
   */
  merge<Other extends Mergeable>(
    other: Other
  ): Namespace<
    Name,
    Auth,
    ClientToServer | Other[typeof TypeId]["clientToServer"],
    ServerToClient | Other[typeof TypeId]["serverToClient"],
    Middleware | Other[typeof TypeId]["middleware"],
    {
      readonly serverToServer: Declared["serverToServer"] | Other[typeof TypeId]["serverToServer"]
      readonly data: Declared["data"] & Other[typeof TypeId]["data"]
      readonly encodedData: Declared["encodedData"] & Other[typeof TypeId]["encodedData"]
      readonly params: Declared["params"]
    }
  >

  /** Returns the same contract with one more annotation. */
  annotate<I, S>(
    key: Context.Key<I, S>,
    value: NoInfer<S>
  ): Namespace<Name, Auth, ClientToServer, ServerToClient, Middleware, Declared>

  /** Returns the same contract with more annotations; they replace those of the same key. */
  annotateMerge<I>(
    annotations: Context.Context<I>
  ): Namespace<Name, Auth, ClientToServer, ServerToClient, Middleware, Declared>

  /**
   * Types a record of handlers, one for every event that clients may send. A missing handler, an
   * extra one, or a wrong payload, acknowledgement or failure does not compile.
   */
  of<const H extends Handlers<ClientToServer>>(handlers: H & OnlyDeclared<ClientToServer, H>): H
}

/**
 * The contract of a namespace that declares no events: any event may come and go, with any
 * arguments. See {@link untyped}. `ServerSocket<Namespace.Untyped>` is the socket of such a
 * namespace.
 *
 * @since 0.1.0
 * @category models
 */
export interface Untyped<
  out Name extends string = string,
  out Auth extends Event.AnySchema = Schema.Unknown,
  out Middleware extends NamespaceMiddleware.AnyService = never,
  out Params extends object = never
> extends Base {
  readonly [TypeId]: {
    readonly clientToServer: Event.Untyped
    readonly serverToClient: Event.Untyped
    readonly serverToServer: Event.Untyped
    readonly clientEvents: Event.Untyped
    readonly serverEvents: Event.Untyped
    readonly middleware: Middleware
    readonly data: Readonly<Record<string, unknown>>
    readonly encodedData: Readonly<Record<string, unknown>>
    readonly params: Params
  }
  readonly _tag: Name
  readonly auth: Auth
  readonly params: ParamSchemas<Params>
  readonly untyped: true

  /**
   * Adds a middleware. Middlewares run in the order in which they were added, each before the next.
   */
  middleware<M extends NamespaceMiddleware.AnyService>(middleware: M): Untyped<Name, Auth, Middleware | M, Params>

  /** Returns the same contract with one more annotation. */
  annotate<I, S>(key: Context.Key<I, S>, value: NoInfer<S>): Untyped<Name, Auth, Middleware, Params>

  /** Returns the same contract with more annotations; they replace those of the same key. */
  annotateMerge<I>(annotations: Context.Context<I>): Untyped<Name, Auth, Middleware, Params>

  /** Types a record of handlers, of events of any name: each takes the event's arguments. */
  of<const H extends Handlers<Event.Untyped>>(handlers: H): H
}

/** The schemas of parameters; none for the contract of one namespace. */
type ParamSchemas<Params> = [Params] extends [never] ? undefined : Readonly<Record<string, Event.AnySchema>>

/**
 * A contract's declarations beyond the events that clients and servers exchange, as types: the
 * events between servers, the sockets' data and its encoded form, the parameters of the names
 * (`never` for a namespace that is not dynamic).
 *
 * @since 0.1.0
 * @category models
 */
export interface Declarations {
  readonly serverToServer: Event.Any
  readonly data: object
  readonly encodedData: object
  readonly params: object
}

/**
 * No declarations beyond the events that clients and servers exchange.
 *
 * @since 0.1.0
 * @category models
 */
export interface NoDeclarations {
  readonly serverToServer: never
  readonly data: {}
  readonly encodedData: {}
  readonly params: never
}

/** The members that all contracts share. */
interface Base extends Pipeable {
  new (_: never): {}
  readonly clientToServer: ReadonlyMap<string, Event.Any>
  readonly serverToClient: ReadonlyMap<string, Event.Any>
  readonly serverToServer: ReadonlyMap<string, Event.Any>
  readonly data: Readonly<Record<string, Event.AnySchema>>
  readonly middlewares: ReadonlyArray<NamespaceMiddleware.AnyService>
  readonly concurrency: number | undefined
  readonly description: string | undefined
  readonly deprecated: boolean
  readonly examples: ReadonlyArray<unknown>
  readonly annotations: Context.Context<never>
  /**
   * The codecs of all declarations, made once. With `prepare`, they are those of prepared schemas.
   * @internal
   */
  readonly compiled: (prepare?: Prepare) => CompiledContract
  /** The contract in the form that clients use. @internal */
  readonly forClient: () => ClientContract
}

/**
 * Any namespace contract, untyped ones included.
 *
 * @since 0.1.0
 * @category models
 */
export interface Any extends Base {
  readonly [TypeId]: {
    readonly clientToServer: any
    readonly serverToClient: any
    readonly serverToServer: any
    readonly clientEvents: any
    readonly serverEvents: any
    readonly middleware: any
    readonly data: any
    readonly encodedData: any
    readonly params: any
  }
  readonly _tag: string
  readonly auth: Event.AnySchema
  /** The schemas of the parameters, if this is the contract of dynamic namespaces. */
  readonly params: Readonly<Record<string, Event.AnySchema>> | undefined
  /** Whether the contract declares no events, so that any event may come and go. */
  readonly untyped: boolean
}

/**
 * Any contract of one namespace.
 *
 * @since 0.1.0
 * @category models
 */
export interface Static extends Any {
  readonly params: undefined
}

/**
 * Any contract that can be merged into another one: of one namespace, with declared events.
 *
 * @since 0.1.0
 * @category models
 */
export interface Mergeable extends Static {
  readonly untyped: false
}

/**
 * Any contract of dynamic namespaces.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dynamic extends Any {
  readonly params: Readonly<Record<string, Event.AnySchema>>
}

/**
 * Any contract that declares no events.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnyUntyped extends Any {
  readonly untyped: true
}

/**
 * Whether a value is a namespace's contract.
 *
 * @since 0.1.0
 * @category guards
 */
export const isNamespace = (u: unknown): u is Any => Predicate.hasProperty(u, TypeId)

/**
 * The events that clients may send to the namespace.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ClientToServer<N extends Any> = N[typeof TypeId]["clientToServer"]

/**
 * The events that the server may send to clients of the namespace.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ServerToClient<N extends Any> = N[typeof TypeId]["serverToClient"]

/**
 * All events that clients may send: those of {@link ClientToServer}, and those with which they
 * refresh their rights, which the server handles itself.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ClientEvents<N extends Any> = N[typeof TypeId]["clientEvents"]

/**
 * All events that clients may get: those of {@link ServerToClient}, and those that tell them of the
 * end of their rights.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ServerEvents<N extends Any> = N[typeof TypeId]["serverEvents"]

/**
 * The events that servers of one cluster may send to each other.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ServerToServer<N extends Any> = N[typeof TypeId]["serverToServer"]

/**
 * The data that a socket of the namespace may carry.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Data<N extends Any> = N[typeof TypeId]["data"]

/**
 * The parameters in the names of dynamic namespaces.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Params<N extends Any> = N[typeof TypeId]["params"]

/**
 * The middlewares of the namespace.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Middleware<N extends Any> = N[typeof TypeId]["middleware"]

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

type TypesOf<F extends Event.Fields> = { readonly [K in keyof F]: F[K]["Type"] }

type EncodedOf<F extends Event.Fields> = { readonly [K in keyof F]: F[K]["Encoded"] }

/**
 * Events, by direction. An event may be in several directions.
 *
 * - `clientToServer`: the events that clients send. Default: none.
 * - `serverToClient`: the events that the server sends to clients. Default: none.
 * - `serverToServer`: the events that the servers of a cluster send to each other. Default: none.
 *
 * @since 0.1.0
 * @category options
 */
export interface EventOptions<C2S, S2C, S2S> {
  readonly clientToServer?: C2S
  readonly serverToClient?: S2C
  readonly serverToServer?: S2S
}

/**
 * The documentation of a namespace, for people who read about it; see `AsyncApi`.
 *
 * - `description`: its purpose. CommonMark is allowed.
 * - `deprecated`: whether new programs should not use it. Default: false.
 * - `examples`: examples of the auth payload of its own `auth` schema. They are checked where the
 *   documentation is made.
 *
 * @since 0.1.0
 * @category options
 */
export interface DocumentationOptions<Auth> {
  readonly description?: string
  readonly deprecated?: boolean
  readonly examples?: ReadonlyArray<Auth extends Event.AnySchema ? Auth["Type"] : never>
}

/**
 * The auth payload of a namespace: the schema of the value that clients send with CONNECT. An
 * invalid payload is answered with CONNECT_ERROR `Invalid auth payload`. Default: anything.
 *
 * @since 0.1.0
 * @category options
 */
export interface AuthOptions<Auth> extends DocumentationOptions<NoInfer<Auth>> {
  readonly auth?: Auth
}

/**
 * The declarations of a namespace, beside its name.
 *
 * - `data`: the fields that a socket may carry. They are visible wherever the socket is fetched, on
 *   other servers, too. Default: none.
 * - `concurrency`: the number of handlers that run at once for one socket, unless the event sets
 *   its own; 1 keeps strict order. Default: unlimited.
 *
 * @since 0.1.0
 * @category options
 */
export interface Options<Auth, C2S, S2C, S2S, D> extends AuthOptions<Auth>, EventOptions<C2S, S2C, S2S> {
  readonly data?: D
  readonly concurrency?: number
}

/**
 * Declares a namespace. Its name starts with `/` and has no comma; `/` is the default namespace.
 *
 * Throws on a malformed name, two events of one name in one direction, or a `concurrency` that is
 * not a positive integer: a contract is a constant of the program.
 *
 * **Details**
 *
 * Contracts compose: `add` adds events, `merge` adds those of another contract, `middleware` adds a
 * condition for connecting, `annotate` adds a value for tools. Each returns a new contract.
 *
 * **Gotchas**
 *
 * The direction counts. An event that both sides send must be in both lists. Only `clientToServer`
 * events need handlers.
 *
 * **Example** (A chat for signed-in clients)
 *
 * ```ts
 * const Say = Event.make("say", { payload: { text: Schema.NonEmptyString } })
 * const Said = Event.make("said", { payload: { from: Schema.String, text: Schema.String } })
 *
 * class Chat extends Namespace.make("/chat", { clientToServer: [Say], serverToClient: [Said] })
 *   .merge(Presence)
 *   .middleware(Authentication) {}
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <
  const Name extends string,
  Auth extends Event.AnySchema = Schema.Unknown,
  const C2S extends ReadonlyArray<Event.Any> = readonly [],
  const S2C extends ReadonlyArray<Event.Any> = readonly [],
  const S2S extends ReadonlyArray<Event.Any> = readonly [],
  D extends Event.Fields = {}
>(
  name: Name,
  options: Options<Auth, C2S, S2C, S2S, D> = {}
): Namespace<
  Name,
  NoInfer<Auth>,
  C2S[number],
  S2C[number],
  never,
  {
    readonly serverToServer: S2S[number]
    readonly data: TypesOf<D>
    readonly encodedData: EncodedOf<D>
    readonly params: never
  }
> => declare(name, options, {})

/**
 * Declares dynamic namespaces: those whose names match a pattern. They open when clients ask for
 * them.
 *
 * Throws as {@link make} does, and on a pattern without parameters, a pattern with the same
 * parameter twice, or a schema for a parameter that is not in it.
 *
 * **Details**
 *
 * `:name` in the pattern stands for a parameter. It is at least one character long and ends at the
 * next `/`, or where the text after it begins. `params` are the schemas of the parameters, which
 * decode a string from the name; a parameter without a schema is a string.
 *
 * **Gotchas**
 *
 * A name does not match if a parameter does not decode, or is written in another form than its
 * encoded one (`07` for 7). Names of more than 256 characters never match.
 *
 * **Example** (A namespace for every document)
 *
 * ```ts
 * class Document extends Namespace.dynamic("/document/:id", {
 *   params: { id: Schema.FiniteFromString },
 *   clientToServer: [Edit],
 *   serverToClient: [Edited]
 * }) {}
 *
 * // The client of one of them:
 * SocketIoClient.connect(Document, { params: { id: 7 } })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const dynamic = <
  const Pattern extends string,
  Auth extends Event.AnySchema = Schema.Unknown,
  const C2S extends ReadonlyArray<Event.Any> = readonly [],
  const S2C extends ReadonlyArray<Event.Any> = readonly [],
  const S2S extends ReadonlyArray<Event.Any> = readonly [],
  D extends Event.Fields = {},
  P extends { readonly [K in ParameterNames<Pattern>]?: ParameterSchema } = {}
>(
  pattern: Pattern,
  options: Options<Auth, C2S, S2C, S2S, D> & { readonly params?: P } = {}
): Namespace<
  Pattern,
  NoInfer<Auth>,
  C2S[number],
  S2C[number],
  never,
  {
    readonly serverToServer: S2S[number]
    readonly data: TypesOf<D>
    readonly encodedData: EncodedOf<D>
    readonly params: {
      readonly [K in ParameterNames<Pattern>]: K extends keyof P
        ? P[K] extends ParameterSchema
          ? P[K]["Type"]
          : string
        : string
    }
  }
> => declareDynamic(pattern, options, options.params, false)

/**
 * Declares a namespace without declaring its events: any name, any arguments, any acknowledgement.
 *
 * Throws on a malformed name.
 *
 * **Details**
 *
 * `emit` and handlers take the arguments of the packet, each of them `unknown`; `emitWithAck`
 * yields the arguments of the acknowledgement. `auth` and `middleware` decide on CONNECT as in any
 * contract. Events without a handler, and events whose handler fails, are not acknowledged: clients
 * of plain Socket.IO expect only the answers of handlers.
 *
 * **Gotchas**
 *
 * Nothing is validated: check arguments before you use them. `add` and `merge` do not exist here.
 * Use {@link make} for a namespace with declared events.
 *
 * **Example** (An echo for signed-in clients)
 *
 * ```ts
 * class Echo extends Namespace.untyped("/echo", { auth: Schema.Struct({ token: Schema.String }) })
 *   .middleware(Authentication) {}
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const untyped = <const Name extends string, Auth extends Event.AnySchema = Schema.Unknown>(
  name: Name,
  options: AuthOptions<Auth> = {}
): Untyped<Name, NoInfer<Auth>, never> => declare(name, options, { untyped: true })

/**
 * Declares dynamic namespaces without declaring their events. Their names match a pattern, as in
 * {@link dynamic}, or a regular expression. Events are those of {@link untyped}.
 *
 * Throws as {@link dynamic} does, and on a regular expression with flag `g` or `y`, because these
 * have a state.
 *
 * **Gotchas**
 *
 * A regular expression has no parameters, and cannot make a name: a client connects to
 * `Namespace.untyped("/the-name")`. Names of more than 256 characters never match.
 *
 * **Example** (Rooms as namespaces)
 *
 * ```ts
 * class Room extends Namespace.untypedDynamic("/room/:id") {}
 * class Numbered extends Namespace.untypedDynamic(/^\/room-\d+$/) {}
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const untypedDynamic: {
  /** Declares dynamic namespaces whose names match a regular expression, without their events. */
  <Auth extends Event.AnySchema = Schema.Unknown>(
    pattern: RegExp,
    options?: AuthOptions<Auth>
  ): Untyped<string, NoInfer<Auth>, never, {}>
  /** Declares dynamic namespaces whose names match a pattern, without their events. */
  <
    const Pattern extends string,
    Auth extends Event.AnySchema = Schema.Unknown,
    P extends { readonly [K in ParameterNames<Pattern>]?: ParameterSchema } = {}
  >(
    pattern: Pattern,
    options?: AuthOptions<Auth> & { readonly params?: P }
  ): Untyped<
    Pattern,
    NoInfer<Auth>,
    never,
    {
      readonly [K in ParameterNames<Pattern>]: K extends keyof P
        ? P[K] extends ParameterSchema
          ? P[K]["Type"]
          : string
        : string
    }
  >
} = (
  pattern: string | RegExp,
  options: AuthOptions<Event.AnySchema> & { readonly params?: Event.Fields } = {}
): any => {
  if (typeof pattern === "string") return declareDynamic(pattern, options, options.params, true)
  if (pattern.global || pattern.sticky) throw new Error("stateful regular expressions are not supported")
  return makeContract({
    ...defaults,
    _tag: String(pattern),
    ...documented(options),
    params: {},
    pattern: matchPattern(pattern),
    untyped: true
  })
}

/**
 * The schema of a parameter, which is a string in the namespace's name.
 *
 * @since 0.1.0
 * @category models
 */
export type ParameterSchema = Schema.Codec<any, string, never, never>

/**
 * The names of a pattern's parameters.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ParameterNames<Pattern extends string> = Pattern extends `${string}:${infer Rest}`
  ? TakeName<Rest> extends infer Name extends string
    ? Name | ParameterNames<Rest>
    : never
  : never

type TakeName<S extends string, Name extends string = ""> = S extends `${infer C}${infer Rest}`
  ? C extends Punctuation
    ? Name
    : TakeName<Rest, `${Name}${C}`>
  : Name

/** The characters that end a parameter's name. */
type Punctuation =
  | "/"
  | "-"
  | "."
  | ":"
  | "~"
  | "@"
  | "+"
  | "!"
  | "$"
  | "&"
  | "'"
  | "("
  | ")"
  | "*"
  | ";"
  | "="
  | "%"
  | "|"
  | "#"

/** The fields of a contract that are values. */
interface ContractFields extends Declaration {
  readonly description: string | undefined
  readonly deprecated: boolean
  readonly examples: ReadonlyArray<unknown>
  readonly annotations: Context.Context<never>
}

type AnyOptions = Options<
  Event.AnySchema,
  ReadonlyArray<Event.Any>,
  ReadonlyArray<Event.Any>,
  ReadonlyArray<Event.Any>,
  Event.Fields
>

type Direction = "clientToServer" | "serverToClient" | "serverToServer"

const eachDirection = (events: (direction: Direction) => ReadonlyMap<string, Event.Any>) => ({
  clientToServer: events("clientToServer"),
  serverToClient: events("serverToClient"),
  serverToServer: events("serverToServer")
})

/** The fields of a contract that declares nothing. */
const defaults: Omit<ContractFields, "_tag"> = {
  auth: undeclaredAuth,
  ...eachDirection(() => new Map()),
  data: {},
  params: undefined,
  pattern: undefined,
  middlewares: [],
  concurrency: undefined,
  description: undefined,
  deprecated: false,
  examples: [],
  annotations: Context.empty(),
  untyped: false
}

const documented = (options: AuthOptions<Event.AnySchema>) => ({
  auth: options.auth ?? undeclaredAuth,
  description: options.description,
  deprecated: options.deprecated ?? false,
  examples: options.examples ?? []
})

const declare = (name: string, options: AnyOptions, more: Partial<ContractFields>): any => {
  checkName(name)
  checkConcurrency(`namespace "${name}"`, options.concurrency)
  return makeContract({
    ...withEvents({ ...defaults, _tag: name }, options),
    ...documented(options),
    data: options.data ?? {},
    concurrency: options.concurrency,
    ...more
  })
}

const declareDynamic = (
  name: string,
  options: AnyOptions,
  schemas: { readonly [key: string]: Event.AnySchema | undefined } = {},
  isUntyped: boolean
): any => {
  const pattern = compilePattern(name)
  const { parameters } = pattern
  if (parameters.length === 0) throw new Error(`the pattern "${name}" has no parameter`)
  const unknown = Object.keys(schemas).find((parameter) => !parameters.includes(parameter))
  if (unknown !== undefined) throw new Error(`the pattern "${name}" has no parameter "${unknown}"`)
  const params = Object.fromEntries(parameters.map((parameter) => [parameter, schemas[parameter] ?? Schema.String]))
  return declare(name, options, { params, pattern, untyped: isUntyped })
}

/**
 * Checks a namespace's name. Throws an error that describes the problem.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkName = (name: string): void => {
  if (!name.startsWith("/")) throw new Error(`a namespace's name starts with "/", unlike "${name}"`)
  if (name.includes(",")) throw new Error(`a namespace's name has no comma, unlike "${name}"`)
}

const makeContract = (fields: ContractFields): any => {
  let codecs: CompiledContract | undefined
  let preparedBy: Prepare | undefined
  let client: ClientContract | undefined
  const compiled = (prepare?: Prepare) => {
    // A client of the same process may have compiled it before the server, and without the server's
    // compiler.
    if (!codecs || (prepare && !preparedBy)) {
      preparedBy = prepare
      codecs = compileContract(fields, prepare)
    }
    return codecs
  }
  const derive = (changes: Partial<ContractFields>) => makeContract({ ...fields, ...changes })
  const annotateMerge = (annotations: Context.Context<never>) =>
    derive({ annotations: Context.merge(fields.annotations, annotations) })
  // A class, so that contracts can extend it: statics are inherited.
  return Object.assign(class {}, fields, {
    [TypeId]: TypeId,
    compiled,
    forClient: () => (client ??= makeClientContract(compiled())),
    pipe() {
      return pipeArguments(this, arguments)
    },
    middleware: (middleware: NamespaceMiddleware.AnyService) =>
      derive({ ...withRefresh(fields, middleware), middlewares: [...fields.middlewares, middleware] }),
    add: (events: AnyOptions) => derive(withEvents(fields, events)),
    merge: (other: ContractFields) => derive(merged(fields, other)),
    annotate: (key: Context.Key<any, any>, value: unknown) => annotateMerge(Context.make(key, value)),
    annotateMerge,
    of: (handlers: unknown) => handlers
  })
}

/**
 * The entries of both; `onTwice` is told of a name that is in both, and whether its values differ.
 */
const union = <A>(
  one: Iterable<readonly [string, A]>,
  two: Iterable<readonly [string, A]>,
  onTwice: (name: string, differs: boolean) => void
): ReadonlyMap<string, A> => {
  const all = new Map(one)
  for (const [name, value] of two) {
    if (all.has(name)) onTwice(name, all.get(name) !== value)
    all.set(name, value)
  }
  return all
}

/** The fields with more events. Throws on two events of one name in one direction. */
const withEvents = (fields: ContractFields, events: AnyOptions): ContractFields => ({
  ...fields,
  ...eachDirection((direction) =>
    union(
      fields[direction],
      (events[direction] ?? []).map((event) => [event._tag, event]),
      (name) => {
        throw new Error(`namespace "${fields._tag}" declares the event "${name}" twice`)
      }
    )
  )
})

/** The fields with the events of a middleware. A contract that declares no events stays so. */
const withRefresh = (fields: ContractFields, { refresh }: NamespaceMiddleware.AnyService): ContractFields =>
  refresh === undefined || fields.untyped
    ? fields
    : withEvents(fields, { clientToServer: [refresh.request], serverToClient: [refresh.notice] })

/** The fields of two contracts; `auth` and the like are those of the first. */
const merged = (fields: ContractFields, other: ContractFields): Partial<ContractFields> => {
  const check = (name: string, differs: boolean) => {
    if (differs) throw new Error(`merge: "${fields._tag}" and "${other._tag}" differ in "${name}"`)
  }
  for (const option of ["auth", "concurrency"] as const) {
    check(option, other[option] !== defaults[option] && other[option] !== fields[option])
  }
  return {
    ...eachDirection((direction) => union(fields[direction], other[direction], check)),
    data: Object.fromEntries(union(Object.entries(fields.data), Object.entries(other.data), check)),
    middlewares: Array.from(new Set([...fields.middlewares, ...other.middlewares])),
    annotations: Context.merge(fields.annotations, other.annotations)
  }
}
