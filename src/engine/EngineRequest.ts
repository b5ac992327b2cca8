/**
 * The HTTP side of Engine.IO, as a platform provides it: requests in, responses out.
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
 * The part of the opening request that its session keeps.
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
   * The address of the client: the peer's, or the one that trusted proxies report. Empty if there
   * is none. It is computed when it is read.
   */
  readonly address: string
  /** A header by its name in lower case. */
  header(name: string): string | undefined
  /** Returns the part of the request to keep. Called once per session. */
  details(): ConnectionDetails
}

/**
 * The reason why a request's body was not read to its end.
 *
 * @since 0.1.0
 * @category models
 */
export type BodyFailure = "too large" | "aborted"

/**
 * A request's body, with a method for each of its forms.
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
 * Shares the time of the process between the packets of one session's requests and other work.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pacer {
  /**
   * Whether another packet, of this many bytes or characters, may be handled in this turn. The time
   * until the next call, or until {@link rest}, is the time that the packet takes.
   */
  mayGoOn(size: number): boolean
  /** No packet is being handled. */
  rest(): void
  /** Whether other work has its turn even if there are no more packets: a packet has taken long. */
  readonly isDue: boolean
  /** Calls back when this session has its turn again. */
  yield(goOn: () => void): void
}

/**
 * Watches the fate of a response.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResponseWatcher {
  /**
   * The response has not left as a whole: the peer has to read some of it first. Called at most
   * once, before `onGone`.
   */
  onWaiting(): void
  /** The response has left, or its connection is closed. Called exactly once. */
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
   * Adds headers to the response. They replace existing ones, except that cookies add up. The
   * headers of `respond` replace them.
   */
  addHeaders(headers: Readonly<Record<string, string | Array<string>>>): void
  /**
   * Sends the response. It is compressed only if `compress` is true, the platform compresses, and
   * the peer accepts that. A call after the peer has disconnected is ignored. Returns the size of
   * the body in bytes, before compression.
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
   * Runs a task after the code that is running now, so that packets that are sent meanwhile leave
   * together. Default: as a microtask.
   */
  readonly defer?: (task: () => void) => void
  /** Calls back if the peer disconnects before the response was sent. */
  onAbort(callback: () => void): void
  /**
   * Calls back if the response should be sent soon, with or without packets: the server that has
   * received the request for this one shuts down. Default: never.
   */
  onRelease?(callback: () => void): void
  /**
   * Watches the response that was just passed to `respond`. Without this method every response
   * counts as read.
   */
  watch?(watcher: ResponseWatcher): void
  /** Closes the connection with everything unread or unsent. Default: it stays as it is. */
  destroy?(): void
  /**
   * Records that a session has received this many bytes with this request: sessions that receive a
   * lot then leave turns to it.
   */
  countReceived?(session: object, bytes: number): void
  /**
   * Makes the pacer of a session that brings many packets at once. Default: they are handled in one
   * turn.
   */
  makePacer?(session: object): Pacer
}
