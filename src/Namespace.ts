/**
 * A namespace's contract: what clients say to the server, what the server says to clients, and who may connect.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

import * as Event from "./Event.ts"
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
  Middleware extends NamespaceMiddleware.AnyService
> {
  new (_: never): {}
  readonly [TypeId]: {
    readonly clientToServer: ClientToServer
    readonly serverToClient: ServerToClient
    readonly middleware: Middleware
  }
  readonly _tag: Name
  readonly auth: Auth
  readonly clientToServer: ReadonlyMap<string, Event.Any>
  readonly serverToClient: ReadonlyMap<string, Event.Any>
  readonly middlewares: ReadonlyArray<NamespaceMiddleware.AnyService>
  readonly concurrency: number | undefined

  /**
   * Adds a middleware. Middlewares run in the order in which they were added, each before the next.
   */
  middleware<M extends NamespaceMiddleware.AnyService>(
    middleware: M
  ): Namespace<Name, Auth, ClientToServer, ServerToClient, Middleware | M>

  /**
   * Types a record of handlers, one for every event that clients may send. A missing handler, one too many, a wrong
   * payload, acknowledgement or failure does not compile.
   */
  of<const H extends Handlers<ClientToServer>>(handlers: H & OnlyDeclared<ClientToServer, H>): H
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
    readonly middleware: any
  }
  readonly _tag: string
  readonly auth: Event.AnySchema
  readonly clientToServer: ReadonlyMap<string, Event.Any>
  readonly serverToClient: ReadonlyMap<string, Event.Any>
  readonly middlewares: ReadonlyArray<NamespaceMiddleware.AnyService>
  readonly concurrency: number | undefined
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

/**
 * Declares a namespace.
 *
 * - `name`: starts with `/`, has no comma; `/` is the default namespace.
 * - `auth`: the schema of the auth payload that clients send with CONNECT. One that it refuses is answered with
 *   CONNECT_ERROR `Invalid auth payload`.
 * - `clientToServer`, `serverToClient`: the events of each direction; one event may stand in both.
 * - `concurrency`: how many handlers run at once for one socket, unless the event says otherwise; default unlimited,
 *   1 keeps strict order.
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
  const S2C extends ReadonlyArray<Event.Any> = readonly []
>(
  name: Name,
  options: {
    readonly auth?: Auth
    readonly clientToServer?: C2S
    readonly serverToClient?: S2C
    readonly concurrency?: number
  } = {}
): Namespace<Name, Auth, C2S[number], S2C[number], never> => {
  checkName(name)
  Event.checkConcurrency(`namespace "${name}"`, options.concurrency)
  return makeProto({
    _tag: name,
    auth: options.auth ?? Schema.Unknown,
    clientToServer: byName(name, options.clientToServer ?? []),
    serverToClient: byName(name, options.serverToClient ?? []),
    middlewares: [],
    concurrency: options.concurrency
  }) as any
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

interface Fields {
  readonly _tag: string
  readonly auth: Event.AnySchema
  readonly clientToServer: ReadonlyMap<string, Event.Any>
  readonly serverToClient: ReadonlyMap<string, Event.Any>
  readonly middlewares: ReadonlyArray<NamespaceMiddleware.AnyService>
  readonly concurrency: number | undefined
}

const makeProto = (fields: Fields): Any =>
  // A class, so that contracts can extend it: statics are inherited.
  Object.assign(class {}, {
    [TypeId]: TypeId,
    ...fields,
    middleware: (middleware: NamespaceMiddleware.AnyService) =>
      makeProto({ ...fields, middlewares: [...fields.middlewares, middleware] }),
    of: (handlers: unknown) => handlers
  }) as any

const byName = (namespace: string, events: ReadonlyArray<Event.Any>): ReadonlyMap<string, Event.Any> => {
  const map = new Map<string, Event.Any>()
  for (const event of events) {
    if (map.has(event._tag)) throw new Error(`namespace "${namespace}" declares the event "${event._tag}" twice`)
    map.set(event._tag, event)
  }
  return map
}
