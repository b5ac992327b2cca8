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

import type { AnySchema } from "./Event.ts"
import type { Handshake } from "./Handshake.ts"

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
  readonly handshake: Handshake
  /**
   * The client's auth payload, decoded by the middleware's own `auth` schema; raw if it declares
   * none.
   */
  readonly auth: Auth
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
}

/**
 * The implementation of a middleware: it yields the service that it provides, or refuses the
 * connection.
 *
 * It runs once per CONNECT, in the scope of the future socket: finalizers run when the connection
 * is refused or the socket disconnects. It is interrupted if the client leaves before its end.
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
  Auth extends AnySchema,
  Error extends AnySchema
> extends Context.Service<Self, NamespaceMiddleware<Auth["Type"], Provided, Error["Type"]>> {
  new (_: never): Context.ServiceClass.Shape<Id, NamespaceMiddleware<Auth["Type"], Provided, Error["Type"]>> & {
    readonly [TypeId]: { readonly provides: Provides }
  }
  readonly [TypeId]: typeof TypeId
  readonly provides: Context.Key<Provides, Provided> | undefined
  readonly auth: Auth
  readonly error: Error
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
  readonly auth: AnySchema
  readonly error: AnySchema
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
    Auth extends AnySchema = Schema.Unknown,
    Error extends AnySchema = Schema.Never
  >(
    id: Id,
    options: {
      readonly provides?: Context.Key<Provides, Provided>
      readonly auth?: Auth
      readonly error?: Error
    } = {}
  ): ServiceClass<Self, Id, NoInfer<Provides>, NoInfer<Provided>, NoInfer<Auth>, NoInfer<Error>> =>
    Object.assign(Context.Service<Self, any>()(id), {
      [TypeId]: TypeId,
      provides: options.provides,
      auth: options.auth ?? Schema.Unknown,
      error: options.error ?? Schema.Never
    }) as any
