/**
 * The options of the Socket.IO server, with their defaults and bounds.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

import type { EngineLimits, EngineOptions } from "../engine/EngineOptions.ts"
import { flag, group, integer, millis, type Names, refuse, separate } from "../engine/OptionReaders.ts"
import { MAX_ATTACHMENT_BYTES, MAX_ATTACHMENTS, MAX_DEPTH } from "../protocol/ProtocolLimits.ts"
import { rateOf } from "../internal/tokenBucket.ts"
import type { Rate, RateLimit } from "../RateLimit.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"

/**
 * Options of the Socket.IO server; those of the engine below it are among them.
 *
 * @since 0.1.0
 * @category options
 */
export interface ServerOptions<out R = never> extends EngineOptions<R> {
  /** The most that clients may send, open, join, or leave waiting. */
  readonly limits?: ServerLimits
  /** When the server stops to read from a client whose events are not handled yet, and goes on. */
  readonly reading?: ReadingOptions
  /**
   * Whether every handled event runs in a span of its own (`socket.io <event>`). Default: if the
   * server's layer has a tracer; without one, and with `false`, it costs nothing.
   */
  readonly tracing?: boolean
}

/**
 * The most that clients may send, open, join, or leave waiting. Sizes are in bytes.
 *
 * @since 0.1.0
 * @category options
 */
export interface ServerLimits extends EngineLimits {
  /**
   * The time in which a client has to join a namespace: after it the connection is closed with
   * reason `connect timeout`. It is also the time for one CONNECT, with its middleware, the `match`
   * and the opening of a dynamic namespace: after it the CONNECT is refused with `Connect timeout`
   * and its fiber is interrupted, while the client stays in the namespaces that it has joined.
   * Default: 45 seconds. At least 1 ms.
   */
  readonly connectTimeout?: Duration.Input
  /** The namespaces that one connection may join. Default: 100. */
  readonly maxNamespaces?: number
  /**
   * How often a client of one connection may have a dynamic namespace opened that is not open yet:
   * each costs the server some twenty times what a message does. At more, the connection is not
   * read until there may be another. Default: 20 per second, and 100 at once.
   */
  readonly openingRate?: RateLimit
  /**
   * The bytes of auth payloads that one connection may make the server keep, over all of its
   * namespaces: what they cost as objects, not as text. A CONNECT beyond it is refused with
   * `Auth payload too large`. A namespace with a contract keeps what its `auth` declares, decoded,
   * and nothing if it declares none; the query of a CONNECT of Engine.IO 3 counts as auth. A
   * payload that is larger even as text is not read: it is refused so whether it is JSON or not.
   * Default: 16,384.
   */
  readonly maxAuthBytes?: number
  /**
   * The rooms that the sockets of one connection may be in, those of their own ids left out. A room
   * whose name is longer than 256 characters counts as one more for each 256 of them. Beyond it
   * `socket.join` dies, which harms the event that asked for it alone, and `socketsJoin` leaves the
   * socket out. Default: 1,000.
   */
  readonly maxRooms?: number
  /**
   * The packets of one connection that may wait for its sockets' handlers to be built. Default:
   * 1,000.
   */
  readonly maxPendingPackets?: number
  /**
   * The events of one connection, on all of its sockets, whose handlers are not done: those under
   * way and those that wait for them. At more, the connection is closed with reason
   * `inbound overflow`. It is also the number of payloads that a stream of a socket's events holds.
   * Default: 10,000.
   */
  readonly maxPendingEvents?: number
  /**
   * What those events cost, and those that wait in streams, in bytes: their arguments as objects,
   * which may be twenty times as large as their text, their attachments, and 1,024 for each. At
   * half of it the connection is not read (see `reading`) until three quarters are free again. An
   * event that does not fit beside others closes the connection with reason `inbound overflow`; one
   * that is larger than all of it is taken if nothing else waits. Default: 16,777,216 (16 MiB).
   */
  readonly maxPendingBytes?: number
  /**
   * The acknowledgements that the client of one connection may owe, over all of its sockets.
   * Default: 10,000.
   */
  readonly maxPendingAcks?: number
  /**
   * The time for packet middleware (`socket.use`) on one event. After it the event is refused as if
   * the middleware had died, its fiber is interrupted, and the events after it go on. Default: 30
   * seconds. At least 1 ms.
   */
  readonly middlewareTimeout?: Duration.Input
  /**
   * The binary attachments of one packet. One that comes with more closes its connection with
   * `parse error`; an emit of more dies, as clients take no more than that, either. Default: 10, as
   * clients in the field expect.
   */
  readonly maxAttachments?: number
  /**
   * The bytes of one packet's attachments together. Default: 10,000,000, or `maxPayload` if that is
   * more.
   */
  readonly maxAttachmentBytes?: number
  /**
   * The time in which the next announced attachment of a packet has to come. It is checked once per
   * timeout: a client has up to twice as long. Default: 30 seconds. At least 1 ms.
   */
  readonly attachmentTimeout?: Duration.Input
  /** The nesting of arrays and objects in a packet's payload. Default: 64. */
  readonly maxDepth?: number
}

/**
 * When the server stops to read from a client whose events are not handled yet, and goes on.
 *
 * What the client goes on sending then waits with the client: over WebSocket in the connection,
 * over polling in the request that brought too much, which is answered later. Reading is not paused
 * while an acknowledgement of the client is awaited, as it comes the same way. A client that is not
 * read is not taken for dead, and that it has closed may be noticed only when reading resumes.
 *
 * @since 0.1.0
 * @category options
 */
export interface ReadingOptions {
  /**
   * The number of events of one connection whose handlers are not done at which reading pauses.
   * Default: 1,000. Nothing is paused where it is above `limits.maxPendingEvents`.
   */
  readonly pauseAt?: number
  /**
   * The number of such events at which reading resumes. Less than `pauseAt`. Default: half of that.
   */
  readonly resumeAt?: number
  /**
   * The time that reading stays paused while not one handler gets done. Then handlers wait for
   * something that the client has yet to send, and it is read again, up to
   * `limits.maxPendingEvents`. Default: 10 seconds. At least 1 ms.
   */
  readonly pauseTimeout?: Duration.Input
}

/**
 * How long after its start a server lets clients wait for a namespace that no layer serves yet,
 * rather than refuse them for good. With 0 they are refused at once. It is for the edges, which
 * know whether namespaces come before they listen or later.
 *
 * Default: 2 seconds, as most edges listen before the namespaces' layers are built.
 *
 * @internal
 */
export const NamespaceGrace = Context.Reference<Duration.Input | undefined>(
  "effect-socket.io/server/ServerOptions/NamespaceGrace",
  { defaultValue: () => undefined }
)

/**
 * Options with every default filled in; durations in milliseconds.
 *
 * @since 0.1.0
 * @category options
 */
export interface ResolvedServerOptions {
  readonly connectTimeout: number
  readonly namespaceGrace: number
  readonly maxNamespaces: number
  readonly openingRate: Rate
  readonly maxAuthBytes: number
  readonly maxRooms: number
  readonly maxPendingPackets: number
  readonly maxPendingEvents: number
  readonly maxPendingBytes: number
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
  readonly tracing: boolean | undefined
}

const OWN: Names<Omit<ServerOptions, keyof EngineOptions>> = { reading: true, tracing: true }

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

const RATE: Names<RateLimit> = { limit: true, interval: true, burst: true }

const openingRate = Effect.fnUntraced(function* (
  option: RateLimit = { limit: 20, burst: 100 }
): Effect.fn.Return<Rate, InvalidOptionError> {
  yield* group("limits.openingRate", option, RATE)
  const rate = rateOf(option)
  return typeof rate === "string" ? yield* refuse("limits.openingRate", rate) : rate
})

/**
 * The options of the engine: those that {@link resolve} does not read. Names that are no options
 * are among them, so that the engine refuses these.
 *
 * @since 0.1.0
 * @category decoding
 */
export const engineOptions = <R>(options: ServerOptions<R>): EngineOptions<R> => {
  const [, others] = separate(options, OWN)
  const { limits } = options
  // The engine refuses what is not an object.
  return typeof limits === "object" && limits !== null && !Array.isArray(limits)
    ? { ...others, limits: separate(limits, LIMITS)[1] }
    : others
}

/**
 * Fills in the defaults and refuses what makes no sense. The resolved options are flat, and named
 * by what they hold.
 *
 * @since 0.1.0
 * @category decoding
 */
export const resolve = Effect.fnUntraced(function* (
  options: ServerOptions<any>
): Effect.fn.Return<ResolvedServerOptions, InvalidOptionError> {
  // The engine refuses names that it may not have.
  const limits = options.limits ?? {}
  const reading = yield* group("reading", options.reading, READING)
  const pauseReadingAt = yield* integer("reading.pauseAt", reading.pauseAt, 1_000, 1)
  const resumeReadingAt = yield* integer("reading.resumeAt", reading.resumeAt, Math.floor(pauseReadingAt / 2), 0)
  if (resumeReadingAt >= pauseReadingAt) {
    const problem = `must be less than pauseAt (${pauseReadingAt}), not ${resumeReadingAt}`
    return yield* refuse("reading.resumeAt", problem)
  }
  return {
    connectTimeout: yield* millis("limits.connectTimeout", limits.connectTimeout, 45_000, 1),
    namespaceGrace: yield* millis("namespaceGrace", yield* NamespaceGrace, 2_000, 0),
    maxNamespaces: yield* integer("limits.maxNamespaces", limits.maxNamespaces, 100, 1),
    openingRate: yield* openingRate(limits.openingRate),
    maxAuthBytes: yield* integer("limits.maxAuthBytes", limits.maxAuthBytes, 16_384, 0),
    maxRooms: yield* integer("limits.maxRooms", limits.maxRooms, 1_000, 0),
    maxPendingPackets: yield* integer("limits.maxPendingPackets", limits.maxPendingPackets, 1_000, 1),
    maxPendingEvents: yield* integer("limits.maxPendingEvents", limits.maxPendingEvents, 10_000, 1),
    maxPendingBytes: yield* integer("limits.maxPendingBytes", limits.maxPendingBytes, 16_777_216, 1),
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
      // Each attachment is a message: one that may come must not be too large for its packet.
      Math.max(MAX_ATTACHMENT_BYTES, limits.maxPayload ?? 0),
      1
    ),
    attachmentTimeout: yield* millis("limits.attachmentTimeout", limits.attachmentTimeout, 30_000, 1),
    maxDepth: yield* integer("limits.maxDepth", limits.maxDepth, MAX_DEPTH, 1),
    tracing: options.tracing === undefined ? undefined : yield* flag("tracing", options.tracing, false)
  }
})
