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
 * The part of the request that opened a session which the session keeps.
 *
 * @since 0.1.0
 * @category models
 */
export type ConnectionDetails = Omit<Handshake, "auth" | "time" | "xdomain">

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
   * The address of the client: the peer's, or what proxies say of it that the platform was told to
   * trust. Empty if there is none. Worked out when it is asked for.
   */
  readonly address: string
  /** A header by its name in lower case. */
  header(name: string): string | undefined
  /** The part of the request to keep; asked for once per session. */
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
 * Gives the packets of one session's requests their turns beside what else the process has to do.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pacer {
  /**
   * Whether another packet, of so many bytes or characters, may be handled in this turn. What
   * passes until it is asked again, or told to {@link rest}, is the time that the packet takes.
   */
  mayGoOn(size: number): boolean
  /** Nothing is being handled. */
  rest(): void
  /** Whether it is the others' turn though there may be nothing more: a packet has taken long. */
  readonly isDue: boolean
  /** Calls back when it is this session's turn again. */
  yield(goOn: () => void): void
}

/**
 * Learns what becomes of a response.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResponseWatcher {
  /**
   * It has not left as a whole: the peer has to take some of it first. Called at most once, before
   * `onGone`.
   */
  onWaiting(): void
  /** It has left, or its connection is closed. Called exactly once. */
  onGone(): void
}

/**
 * One HTTP request that waits for its response. Exactly one call of `respond` ends it.
 *
 * @since 0.1.0
 * @category models
 */
export interface HttpExchange {
  readonly request: EngineRequest
  /**
   * Adds headers to the response: over those that are there, but cookies add up; those that
   * `respond` is given come over them.
   */
  addHeaders(headers: Readonly<Record<string, string | Array<string>>>): void
  /**
   * Sends the response, compressed only if `compress` is true and the platform and the peer want
   * it. A call after the peer has disconnected is ignored. Returns the size of the body in bytes,
   * before compression.
   */
  respond(
    status: number,
    headers: Readonly<Record<string, string>>,
    body: string | Uint8Array,
    compress?: boolean
  ): number
  /** Reads the body, up to `maxBytes` bytes, and calls back once. */
  readBody(maxBytes: number, onBody: (body: RequestBody) => void, onFailure: (failure: BodyFailure) => void): void
  /**
   * Runs a task after the code that is running now: packets that are sent meanwhile leave together.
   * Default: as a microtask.
   */
  readonly defer?: (task: () => void) => void
  /** Calls back if the peer disconnects before the response was sent. */
  onAbort(callback: () => void): void
  /**
   * Watches the response that was just given to `respond`. Without it every response counts as
   * taken.
   */
  watch?(watcher: ResponseWatcher): void
  /** Closes the connection, whatever was not read or sent. Default: it stays as it is. */
  destroy?(): void
  /**
   * A session has brought so many bytes by this request: others that bring much leave it its turns.
   */
  speak?(session: object, bytes: number): void
  /**
   * Makes what paces the packets of a session that brings many at once. Default: they are handled
   * in one turn.
   */
  makePacer?(session: object): Pacer
}
