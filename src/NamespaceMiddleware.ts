/**
 * Middleware that decides whether a client may connect to a namespace, and provides a service to
 * its handlers.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

import * as Event from "./Event.ts"
import type { Handshake } from "./Handshake.ts"
import type { RateLimit } from "./RateLimit.ts"
import { TypeId as ErrorTypeId } from "./SocketIoError.ts"

/**
 * @since 0.1.0
 * @category type IDs
 */
export const TypeId = "~effect-socket.io/NamespaceMiddleware"

/**
 * A client's request to connect, as a middleware sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectRequest<Auth> {
  /** The id of the socket, if the client is admitted. */
  readonly id: string
  /** The namespace that the client asks for. */
  readonly namespace: string
  /** That of the connection. In a refresh its `auth` is the payload of the refresh, as it came. */
  readonly handshake: Handshake
  /**
   * The client's auth payload, decoded by the middleware's own `auth` schema; raw if it declares
   * none.
   */
  readonly auth: Auth
  /**
   * Says when the client's rights end: at a time, or after a duration. The connection is closed then,
   * or the socket is disconnected; see {@link ExpiryOptions}.
   *
   * **Details**
   *
   * Several calls, and several middlewares, each say an end: the earliest one counts. A refresh
   * replaces those of its own middleware. Clocks differ, so a time (not a duration) ends later by
   * the server's `auth.tolerance`. The server looks at the clock once a minute at least, so a change
   * of the clock counts, too.
   *
   * Fails with {@link ConnectRefused} (`data` is `{ code: "expired" }`) if the time is over already:
   * the client is not admitted. Dies when it is called after the middleware has decided.
   *
   * **Gotchas**
   *
   * A plain number is no time, as nobody could tell the seconds of a token from milliseconds:
   * `DateTime.makeUnsafe(claims.exp * 1_000)`.
   *
   * **Example** (A token that says itself when it ends)
   *
   * ```ts
   * const AuthenticationLive = Layer.succeed(Authentication, ({ auth, expires }) =>
   *   Effect.gen(function* () {
   *     const claims = yield* verify(auth.token)
   *     yield* expires(DateTime.makeUnsafe(claims.exp * 1_000), { notice: "1 minute" })
   *     return { id: claims.sub, name: claims.name }
   *   })
   * )
   * ```
   */
  readonly expires: (at: ExpiresAt, options?: ExpiryOptions) => Effect.Effect<void, ConnectRefused>
}

/**
 * The time at which rights end, or the duration after which they do.
 *
 * @since 0.1.0
 * @category models
 */
export type ExpiresAt = DateTime.DateTime | Date | Exclude<Duration.Input, number | bigint>

/**
 * The treatment of a client around the end of its rights.
 *
 * @since 0.1.0
 * @category options
 */
export interface ExpiryOptions {
  /**
   * The time before the end at which the client is told, so that it can refresh its rights: it gets
   * the event `<event>:expiring` with `{ expiresIn }` in milliseconds, and clients of this library
   * refresh by themselves. It has no effect without the middleware's `refresh`. At most half of the
   * time that is left counts. Default: 30 seconds.
   */
  readonly notice?: Duration.Input
  /**
   * - `reconnect` (default): the connection is closed with the reason `auth expired`, and with it the
   *   client's sockets in other namespaces. Clients come back by themselves, with the credentials
   *   that they have then. Of many connections at once, each waits for its turn (`auth.rate`).
   * - `leave`: the socket is disconnected from its namespace, and the client does not come back by
   *   itself.
   */
  readonly then?: "reconnect" | "leave"
}

/**
 * The refusal that every middleware may fail with: the client gets a CONNECT_ERROR packet with this
 * message and data, which JavaScript clients see as `connect_error` with `err.message` and
 * `err.data`.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConnectRefused extends Schema.TaggedError<ConnectRefused>()("ConnectRefused", {
  message: Schema.String,
  data: Schema.optionalKey(Schema.Unknown)
}) {
  constructor(props: { readonly message: string; readonly data?: unknown }) {
    const { stackTraceLimit } = Error
    // A refusal is no bug, and clients can cause any number of them. The stack would be a quarter
    // of its cost.
    Error.stackTraceLimit = 0
    super(props)
    Error.stackTraceLimit = stackTraceLimit
  }

  get [ErrorTypeId](): true {
    return true
  }
}

/**
 * The implementation of a middleware: it yields the service that it provides, or refuses the
 * connection.
 *
 * It runs once per CONNECT, in the scope of the future socket: finalizers run when the connection
 * is refused or the socket disconnects. It is interrupted if the client leaves before its end.
 *
 * With `refresh` it runs again for each refresh, in a scope of its own. That one closes when the
 * refresh is refused, when another one has taken its place and handlers that may use its service
 * have ended, or when the socket disconnects.
 *
 * @since 0.1.0
 * @category models
 */
export interface NamespaceMiddleware<Auth, Provided, Error> {
  (request: ConnectRequest<Auth>): Effect.Effect<Provided, Error | ConnectRefused, Scope.Scope>
}

/**
 * The answer to a refresh: the milliseconds until the new end of the client's rights, if they have
 * one.
 *
 * @since 0.1.0
 * @category models
 */
export const Refreshed = Schema.Struct({ expiresIn: Schema.optionalKey(Schema.Finite) })

/**
 * How a client refreshes its rights over its open connection.
 *
 * **Details**
 *
 * The namespace gets two events: the client sends `event` with a new auth payload, and the server
 * sends `<event>:expiring` with `{ expiresIn }` (milliseconds) before the end. The middleware runs
 * again for the new payload. The answer is `{ _tag: "Success", value: { expiresIn } }`; handlers that
 * start from then on see the new service. If the middleware refuses the payload, the answer is a
 * `Failure` with its error: the old rights stand, and so does their end.
 *
 * - `same`: whether the new credentials are those of the same user. If not, the connection is closed
 *   with the reason `auth changed`. It is also asked when a client takes its session over to a new
 *   connection (`recovery`): if not, it begins anew.
 * - `rateLimit`: how often the client of one socket may send the event. Default: once per second,
 *   and 5 at once. Refreshes of one socket run one after another.
 *
 * @since 0.1.0
 * @category options
 */
export interface RefreshOptions<Name extends string, Provided> {
  readonly event: Name
  readonly same: (before: Provided, now: Provided) => boolean
  readonly rateLimit?: RateLimit
}

/**
 * The failures of a refresh: those of the middleware.
 *
 * @since 0.1.0
 * @category utility types
 */
export type RefreshError<Error extends Event.AnySchema> = [Error["Type"]] extends [never]
  ? typeof ConnectRefused
  : Schema.Union<readonly [typeof ConnectRefused, Error]>

/**
 * The refresh of a middleware, with its events.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refresh<
  Name extends string,
  Provided,
  Auth extends Event.AnySchema,
  Error extends Event.AnySchema
> extends AnyRefresh {
  readonly request: Event.Event<Name, Auth, typeof Refreshed, RefreshError<Error>>
  readonly notice: Event.Event<
    `${Name}:expiring`,
    Schema.Struct<{ readonly expiresIn: typeof Schema.Finite }>,
    Schema.Never,
    Schema.Never
  >
  readonly same: (before: Provided, now: Provided) => boolean
}

/**
 * The refresh of any middleware.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnyRefresh {
  /** The event with which a client refreshes its rights. */
  readonly request: Event.Any
  /** The event that tells a client of the end of its rights. */
  readonly notice: Event.Any
  readonly same: (before: any, now: any) => boolean
}

/**
 * The class of a middleware's service.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServiceClass<
  Self,
  Id extends string,
  Provides,
  Provided,
  Auth extends Event.AnySchema,
  Error extends Event.AnySchema,
  RefreshName extends string = never
> extends Context.Service<Self, NamespaceMiddleware<Auth["Type"], Provided, Error["Type"]>> {
  new (_: never): Context.ServiceClass.Shape<Id, NamespaceMiddleware<Auth["Type"], Provided, Error["Type"]>> & {
    readonly [TypeId]: { readonly provides: Provides }
  }
  readonly [TypeId]: typeof TypeId
  readonly provides: Context.Key<Provides, Provided> | undefined
  readonly auth: Auth
  readonly error: Error
  readonly refresh: [RefreshName] extends [never] ? undefined : Refresh<RefreshName, Provided, Auth, Error>
}

/**
 * Any middleware's service.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnyService extends Context.Key<any, any> {
  readonly [TypeId]: typeof TypeId
  readonly provides: Context.Key<any, any> | undefined
  readonly auth: Event.AnySchema
  readonly error: Event.AnySchema
  readonly refresh: AnyRefresh | undefined
}

/**
 * The events with which clients refresh their rights, of a union of middlewares.
 *
 * @since 0.1.0
 * @category utility types
 */
export type RefreshRequest<M> = M extends { readonly refresh: { readonly request: infer E extends Event.Any } }
  ? E
  : never

/**
 * The events that tell clients of the end of their rights, of a union of middlewares.
 *
 * @since 0.1.0
 * @category utility types
 */
export type RefreshNotice<M> = M extends { readonly refresh: { readonly notice: infer E extends Event.Any } }
  ? E
  : never

/**
 * The services that a refresh may replace, of a union of middlewares.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Refreshable<M> = M extends {
  readonly refresh: { readonly same: (before: infer Provided, now: never) => boolean }
}
  ? Provided
  : never

/**
 * The identifiers of the services that middlewares provide.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Provides<M> = M extends { new (_: never): { readonly [TypeId]: { readonly provides: infer P } } }
  ? P
  : never

/**
 * The identifiers of the middlewares' own services. A namespace's layer needs them.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Identifier<M> = M extends Context.Key<infer I, any> ? I : never

/**
 * Declares a middleware as a service, part of the contract; its implementation is a layer of the
 * server.
 *
 * **Details**
 *
 * - `provides`: the service that handlers get. Without it the middleware only admits or refuses.
 * - `auth`: the schema of the client's auth payload. An invalid payload is answered with
 *   CONNECT_ERROR `Invalid auth payload` before the middleware runs.
 * - `error`: the failures with which it may refuse, beside {@link ConnectRefused}. The client's
 *   `err.message` is the error's message (its `_tag` if that is empty) and `err.data` its encoded
 *   form.
 * - `refresh`: how clients refresh their rights without a new connection; see
 *   {@link RefreshOptions}. Default: they cannot.
 *
 * Throws on a `refresh.event` that is a reserved name, and a `rateLimit` that is no rate.
 *
 * **Gotchas**
 *
 * Every declared part of the auth payload must fit: the contract's `auth` and that of each
 * middleware read the same payload. A defect of a middleware refuses the connection; the client
 * gets no details.
 *
 * **Example** (A namespace for signed-in users, with declared events or without)
 *
 * ```ts
 * class Authentication extends NamespaceMiddleware.Service<Authentication>()("app/Authentication", {
 *   provides: CurrentUser,
 *   auth: Schema.Struct({ token: Schema.String })
 * }) {}
 *
 * class Chat extends Namespace.make("/chat", { clientToServer: [Say] }).middleware(Authentication) {}
 * class Echo extends Namespace.untyped("/echo").middleware(Authentication) {}
 *
 * const AuthenticationLive = Layer.succeed(Authentication, ({ auth }) => lookup(auth.token))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service =
  <Self>() =>
  <
    const Id extends string,
    Provides = never,
    Provided = void,
    Auth extends Event.AnySchema = Schema.Unknown,
    Error extends Event.AnySchema = Schema.Never,
    const RefreshName extends string = never
  >(
    id: Id,
    options: {
      readonly provides?: Context.Key<Provides, Provided>
      readonly auth?: Auth
      readonly error?: Error
      readonly refresh?: RefreshOptions<RefreshName, NoInfer<Provided>>
    } = {}
  ): ServiceClass<
    Self,
    Id,
    NoInfer<Provides>,
    NoInfer<Provided>,
    NoInfer<Auth>,
    NoInfer<Error>,
    NoInfer<RefreshName>
  > => {
    const { auth = Schema.Unknown, error, refresh } = options
    // The types of the options are those of the declared result.
    return Object.assign(Context.Service<Self, any>()(id), {
      [TypeId]: TypeId,
      provides: options.provides,
      auth,
      error: error ?? Schema.Never,
      refresh: refresh && makeRefresh(refresh, auth, error)
    }) as any
  }

const makeRefresh = (
  { event, rateLimit = { limit: 1, burst: 5 }, same }: RefreshOptions<string, any>,
  auth: Event.AnySchema,
  error: Event.AnySchema | undefined
): AnyRefresh => ({
  request: Event.make(event, {
    payload: auth,
    ack: Refreshed,
    error: error === undefined ? ConnectRefused : Schema.Union([ConnectRefused, error]),
    concurrency: 1,
    rateLimit,
    description: "Refreshes the client's rights with a new auth payload."
  }),
  notice: Event.make(`${event}:expiring`, {
    payload: { expiresIn: Schema.Finite },
    recover: false,
    description: "The client's rights end in `expiresIn` milliseconds."
  }),
  same
})
