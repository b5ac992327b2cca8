/**
 * A client's request to connect to a namespace, and its refusal.
 *
 * Users meet all of it as a part of `NamespaceMiddleware`.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"

import type { Handshake } from "./Handshake.ts"
import { TaggedRefusal } from "./internal/taggedRefusal.ts"

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
   * Says when the client's rights end: at a time, or after a duration. The connection is closed
   * then, or the socket is disconnected; see {@link ExpiryOptions}.
   *
   * **Details**
   *
   * Several calls, and several middlewares, each say an end: the earliest one counts. A refresh
   * replaces those of its own middleware. Clocks differ, so a time (not a duration) ends later by
   * the server's `auth.tolerance`. The server looks at the clock once a minute at least, so a
   * change of the clock counts, too.
   *
   * Fails with {@link ConnectRefused} (`data` is `{ code: "expired" }`) if the time is over
   * already: the client is not admitted. Dies when it is called after the middleware has decided.
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
   * - `reconnect` (default): the connection is closed with the reason `auth expired`, and with it
   *   the client's sockets in other namespaces. Clients come back by themselves, with the
   *   credentials that they have then. Of many connections at once, each waits for its turn
   *   (`auth.rate`).
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
export class ConnectRefused extends TaggedRefusal<ConnectRefused>()("ConnectRefused") {}
