/**
 * The options of the Socket.IO server, with their defaults and bounds.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

import type { EngineLimits, EngineOptions } from "../engine/EngineOptions.ts"
import { group, integer, millis, type Names, refuse, separate } from "../engine/OptionReaders.ts"
import { MAX_ATTACHMENT_BYTES, MAX_ATTACHMENTS, MAX_DEPTH } from "../protocol/ProtocolLimits.ts"
import { NamespaceGrace } from "../internal/namespaceGrace.ts"
import { rateOf } from "../internal/tokenBucket.ts"
import type { Rate, RateLimit } from "../RateLimit.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import type { RecoveryOptions, ResolvedRecoveryOptions } from "./RecoveryOptions.ts"
import * as Recovery from "./RecoveryOptions.ts"
import type { ResolvedTracingOptions, TracingOptions } from "./TracingOptions.ts"
import * as Tracing from "./TracingOptions.ts"

/**
 * Options of the Socket.IO server. They include those of the engine.
 *
 * **Details**
 *
 * Most options are in groups: `limits`, `reading`, `heartbeat`, `handshake`, `upgrade`. Every
 * option has a default. An option that makes no sense, or whose name is unknown, fails with
 * `InvalidOptionError`, whose `option` is its path.
 *
 * **Example** (Smaller messages, a rate limit and slower pings)
 *
 * ```ts
 * const options: ServerOptions.ServerOptions = {
 *   limits: { maxPayload: 100_000, rateLimit: { limit: 50, burst: 200 } },
 *   heartbeat: { pingInterval: "60 seconds" },
 *   allowedOrigins: "https://example.com"
 * }
 * ```
 *
 * @since 0.1.0
 * @category options
 */
export interface ServerOptions<out R = never> extends EngineOptions<R> {
  /** The most that clients may send, open, join, or leave waiting. */
  readonly limits?: ServerLimits
  /**
   * The points at which the server stops reading from a client with many unhandled events, and
   * resumes.
   */
  readonly reading?: ReadingOptions
  /**
   * Whether every handled event runs in a span of its own (`socket.io <event>`), or how (see
   * {@link TracingOptions}). Default: true if the server's layer has a tracer. Without a tracer, or
   * with `false`, it costs nothing, and no trace context is read or sent.
   */
  readonly tracing?: boolean | TracingOptions
  /**
   * Connection state recovery: a client that has lost its connection comes back as the same socket,
   * and receives what it has missed. `true` stands for all defaults of {@link RecoveryOptions}.
   * Default: `false`, which costs nothing.
   */
  readonly recovery?: boolean | RecoveryOptions
  /** The treatment of clients whose rights end: a middleware says so with `expires`. */
  readonly auth?: AuthOptions
}

/**
 * The treatment of clients whose rights end.
 *
 * @since 0.1.0
 * @category options
 */
export interface AuthOptions {
  /**
   * The time by which the clocks of this server and of the issuers of tokens may differ: rights
   * that end at a time (rather than after a duration) end so much later here. Default: 10 seconds.
   * At least 0.
   */
  readonly tolerance?: Duration.Input
  /**
   * The number of connections that are closed in a second at most because their rights have ended.
   * Others wait for their turn, and keep their rights meanwhile. Values above 10,000 have the
   * effect of 10,000. Default: 500. More than 0.
   */
  readonly rate?: number
}

/**
 * The most that clients may send, open, join, or leave waiting. Sizes are in bytes.
 *
 * @since 0.1.0
 * @category options
 */
export interface ServerLimits extends EngineLimits {
  /**
   * The time limit for a client to join a namespace: after it the connection is closed with reason
   * `connect timeout`. It is also the time limit for one CONNECT, with its middleware, and the
   * `match` and the opening of a dynamic namespace. After it the CONNECT is refused with
   * `Connect timeout` and its fiber is interrupted; the client stays in the namespaces that it has
   * joined. It is also the time limit for a middleware that runs again for a refresh, which is
   * refused after it. Default: 45 seconds. At least 1 ms.
   */
  readonly connectTimeout?: Duration.Input
  /** The number of namespaces that one connection may join. Default: 100. */
  readonly maxNamespaces?: number
  /**
   * The rate at which the client of one connection may open dynamic namespaces that are not open
   * yet. Each costs the server about twenty times as much as a message. In excess of it, the
   * connection is not read until there is a token again. Default: 20 per second, and 100 at once.
   */
  readonly openingRate?: RateLimit
  /**
   * The bytes of auth payloads that one connection may make the server keep, over all of its
   * namespaces: their memory as objects, not as text. A CONNECT beyond it is refused with
   * `Auth payload too large`. A namespace with a contract keeps the decoded value of its `auth`,
   * and nothing if it declares none. The query of a CONNECT of Engine.IO 3 counts as auth. A
   * payload that is larger even as text is not parsed: it is refused in the same way, whether it is
   * JSON or not. The payload of a refresh is not kept, and may be as large as this. Default:
   * 16,384.
   */
  readonly maxAuthBytes?: number
  /**
   * The number of rooms that the sockets of one connection may be in, without those of their own
   * ids. A room whose name is longer than 256 characters counts as one more for each 256 of them.
   * Beyond it `socket.join` dies, which affects only the event that called it, and `socketsJoin`
   * skips the socket. Default: 1,000.
   */
  readonly maxRooms?: number
  /**
   * The number of packets of one connection that may wait until its sockets' handlers are built.
   * Default: 1,000.
   */
  readonly maxPendingPackets?: number
  /**
   * The number of unhandled events of one connection, over all of its sockets: those whose handlers
   * run, and those that wait. Beyond it the connection is closed with reason `inbound overflow`. It
   * is also the number of payloads that a stream of a socket's events holds. Default: 10,000.
   */
  readonly maxPendingEvents?: number
  /**
   * The memory of those events, and of events that wait in streams, in bytes: their arguments as
   * objects, which may be twenty times as large as their text, their attachments, and 1,024 for
   * each event. At half of it the connection is not read (see `reading`) until three quarters are
   * free again. An event that does not fit beside others closes the connection with reason
   * `inbound overflow`. An event that is larger than the whole limit is accepted if nothing else
   * waits. Default: 16,777,216 (16 MiB).
   */
  readonly maxPendingBytes?: number
  /**
   * The number of acknowledgements that the client of one connection may owe, over all of its
   * sockets. Default: 10,000.
   */
  readonly maxPendingAcks?: number
  /**
   * The time limit for packet middleware (`socket.use`) on one event. After it the event is refused
   * as if the middleware had died, its fiber is interrupted, and later events go on. Default: 30
   * seconds. At least 1 ms.
   */
  readonly middlewareTimeout?: Duration.Input
  /**
   * The number of binary attachments of one packet. A packet with more closes its connection with
   * `parse error`. An emit with more dies, because clients do not accept more either. Default: 10,
   * as existing clients expect.
   */
  readonly maxAttachments?: number
  /**
   * The bytes of one packet's attachments together. Default: 10,000,000, or `maxPayload` if that is
   * more.
   */
  readonly maxAttachmentBytes?: number
  /**
   * The time limit for the next announced attachment of a packet. It is checked once per timeout,
   * so a client has up to twice as long. Default: 30 seconds. At least 1 ms.
   */
  readonly attachmentTimeout?: Duration.Input
  /** The nesting of arrays and objects in a packet's payload. Default: 64. */
  readonly maxDepth?: number
}

/**
 * The points at which the server stops reading from a client with many unhandled events, and
 * resumes.
 *
 * Further data then waits on the client's side: over WebSocket in the connection, over polling in
 * the request that brought too much, which is answered later. Reading is not paused while an
 * acknowledgement of the client is awaited, because it comes over the same connection. A client
 * that is not read is not treated as dead. Its close may be noticed only when reading resumes.
 *
 * @since 0.1.0
 * @category options
 */
export interface ReadingOptions {
  /**
   * The number of unhandled events of one connection at which reading pauses. Default: 1,000.
   * Reading never pauses if this is above `limits.maxPendingEvents`.
   */
  readonly pauseAt?: number
  /**
   * The number of such events at which reading resumes. Less than `pauseAt`. Default: half of that.
   */
  readonly resumeAt?: number
  /**
   * The time for which reading stays paused while no handler ends. After it, handlers probably wait
   * for something that the client has yet to send, so the client is read again, up to
   * `limits.maxPendingEvents`. Default: 10 seconds. At least 1 ms.
   */
  readonly pauseTimeout?: Duration.Input
}

/**
 * Options with every default filled in; durations in milliseconds.
 *
 * @since 0.1.0
 * @category options
 */
export interface ResolvedServerOptions {
  readonly connectTimeout: number
  /** @internal */
  readonly namespaceGrace: number
  readonly maxNamespaces: number
  readonly openingRate: Rate
  readonly maxAuthBytes: number
  readonly maxRooms: number
  readonly maxPendingPackets: number
  readonly maxPendingEvents: number
  readonly maxPendingBytes: number
  /** The memory of one event alone, in bytes. */
  readonly bytesAlone: number
  readonly pauseReadingAt: number
  readonly resumeReadingAt: number
  readonly pauseTimeout: number
  readonly middlewareTimeout: number
  /** Whether an emit may have to wait for capacity; see `outboxOverflow`. */
  readonly suspends: boolean
  readonly maxPendingAcks: number
  readonly maxAttachments: number
  readonly maxAttachmentBytes: number
  readonly attachmentTimeout: number
  readonly maxDepth: number
  readonly tracing: ResolvedTracingOptions
  readonly authTolerance: number
  readonly authRate: number
  /** `undefined` if recovery is off. */
  readonly recovery: ResolvedRecoveryOptions | undefined
}

const OWN: Names<Omit<ServerOptions, keyof EngineOptions>> = {
  reading: true,
  tracing: true,
  recovery: true,
  auth: true
}

const AUTH: Names<AuthOptions> = { tolerance: true, rate: true }

const READING: Names<ReadingOptions> = { pauseAt: true, resumeAt: true, pauseTimeout: true }

const LIMITS: Names<Omit<ServerLimits, keyof EngineLimits>> = {
  connectTimeout: true,
  maxNamespaces: true,
  openingRate: true,
  maxAuthBytes: true,
  maxRooms: true,
  maxPendingPackets: true,
  maxPendingEvents: true,
  maxPendingBytes: true,
  maxPendingAcks: true,
  middlewareTimeout: true,
  maxAttachments: true,
  maxAttachmentBytes: true,
  attachmentTimeout: true,
  maxDepth: true
}

/**
 * The memory of one event alone, in bytes for each byte of the longest message. The objects of JSON
 * take twenty bytes for each, and fifty if somebody has looked for the worst.
 */
const ALONE = 32
const MAX_PAYLOAD = 1_000_000

const RATE: Names<RateLimit> = { limit: true, interval: true, burst: true }

const openingRate = Effect.fnUntraced(function* (
  option: RateLimit = { limit: 20, burst: 100 }
): Effect.fn.Return<Rate, InvalidOptionError> {
  yield* group("limits.openingRate", option, RATE)
  const rate = rateOf(option)
  return typeof rate === "string" ? yield* refuse("limits.openingRate", rate) : rate
})

const authOptions = Effect.fnUntraced(function* (options: AuthOptions | undefined) {
  const { rate = 500, tolerance } = yield* group("auth", options, AUTH)
  if (typeof rate !== "number" || !(rate > 0)) return yield* refuse("auth.rate", `must be more than 0, not ${rate}`)
  return { authRate: rate, authTolerance: yield* millis("auth.tolerance", tolerance, 10_000, 0) }
})

/**
 * Returns the options of the engine: those that {@link resolve} does not read. They include unknown
 * names, so that the engine refuses these.
 *
 * @since 0.1.0
 * @category decoding
 */
export const engineOptions = <R>(options: ServerOptions<R>): EngineOptions<R> => {
  const [, others] = separate(options, OWN)
  const { limits } = options
  // The engine refuses a value that is not an object.
  return typeof limits === "object" && limits !== null && !Array.isArray(limits)
    ? { ...others, limits: separate(limits, LIMITS)[1] }
    : others
}

/**
 * Fills in the defaults and refuses options that make no sense. The resolved options are flat, and
 * named by their content.
 *
 * @since 0.1.0
 * @category decoding
 */
export const resolve = Effect.fnUntraced(function* (
  options: ServerOptions<any>
): Effect.fn.Return<ResolvedServerOptions, InvalidOptionError> {
  // The engine refuses unknown names in it.
  const limits = options.limits ?? {}
  const reading = yield* group("reading", options.reading, READING)
  const pauseReadingAt = yield* integer("reading.pauseAt", reading.pauseAt, 1_000, 1)
  const resumeReadingAt = yield* integer("reading.resumeAt", reading.resumeAt, Math.floor(pauseReadingAt / 2), 0)
  if (resumeReadingAt >= pauseReadingAt) {
    const problem = `must be less than pauseAt (${pauseReadingAt}), not ${resumeReadingAt}`
    return yield* refuse("reading.resumeAt", problem)
  }
  const maxPendingBytes = yield* integer("limits.maxPendingBytes", limits.maxPendingBytes, 16_777_216, 1)
  return {
    connectTimeout: yield* millis("limits.connectTimeout", limits.connectTimeout, 45_000, 1),
    namespaceGrace: yield* millis("namespaceGrace", yield* NamespaceGrace, 2_000, 0),
    maxNamespaces: yield* integer("limits.maxNamespaces", limits.maxNamespaces, 100, 1),
    openingRate: yield* openingRate(limits.openingRate),
    maxAuthBytes: yield* integer("limits.maxAuthBytes", limits.maxAuthBytes, 16_384, 0),
    maxRooms: yield* integer("limits.maxRooms", limits.maxRooms, 1_000, 0),
    maxPendingPackets: yield* integer("limits.maxPendingPackets", limits.maxPendingPackets, 1_000, 1),
    maxPendingEvents: yield* integer("limits.maxPendingEvents", limits.maxPendingEvents, 10_000, 1),
    maxPendingBytes,
    bytesAlone: Math.max(maxPendingBytes, ALONE * (limits.maxPayload ?? MAX_PAYLOAD)),
    pauseReadingAt,
    resumeReadingAt,
    pauseTimeout: yield* millis("reading.pauseTimeout", reading.pauseTimeout, 10_000, 1),
    middlewareTimeout: yield* millis("limits.middlewareTimeout", limits.middlewareTimeout, 30_000, 1),
    suspends: limits.outboxOverflow === "suspend",
    maxPendingAcks: yield* integer("limits.maxPendingAcks", limits.maxPendingAcks, 10_000, 1),
    maxAttachments: yield* integer("limits.maxAttachments", limits.maxAttachments, MAX_ATTACHMENTS, 1),
    maxAttachmentBytes: yield* integer(
      "limits.maxAttachmentBytes",
      limits.maxAttachmentBytes,
      // Each attachment is a message: an accepted message must not be too large for its packet.
      Math.max(MAX_ATTACHMENT_BYTES, limits.maxPayload ?? 0),
      1
    ),
    attachmentTimeout: yield* millis("limits.attachmentTimeout", limits.attachmentTimeout, 30_000, 1),
    maxDepth: yield* integer("limits.maxDepth", limits.maxDepth, MAX_DEPTH, 1),
    tracing: yield* Tracing.resolve(options.tracing),
    ...(yield* authOptions(options.auth)),
    recovery: yield* Recovery.resolve(options.recovery)
  }
})
