/**
 * The HTTP side of Engine.IO as a platform brings it: requests in, responses out.
 *
 * @since 0.1.0
 */
import type { Handshake } from "../Handshake.ts"

/**
 * The revisions of the Engine.IO protocol: 4, and 3 for clients of Socket.IO 2 and 1.
 *
 * @since 0.1.0
 * @category models
 */
export type EngineRevision = 3 | 4

/**
 * What stays of the request that opened a session.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectionDetails = Omit<Handshake, "auth">

/**
 * A request for the engine's path: long-polling, or the upgrade to a WebSocket.
 *
 * @since 0.1.0
 * @category models
 */
export interface EngineRequest {
  readonly method: string
  readonly query: ReadonlyMap<string, string>
  /**
   * The address of the client: the peer's, or what proxies say of it that the platform was told to trust. Empty if there is
   * none. Worked out when it is asked for.
   */
  readonly address: string
  /** A header by its name in lower case. */
  header(name: string): string | undefined
  /** What to keep of the request; asked for once per session. */
  details(): ConnectionDetails
}

/**
 * Why a request's body was not read to its end.
 *
 * @since 0.1.0
 * @category models
 */
export type BodyFailure = "too large" | "aborted"

/**
 * A request's body, in the form in which it is asked for.
 *
 * @since 0.1.0
 * @category models
 */
export interface RequestBody {
  readonly size: number
  /** The body as UTF-8. */
  text(): string
  bytes(): Uint8Array
}

/**
 * One HTTP request that waits for its response. Exactly one call of `respond` ends it.
 *
 * @since 0.1.0
 * @category models
 */
export interface HttpExchange {
  readonly request: EngineRequest
  /** Adds headers to the response: over those that are there, but cookies add up; those that `respond` is given come over them. */
  addHeaders(headers: Readonly<Record<string, string>>): void
  /**
   * Sends the response, compressed only if `compress` is true and the platform and the peer want it. A call after the peer has
   * gone is ignored. Gives the size of the body in bytes, before compression.
   */
  respond(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: string | Uint8Array,
    compress?: boolean
  ): number
  /** Reads the body, up to `maxBytes` bytes, and calls back once. */
  readBody(maxBytes: number, onBody: (body: RequestBody) => void, onFailure: (failure: BodyFailure) => void): void
  /** Runs a task behind the code that is running now: what is sent meanwhile leaves together. Default: as a microtask. */
  readonly defer?: (task: () => void) => void
  /** Calls back if the peer goes before the response was sent. */
  onAbort(callback: () => void): void
}
