/**
 * The options of dynamic namespaces.
 *
 * Users meet these types as those of `SocketIoServer`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"

import type { Handshake } from "../Handshake.ts"

/**
 * A client's request for a dynamic namespace.
 *
 * @since 0.1.0
 * @category models
 */
export interface DynamicRequest<Params> {
  /** The namespace's name. */
  readonly name: string
  /** The parameters in the name; empty if the pattern is a regular expression. */
  readonly params: Params
  /** The handshake of the first client that asks, its auth payload included. */
  readonly handshake: Handshake
}

/**
 * Options of dynamic namespaces.
 *
 * @since 0.1.0
 * @category options
 */
export interface DynamicOptions {
  /**
   * The time for which a namespace stays open after its last client has left, or
   * `Duration.infinity` to keep it. Default: 10 seconds.
   */
  readonly idleTimeToLive?: Duration.Input
  /**
   * The number of these namespaces that may be empty and wait for the end of their time. If there
   * are more, those that have been empty the longest close early. This bounds the memory that a
   * client can take by asking for one name after another. It has no effect with
   * `Duration.infinity`. Default: 1,000.
   */
  readonly maxIdle?: number
}

/**
 * The options of the layer of a contract's dynamic namespaces.
 *
 * - `match`: decides on names that match the pattern, and may take time: if it yields `false`, the
 *   client is refused with `Invalid namespace`. It runs while the namespace is not open, not for
 *   every client: middleware decides which clients may connect. Default: every name that matches.
 *
 * @since 0.1.0
 * @category options
 */
export interface DynamicLayerOptions<Params, R> extends DynamicOptions {
  readonly match?: (request: DynamicRequest<Params>) => Effect.Effect<boolean, never, R>
}
