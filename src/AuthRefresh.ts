/**
 * The refresh of a client's rights over its open connection: its options and its events.
 *
 * Users meet it as a part of `NamespaceMiddleware`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

import type { ConnectRefused } from "./ConnectRequest.ts"
import type * as Event from "./Event.ts"
import type { RateLimit } from "./RateLimit.ts"

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
 * again for the new payload. The answer is `{ _tag: "Success", value: { expiresIn } }`; handlers
 * that start from then on see the new service. If the middleware refuses the payload, the answer is
 * a `Failure` with its error: the old rights stand, and so does their end.
 *
 * - `same`: whether the new credentials are those of the same user. If not, the connection is
 *   closed with the reason `auth changed`. It is also asked when a client takes its session over to
 *   a new connection (`recovery`): if not, it begins anew.
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
