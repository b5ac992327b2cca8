/**
 * The options of the Socket.IO server, with their defaults and bounds.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

import type { EngineOptions } from "../engine/EngineOptions.ts"
import { integer, millis } from "../engine/OptionReaders.ts"
import { MAX_ATTACHMENT_BYTES, MAX_ATTACHMENTS, MAX_DEPTH } from "../protocol/ProtocolLimits.ts"
import { type Rate, rateOf } from "../internal/tokenBucket.ts"
import type { RateLimit } from "../RateLimit.ts"
import { InvalidOptionError } from "../SocketIoError.ts"

/**
 * Options of the Socket.IO server; those of the engine below it are among them.
 *
 * @since 0.1.0
 * @category options
 */
export interface ServerOptions<out R = never> extends EngineOptions<R> {
  /**
   * How long a client may be connected without having joined a namespace: then the connection is closed with reason
   * `connect timeout`. It is also how long one CONNECT may take until the client is admitted, with its middleware, the `match` and
   * the opening of a dynamic namespace: then it is refused with `Connect timeout` and its fiber is interrupted, while the client
   * stays in the namespaces that it has joined. Default: 45 seconds.
   */
  readonly connectTimeout?: Duration.Input
  /**
   * How long after its start the server lets clients wait for a namespace that is not there yet, rather than refuse them
   * for good: namespaces are layers of their own, and are built after the server listens. Default: 2 seconds; 0 refuses
   * at once.
   */
  readonly namespaceGrace?: Duration.Input
  /** The namespaces that one connection may join. Default: 100. */
  readonly maxNamespaces?: number
  /**
   * How often a client of one connection may have a dynamic namespace opened that is not there yet: each costs the server some twenty
   * times what a message does. When there are more, the connection is not read until there may be another. Default: 20 per second, and
   * 100 at once.
   */
  readonly openingRate?: RateLimit
  /**
   * The bytes of auth payloads that one connection may make the server keep, over all of its namespaces: what they cost as objects,
   * not as text. A CONNECT beyond it is refused with `Auth payload too large`. A namespace with a contract keeps what its `auth`
   * declares, decoded, and nothing if it declares none; the query of a CONNECT of Engine.IO 3 counts as auth. Default: 16,384.
   */
  readonly maxAuthBytes?: number
  /**
   * The rooms that the sockets of one connection may be in, those of their own ids left out. A room whose name is longer than 256
   * characters counts as one more for each 256 of them. Beyond it `socket.join` dies, which harms the event that asked for it
   * alone, and `socketsJoin` leaves the socket out. Default: 1,000.
   */
  readonly maxRooms?: number
  /** The packets of one connection that may wait for its sockets' handlers to be built. Default: 1,000. */
  readonly maxPendingPackets?: number
  /**
   * The events of one connection, on all of its sockets, whose handlers are not done: those under way and those that wait for
   * them. When there are more, the connection is closed with reason `inbound overflow`. It is also the number of payloads that a
   * stream of a socket's events holds. Default: 10,000.
   */
  readonly maxPendingEvents?: number
  /**
   * What those events cost, and those that wait in streams, in bytes: their arguments as objects, which may be twenty times as large
   * as their text, their attachments, and 1,024 for each. When half of it is reached, the connection is not read (see
   * `pauseReadingAt`) until three quarters are free again. An event that does not fit beside others closes the connection with
   * reason `inbound overflow`; one that is larger than all of it is taken when nothing else waits. Default: 16,777,216 (16 MiB).
   */
  readonly maxPendingBytes?: number
  /**
   * The events of one connection whose handlers are not done, from which on reading from it is paused: what its client goes on
   * sending then waits with the client (over WebSocket in the connection; over polling the request that brought too much is answered
   * later). Default: 1,000. Nothing is paused where it is above `maxPendingEvents`.
   *
   * Reading is not paused while an acknowledgement of the client is awaited, as it comes the same way. A client that is not read is
   * not taken for dead, and that it has closed may be noticed only when reading resumes.
   */
  readonly pauseReadingAt?: number
  /** The number of such events at which reading resumes. Less than `pauseReadingAt`. Default: half of that. */
  readonly resumeReadingAt?: number
  /**
   * How long reading stays paused while not one handler gets done. Then handlers wait for something that the client has yet to send,
   * and it is read again, up to `maxPendingEvents`. Default: 10 seconds.
   */
  readonly pauseTimeout?: Duration.Input
  /**
   * How long packet middleware (`socket.use`) may be at work on one event. Then the event is refused as if the middleware had died, its
   * fiber is interrupted, and those behind it go on. Default: 30 seconds.
   */
  readonly middlewareTimeout?: Duration.Input
  /** The acknowledgements that the client of one connection may owe, over all of its sockets. Default: 10,000. */
  readonly maxPendingAcks?: number
  /**
   * The binary attachments of one packet. One that comes with more closes its connection with `parse error`; an emit of more dies,
   * as clients take no more than that, either. Default: 10, as clients in the field expect.
   */
  readonly maxAttachments?: number
  /** The bytes of one packet's attachments together. Default: 10,000,000, or `maxPayload` if that is more. */
  readonly maxAttachmentBytes?: number
  /**
   * How long the next announced attachment of a packet may take to come. It is looked after once per timeout: a client has up
   * to twice as long. Default: 30 seconds.
   */
  readonly attachmentTimeout?: Duration.Input
  /** The nesting of arrays and objects in a packet's payload. Default: 64. */
  readonly maxDepth?: number
  /**
   * Whether every handled event runs in a span of its own (`socket.io <event>`). Default: if the server's layer has a tracer;
   * without one, and with `false`, it costs nothing.
   */
  readonly tracing?: boolean
}

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
  /** Whether who emits may have to wait for room; see `outboxOverflow`. */
  readonly suspends: boolean
  readonly maxPendingAcks: number
  readonly maxAttachments: number
  readonly maxAttachmentBytes: number
  readonly attachmentTimeout: number
  readonly maxDepth: number
  readonly tracing: boolean | undefined
}

const openingRate = (option: RateLimit = { limit: 20, burst: 100 }): Effect.Effect<Rate, InvalidOptionError> => {
  const rate = rateOf(option)
  return typeof rate === "string"
    ? Effect.fail(new InvalidOptionError({ option: "openingRate", problem: rate }))
    : Effect.succeed(rate)
}

/**
 * Fills in the defaults and refuses what makes no sense.
 *
 * @since 0.1.0
 * @category decoding
 */
export const resolve = Effect.fnUntraced(function* (
  options: ServerOptions<any>
): Effect.fn.Return<ResolvedServerOptions, InvalidOptionError> {
  const pauseReadingAt = yield* integer("pauseReadingAt", options.pauseReadingAt, 1_000, 1)
  const resumeReadingAt = yield* integer("resumeReadingAt", options.resumeReadingAt, Math.floor(pauseReadingAt / 2), 0)
  if (resumeReadingAt >= pauseReadingAt) {
    const problem = `must be less than pauseReadingAt (${pauseReadingAt}), not ${resumeReadingAt}`
    return yield* new InvalidOptionError({ option: "resumeReadingAt", problem })
  }
  return {
    connectTimeout: yield* millis("connectTimeout", options.connectTimeout, 45_000, 1),
    namespaceGrace: yield* millis("namespaceGrace", options.namespaceGrace, 2_000, 0),
    maxNamespaces: yield* integer("maxNamespaces", options.maxNamespaces, 100, 1),
    openingRate: yield* openingRate(options.openingRate),
    maxAuthBytes: yield* integer("maxAuthBytes", options.maxAuthBytes, 16_384, 0),
    maxRooms: yield* integer("maxRooms", options.maxRooms, 1_000, 0),
    maxPendingPackets: yield* integer("maxPendingPackets", options.maxPendingPackets, 1_000, 1),
    maxPendingEvents: yield* integer("maxPendingEvents", options.maxPendingEvents, 10_000, 1),
    maxPendingBytes: yield* integer("maxPendingBytes", options.maxPendingBytes, 16_777_216, 1),
    pauseReadingAt,
    resumeReadingAt,
    pauseTimeout: yield* millis("pauseTimeout", options.pauseTimeout, 10_000, 1),
    middlewareTimeout: yield* millis("middlewareTimeout", options.middlewareTimeout, 30_000, 1),
    suspends: options.outboxOverflow === "suspend",
    maxPendingAcks: yield* integer("maxPendingAcks", options.maxPendingAcks, 10_000, 1),
    maxAttachments: yield* integer("maxAttachments", options.maxAttachments, MAX_ATTACHMENTS, 1),
    maxAttachmentBytes: yield* integer(
      "maxAttachmentBytes",
      options.maxAttachmentBytes,
      // Each attachment is a message: one that may come shall not be too large for its packet.
      Math.max(MAX_ATTACHMENT_BYTES, options.maxPayload ?? 0),
      1
    ),
    attachmentTimeout: yield* millis("attachmentTimeout", options.attachmentTimeout, 30_000, 1),
    maxDepth: yield* integer("maxDepth", options.maxDepth, MAX_DEPTH, 1),
    tracing: options.tracing
  }
})
