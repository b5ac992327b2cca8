/**
 * The options of a namespace's declaration.
 *
 * Users meet these types as those of `Namespace`.
 *
 * @since 0.1.0
 */
import type * as Event from "./Event.ts"

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
