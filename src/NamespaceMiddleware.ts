/**
 * Middleware that decides whether a client may connect to a namespace, and provides a service to
 * its handlers.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

import type { AnyRefresh, Refresh, RefreshOptions } from "./AuthRefresh.ts"
import type { ConnectRefused, ConnectRequest } from "./ConnectRequest.ts"
import type * as Event from "./Event.ts"
import { makeRefresh } from "./internal/makeRefresh.ts"

export {
  type AnyRefresh,
  type Refresh,
  type Refreshable,
  Refreshed,
  type RefreshError,
  type RefreshNotice,
  type RefreshOptions,
  type RefreshRequest
} from "./AuthRefresh.ts"

export { ConnectRefused, type ConnectRequest, type ExpiresAt, type ExpiryOptions } from "./ConnectRequest.ts"

/**
 * @since 0.1.0
 * @category type IDs
 */
export const TypeId = "~effect-socket.io/NamespaceMiddleware"

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
 * Throws on a `refresh.event` that is a reserved name. A `rateLimit` that is no rate is a defect of
 * the layer that serves the namespace.
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
