/**
 * The options and the environment of a client's session.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

import type { ClientPlatformShape } from "./ClientPlatform.ts"
import type { TransportName } from "./Transport.ts"

/**
 * The way in which a session is opened. Options without a value are off.
 *
 * @since 0.1.0
 * @category options
 */
export interface EngineClientOptions {
  /** Scheme, host and port: `http://…` or `https://…`. */
  readonly origin: string
  /** Begins with a slash. */
  readonly path: string
  /** Parameters of every request. One without a value is left out. */
  readonly query: Readonly<Record<string, string | undefined>>
  readonly headers: Readonly<Record<string, string>>
  /** The first one is used, and WebSocket, if it is another one, for upgrades. */
  readonly transports: ReadonlyArray<TransportName>
  readonly upgrade: boolean
  readonly withCredentials: boolean
  readonly protocols: ReadonlyArray<string>
  readonly forceBase64?: boolean
  /**
   * The time for an opening over one transport, for an upgrade and for a close, in milliseconds.
   */
  readonly connectTimeout: number
}

/**
 * The environment of a session.
 *
 * @since 0.1.0
 * @category models
 */
export interface EngineClientRuntime {
  readonly platform: ClientPlatformShape
  readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** The monotonic time in milliseconds. */
  readonly now: () => number
  /**
   * A text that no other client has. The addresses of polling begin with it in their parameter `t`,
   * so that a cache never takes one client's request for another's.
   */
  readonly unique: string
}
