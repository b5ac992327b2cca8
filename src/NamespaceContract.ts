/**
 * The contracts of namespaces as types: their model, and the parts of a contract.
 *
 * Users meet these types as those of `Namespace`.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type { Pipeable } from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import type * as Schema from "effect/Schema"

import type * as Event from "./Event.ts"
import type { Handlers, OnlyDeclared } from "./EventHandler.ts"
import type { ClientContract } from "./internal/clientWire.ts"
import type { Compile } from "./internal/compileContract.ts"
import type * as NamespaceMiddleware from "./NamespaceMiddleware.ts"
import type { EventOptions } from "./NamespaceOptions.ts"

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
 * arguments. See `Namespace.untyped`. `ServerSocket<Namespace.Untyped>` is the socket of such a
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
  /** The declarations, compiled. Each compiler is called once. @internal */
  readonly compiled: <A>(compile: Compile<A>) => A
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
 * Any contract that declares its events.
 *
 * @since 0.1.0
 * @category models
 */
export interface Declared extends Any {
  readonly untyped: false
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
