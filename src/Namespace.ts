/**
 * A namespace's contract: what clients say to the server, what the server says to clients, and who may connect.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import * as Event from "./Event.ts"
import { compileContract, type CompiledContract, undeclaredAuth } from "./internal/compileContract.ts"
import { compilePattern } from "./internal/namespacePattern.ts"
import type * as NamespaceMiddleware from "./NamespaceMiddleware.ts"

/**
 * @since 0.1.0
 * @category type IDs
 */
export const TypeId = "~effect-socket.io/Namespace"

/**
 * The contract of a namespace. Extend it as a class, to give it a name of its own in types.
 *
 * @since 0.1.0
 * @category models
 */
export interface Namespace<
  Name extends string,
  Auth extends Event.AnySchema,
  ClientToServer extends Event.Any,
  ServerToClient extends Event.Any,
  Middleware extends NamespaceMiddleware.AnyService,
  More extends Extras = NoExtras
> {
  new (_: never): {}
  readonly [TypeId]: {
    readonly clientToServer: ClientToServer
    readonly serverToClient: ServerToClient
    readonly serverToServer: More["serverToServer"]
    readonly middleware: Middleware
    readonly data: More["data"]
    readonly params: More["params"]
  }
  readonly _tag: Name
  readonly auth: Auth
  readonly clientToServer: ReadonlyMap<string, Event.Any>
  readonly serverToClient: ReadonlyMap<string, Event.Any>
  readonly serverToServer: ReadonlyMap<string, Event.Any>
  readonly data: Readonly<Record<string, Event.AnySchema>>
  /** The schemas of the parameters, if this is the contract of dynamic namespaces. */
  readonly params: [More["params"]] extends [never] ? undefined : Readonly<Record<string, Event.AnySchema>>
  readonly middlewares: ReadonlyArray<NamespaceMiddleware.AnyService>
  readonly concurrency: number | undefined
  /** The codecs of everything that is declared, made once. @internal */
  readonly compiled: () => CompiledContract

  /**
   * Adds a middleware. Middlewares run in the order in which they were added, each before the next.
   */
  middleware<M extends NamespaceMiddleware.AnyService>(
    middleware: M
  ): Namespace<Name, Auth, ClientToServer, ServerToClient, Middleware | M, More>

  /**
   * Types a record of handlers, one for every event that clients may send. A missing handler, one too many, a wrong
   * payload, acknowledgement or failure does not compile.
   */
  of<const H extends Handlers<ClientToServer>>(handlers: H & OnlyDeclared<ClientToServer, H>): H
}

/**
 * What a contract may have beyond its events, as types: the events between servers, the sockets' data, the parameters of the
 * names (`never` for a namespace that is not dynamic).
 *
 * @since 0.1.0
 * @category models
 */
export interface Extras {
  readonly serverToServer: Event.Any
  readonly data: object
  readonly params: object
}

/**
 * @since 0.1.0
 * @category models
 */
export interface NoExtras {
  readonly serverToServer: never
  readonly data: {}
  readonly params: never
}

/**
 * Any namespace contract.
 *
 * @since 0.1.0
 * @category models
 */
export interface Any {
  new (_: never): {}
  readonly [TypeId]: {
    readonly clientToServer: any
    readonly serverToClient: any
    readonly serverToServer: any
    readonly middleware: any
    readonly data: any
    readonly params: any
  }
  readonly _tag: string
  readonly auth: Event.AnySchema
  readonly clientToServer: ReadonlyMap<string, Event.Any>
  readonly serverToClient: ReadonlyMap<string, Event.Any>
  readonly serverToServer: ReadonlyMap<string, Event.Any>
  readonly data: Readonly<Record<string, Event.AnySchema>>
  readonly params: Readonly<Record<string, Event.AnySchema>> | undefined
  readonly middlewares: ReadonlyArray<NamespaceMiddleware.AnyService>
  readonly concurrency: number | undefined
  /** The codecs of everything that is declared, made once. @internal */
  readonly compiled: () => CompiledContract
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
 * Any contract of dynamic namespaces.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dynamic extends Any {
  readonly params: Readonly<Record<string, Event.AnySchema>>
}

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
 * The events that servers of one cluster may send to each other.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ServerToServer<N extends Any> = N[typeof TypeId]["serverToServer"]

/**
 * What a socket of the namespace may carry.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Data<N extends Any> = N[typeof TypeId]["data"]

/**
 * The parameters that are in the names of dynamic namespaces.
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
 * What the handler of an event returns: its acknowledgement or one of its declared failures. The value of a handler
 * whose event declares no acknowledgement is ignored.
 *
 * @since 0.1.0
 * @category utility types
 */
export type HandlerResult<E extends Event.Any> = Effect.Effect<
  [Event.Ack<E>] extends [never] ? unknown : Event.Ack<E>,
  Event.Error<E>,
  any
>

/**
 * The handler of an event.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Handler<E extends Event.Any> = (payload: Event.Payload<E>) => HandlerResult<E>

/**
 * The handlers of a set of events, by name: every one of them.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Handlers<E extends Event.Any> = {
  readonly [Current in E as Current["_tag"]]: Handler<Current>
}

/**
 * Refuses handlers of events that clients do not send.
 *
 * @since 0.1.0
 * @category utility types
 */
export type OnlyDeclared<E extends Event.Any, H> = {
  readonly [K in Exclude<keyof H, E["_tag"]>]: NotAClientToServerEvent<K>
}

/**
 * Stands in an error message where a handler has a name that is not among the `clientToServer` events.
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
    : never
  : never

type Fields = { readonly [key: string]: Event.AnySchema }

type TypesOf<F extends Fields> = { readonly [K in keyof F]: F[K]["Type"] }

/**
 * What is declared of a namespace, beside its name.
 *
 * - `auth`: the schema of the auth payload that clients send with CONNECT. One that it refuses is answered with
 *   CONNECT_ERROR `Invalid auth payload`. Default: anything.
 * - `clientToServer`, `serverToClient`: the events of each direction; one event may stand in both.
 * - `serverToServer`: the events that the servers of a cluster send to each other. Default: none.
 * - `data`: the fields that a socket may carry, which whoever fetches sockets sees, on other servers, too. Default: none.
 * - `concurrency`: how many handlers run at once for one socket, unless the event says otherwise; default unlimited,
 *   1 keeps strict order.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<Auth, C2S, S2C, S2S, D> {
  readonly auth?: Auth
  readonly clientToServer?: C2S
  readonly serverToClient?: S2C
  readonly serverToServer?: S2S
  readonly data?: D
  readonly concurrency?: number
}

/**
 * Declares a namespace. Its name starts with `/` and has no comma; `/` is the default namespace.
 *
 * Throws on a malformed name, two events of one name in one direction, or a `concurrency` that is not a positive integer:
 * a contract is a constant of the program.
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
  D extends Fields = {}
>(
  name: Name,
  options: Options<Auth, C2S, S2C, S2S, D> = {}
): Namespace<
  Name,
  NoInfer<Auth>,
  C2S[number],
  S2C[number],
  never,
  { readonly serverToServer: S2S[number]; readonly data: TypesOf<D>; readonly params: never }
> => declare(name, options, undefined)

/**
 * Declares namespaces that come into being when clients ask for them: those whose names match a pattern. `:name` in it stands for a
 * parameter, which is at least one character long and reaches to the next `/` or to what the pattern goes on with.
 *
 * `params` are the schemas of the parameters, from the string that is in the name; those that are not mentioned are strings.
 * A name whose parameters do not decode, or are not written as they are encoded (`07` for 7), does not match. Names of more than 256 characters never do.
 *
 * Throws as {@link make} does, and on a pattern without a parameter, one that it has twice, or a schema for one that it has not.
 *
 * @example
 * ```ts
 * class Document extends Namespace.dynamic("/document/:id", { params: { id: Schema.FiniteFromString } }) {}
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
  D extends Fields = {},
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
    readonly params: {
      readonly [K in ParameterNames<Pattern>]: K extends keyof P
        ? P[K] extends ParameterSchema
          ? P[K]["Type"]
          : string
        : string
    }
  }
> => {
  const { parameters } = compilePattern(pattern)
  if (parameters.length === 0) throw new Error(`the pattern "${pattern}" has no parameter`)
  const schemas = (options.params ?? {}) as Fields
  const unknown = Object.keys(schemas).find((name) => !parameters.includes(name))
  if (unknown !== undefined) throw new Error(`the pattern "${pattern}" has no parameter "${unknown}"`)
  return declare(pattern, options, Object.fromEntries(parameters.map((name) => [name, schemas[name] ?? Schema.String])))
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

/** What ends a parameter's name. */
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

const declare = (
  name: string,
  options: Options<
    Event.AnySchema,
    ReadonlyArray<Event.Any>,
    ReadonlyArray<Event.Any>,
    ReadonlyArray<Event.Any>,
    Fields
  >,
  params: Fields | undefined
): any => {
  checkName(name)
  Event.checkConcurrency(`namespace "${name}"`, options.concurrency)
  return makeProto({
    _tag: name,
    auth: options.auth ?? undeclaredAuth,
    clientToServer: byName(name, options.clientToServer ?? []),
    serverToClient: byName(name, options.serverToClient ?? []),
    serverToServer: byName(name, options.serverToServer ?? []),
    data: options.data ?? {},
    params,
    middlewares: [],
    concurrency: options.concurrency
  })
}

/**
 * Checks a namespace's name and throws an error that says what is wrong with it.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkName = (name: string): void => {
  if (!name.startsWith("/")) throw new Error(`a namespace's name starts with "/", unlike "${name}"`)
  if (name.includes(",")) throw new Error(`a namespace's name has no comma, unlike "${name}"`)
}

type Declared = Omit<Any, "new" | "compiled" | typeof TypeId>

const makeProto = (fields: Declared): Any => {
  let compiled: CompiledContract | undefined
  // A class, so that contracts can extend it: statics are inherited.
  const contract: Any = Object.assign(class {}, {
    [TypeId]: TypeId,
    ...fields,
    compiled: () => (compiled ??= compileContract(contract)),
    middleware: (middleware: NamespaceMiddleware.AnyService) =>
      makeProto({ ...fields, middlewares: [...fields.middlewares, middleware] }),
    of: (handlers: unknown) => handlers
  }) as any
  return contract
}

const byName = (namespace: string, events: ReadonlyArray<Event.Any>): ReadonlyMap<string, Event.Any> => {
  const map = new Map<string, Event.Any>()
  for (const event of events) {
    if (map.has(event._tag)) throw new Error(`namespace "${namespace}" declares the event "${event._tag}" twice`)
    map.set(event._tag, event)
  }
  return map
}
