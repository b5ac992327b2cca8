/**
 * The engine's options, with their defaults and bounds.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

import type { InvalidOptionError } from "../SocketIoError.ts"
import * as Cors from "./Cors.ts"
import * as Drain from "./Drain.ts"
import * as Limits from "./EngineLimits.ts"
import type { EngineRequest } from "./EngineRequest.ts"
import type { RequestForbidden } from "./HandshakeError.ts"
import type { Ping } from "./Heartbeat.ts"
import { AllowedOrigins } from "./internal/allowedOrigins.ts"
import { flag, group, hook, MAX_TIMER, millis, type Names, refuse, transports } from "./OptionReaders.ts"
import * as Cookie from "./SessionCookie.ts"

export type { EngineLimits, ReadLimit } from "./EngineLimits.ts"
export type { CookieOptions } from "./SessionCookie.ts"

/**
 * Options of the Engine.IO server, in groups by subject. An unknown name fails with
 * `InvalidOptionError`, whose `option` is the path, such as `limits.maxPayload`.
 *
 * @since 0.1.0
 * @category options
 */
export interface EngineOptions<out R = never> {
  /** Pings, and the time in which clients have to answer them. */
  readonly heartbeat?: HeartbeatOptions<R>
  /** The requests that open sessions. */
  readonly handshake?: HandshakeOptions
  /** The change of a session from polling to WebSocket. */
  readonly upgrade?: UpgradeOptions
  /** The most that clients may send, open, or leave waiting. */
  readonly limits?: Limits.EngineLimits
  /**
   * The origins whose pages may use the server, over every transport (`cors` affects neither
   * WebSocket nor JSONP). It is one or a list of: origins, such as `https://example.com` (compared
   * by scheme, host and port), patterns (without the stateful flags `g` and `y`), and predicates.
   * Requests from other origins are refused with code 4 and status 403, whether they open a session
   * or belong to one.
   *
   * Requests without an origin are allowed: requests of the same origin, where the browser sends
   * none, and those of programs that are no browser. `null` is an origin like any other: sandboxed
   * frames and local files have it. The origin of scripts (JSONP) comes from the `Referer`.
   *
   * Default: every origin. Any page that a user of the application opens can then connect with that
   * user's cookies, unless these are `SameSite`. Set this option if cookies identify a client.
   */
  readonly allowedOrigins?: Cors.OriginMatcher | ReadonlyArray<Cors.OriginMatcher>
  /** Cross-origin requests of browsers. Default: none are allowed, and no header is sent. */
  readonly cors?: Cors.CorsOptions
  /** The names of the transports that clients may use, of those in `Transports`. Default: all. */
  readonly transports?: ReadonlyArray<string>
  /**
   * Whether clients of Engine.IO 3 are allowed: those of Socket.IO 2 and 1. Default: false. They
   * see the same namespaces, with the differences of their protocol: they are in `/` without a
   * CONNECT, and send a query instead of auth. If no layer serves `/`, they are still told that
   * they are in it, because some join other namespaces only then. There is no socket then, and
   * events that they send to `/` are ignored.
   */
  readonly allowEIO3?: boolean
  /**
   * A cookie with the session's id, for load balancers. The response that opens a session over HTTP
   * sets it. `true` means a cookie called `io`. Default: none.
   */
  readonly cookie?: boolean | Cookie.CookieOptions
  /**
   * Headers for every response, including the one that opens a session; several values of one
   * header (`Set-Cookie`) are an array. Default: none except those of `cors`.
   *
   * It is called once for each request, when the request arrives: polls, POSTs, upgrades, and
   * refused requests. So it also sees the headers of later requests of a session, such as a renewed
   * token. The query's `sid` is the session of a request; the client chooses it, and it may be the
   * id of no session. The request that opens a session has none: `handshake.generateId` returns the
   * id.
   *
   * **Example** (The latest token of each session)
   *
   * ```ts
   * const seen = new Map<string, string>()     // the latest token by the session's id
   * const options: EngineOptions.EngineOptions = {
   *   handshake: {
   *     generateId: (request) =>
   *       Effect.sync(() => {
   *         const sid = randomBytes(15).toString("base64url")
   *         seen.set(sid, request.header("authorization") ?? "")
   *         return sid
   *       })
   *   },
   *   responseHeaders: (request) => {
   *     const sid = request.query.get("sid")
   *     const token = request.header("authorization")
   *     if (sid !== undefined && seen.has(sid) && token !== undefined) seen.set(sid, token)
   *     return {}
   *   }
   * }
   * ```
   */
  readonly responseHeaders?: (request: EngineRequest) => Readonly<Record<string, string | ReadonlyArray<string>>>
  /**
   * The time limit for closing the server's scope: sessions are closed, and their waiting messages
   * are sent. Connections that are still open after it are cut. Default: 5 seconds. At least 0.
   */
  readonly drainTimeout?: Duration.Input
  /**
   * A drain as the first part of closing the server's scope: its connections move to other servers,
   * a few at a time, before the others are closed within `drainTimeout`. An object has settings
   * for it; `{}` has the defaults of `DrainOptions`. A server that has never had a client closes at
   * once. Default: none; all connections are closed within `drainTimeout`.
   *
   * The supervisor of the process must give it that time before it kills: `notice`, `over` (or
   * connections divided by `rate`, in seconds, if that is more), five seconds, and `drainTimeout`.
   */
  readonly onShutdown?: Drain.DrainOptions
}

/**
 * The times of pings, and the time limit for their answers.
 *
 * @since 0.1.0
 * @category options
 */
export interface HeartbeatOptions<out R = never> {
  /**
   * The time from a pong (or the opening) to the next ping. Clients are told this value, and expect
   * a ping within `pingInterval + pingTimeout`. That sum is at most 2^31 - 1 ms (24.8 days), the
   * limit of their timers. Default: 25 seconds. At least 10 ms.
   */
  readonly pingInterval?: Duration.Input
  /**
   * The time for a pong, after which the server closes the session. Default: 20 seconds. At least
   * 10 ms.
   */
  readonly pingTimeout?: Duration.Input
  /**
   * The schedule of the pings, instead of the fixed `pingInterval`. Each session runs it from its
   * opening on. Its delays are the pauses before the next ping, up to `pingInterval`. It runs in
   * the context of the server's layer. See `Heartbeat.default` for the details.
   *
   * Default: `Heartbeat.default`, with `pingInterval` in place of its 25 seconds.
   */
  readonly schedule?: Schedule.Schedule<unknown, Ping, never, R>
}

/**
 * Options of the requests that open sessions.
 *
 * @since 0.1.0
 * @category options
 */
export interface HandshakeOptions {
  /**
   * Decides whether a request may open a session. It runs first: over HTTP, and before a WebSocket
   * is accepted. It is not called for requests of open sessions. Default: every request may.
   *
   * A failure answers the request with status 403 and its message (code 4). A defect does so with
   * the standard message, and is logged. The effect is interrupted when the client closes its
   * connection, and after `timeout`.
   */
  readonly allowRequest?: (request: EngineRequest) => Effect.Effect<unknown, RequestForbidden>
  /**
   * Makes the id of a session. Ids must be unique and impossible to guess: a client that knows one
   * can take part in its session. The request is refused (code 3) on a failure or a defect, and on
   * an id that is empty, in use, or holds control characters or half a surrogate pair. The effect
   * is interrupted when the client closes its connection, and after `timeout`. Default: 120 random
   * bits as 20 characters.
   */
  readonly generateId?: (request: EngineRequest) => Effect.Effect<string>
  /**
   * The time limit for `allowRequest` and `generateId` together. After it they are interrupted, and
   * the request is refused (code 4). Default: 20 seconds. At least 1 ms.
   */
  readonly timeout?: Duration.Input
  /**
   * Headers for the response that opens a session, over HTTP or with the upgrade to a WebSocket;
   * several values of one header (`Set-Cookie`) are an array. Default: none.
   */
  readonly headers?: (request: EngineRequest) => Readonly<Record<string, string | ReadonlyArray<string>>>
}

/**
 * The change of sessions from polling to WebSocket.
 *
 * @since 0.1.0
 * @category options
 */
export interface UpgradeOptions {
  /** Whether clients are told that they can change from polling to WebSocket. Default: true. */
  readonly allow?: boolean
  /** The time limit for the change. Default: 10 seconds. At least 1 ms. */
  readonly timeout?: Duration.Input
}

/**
 * Options with every default filled in; durations in milliseconds.
 *
 * @since 0.1.0
 * @category options
 */
export interface ResolvedEngineOptions extends Limits.ResolvedEngineLimits {
  readonly pingInterval: number
  readonly pingTimeout: number
  /** It runs in the context of the server's layer, which has the services that it needs. */
  readonly heartbeat: Schedule.Schedule<unknown, Ping> | undefined
  readonly upgradeTimeout: number
  /** @internal */
  readonly allowedOrigins: AllowedOrigins | undefined
  readonly transports: ReadonlyArray<string>
  readonly allowUpgrades: boolean
  readonly allowEIO3: boolean
  readonly allowRequest: HandshakeOptions["allowRequest"] | undefined
  readonly generateId: HandshakeOptions["generateId"] | undefined
  readonly handshakeTimeout: number
  readonly handshakeHeaders: HandshakeOptions["headers"] | undefined
  readonly responseHeaders: EngineOptions["responseHeaders"] | undefined
  /** Makes the `Set-Cookie` header for a session's id. */
  readonly cookie: ((id: string) => string) | undefined
  readonly cors: Cors.CorsOptions | undefined
  readonly drainTimeout: number
  readonly onShutdown: Drain.ResolvedDrainOptions | undefined
}

const OPTIONS: Names<EngineOptions> = {
  heartbeat: true,
  handshake: true,
  upgrade: true,
  limits: true,
  allowedOrigins: true,
  cors: true,
  transports: true,
  allowEIO3: true,
  cookie: true,
  responseHeaders: true,
  drainTimeout: true,
  onShutdown: true
}

const HEARTBEAT: Names<HeartbeatOptions> = { pingInterval: true, pingTimeout: true, schedule: true }

const HANDSHAKE: Names<HandshakeOptions> = { allowRequest: true, generateId: true, timeout: true, headers: true }

const UPGRADE: Names<UpgradeOptions> = { allow: true, timeout: true }

const allowedOrigins = (
  option: EngineOptions["allowedOrigins"]
): Effect.Effect<AllowedOrigins | undefined, InvalidOptionError> => {
  if (option === undefined) return Effect.succeed(undefined)
  const read = AllowedOrigins.read(option)
  return typeof read === "string" ? refuse("allowedOrigins", read) : Effect.succeed(read)
}

/**
 * Fills in the defaults and refuses options that make no sense. The resolved options are flat, and
 * named by their contents. `known` are the names of the server's transports. Default: the built-in
 * ones.
 *
 * @since 0.1.0
 * @category decoding
 */
export const resolve = Effect.fnUntraced(function* (
  options: EngineOptions<any>,
  known?: ReadonlyArray<string>
): Effect.fn.Return<ResolvedEngineOptions, InvalidOptionError> {
  yield* group("", options, OPTIONS)
  const heartbeat = yield* group("heartbeat", options.heartbeat, HEARTBEAT)
  const handshake = yield* group("handshake", options.handshake, HANDSHAKE)
  const upgrade = yield* group("upgrade", options.upgrade, UPGRADE)
  const pingInterval = yield* millis("heartbeat.pingInterval", heartbeat.pingInterval, 25_000, 10)
  const pingTimeout = yield* millis("heartbeat.pingTimeout", heartbeat.pingTimeout, 20_000, 10)
  if (pingInterval + pingTimeout > MAX_TIMER) {
    // Clients wait for the sum of both in one timer, which would fire at once.
    const problem = `must be at most ${MAX_TIMER} ms (24.8 days) together with pingInterval (${pingInterval} ms)`
    return yield* refuse("heartbeat.pingTimeout", problem)
  }
  if (heartbeat.schedule !== undefined && !Schedule.isSchedule(heartbeat.schedule)) {
    return yield* refuse("heartbeat.schedule", "must be a Schedule")
  }
  return {
    pingInterval,
    pingTimeout,
    heartbeat: heartbeat.schedule as Schedule.Schedule<unknown, Ping> | undefined,
    upgradeTimeout: yield* millis("upgrade.timeout", upgrade.timeout, 10_000, 1),
    ...(yield* Limits.resolve(options.limits)),
    allowedOrigins: yield* allowedOrigins(options.allowedOrigins),
    transports: yield* transports(options.transports, known),
    allowUpgrades: yield* flag("upgrade.allow", upgrade.allow, true),
    allowEIO3: yield* flag("allowEIO3", options.allowEIO3, false),
    allowRequest: yield* hook("handshake.allowRequest", handshake.allowRequest),
    generateId: yield* hook("handshake.generateId", handshake.generateId),
    handshakeTimeout: yield* millis("handshake.timeout", handshake.timeout, 20_000, 1),
    handshakeHeaders: yield* hook("handshake.headers", handshake.headers),
    responseHeaders: yield* hook("responseHeaders", options.responseHeaders),
    cookie: yield* Cookie.resolve(options.cookie),
    cors: yield* Cors.resolve(options.cors),
    drainTimeout: yield* millis("drainTimeout", options.drainTimeout, 5_000, 0),
    onShutdown: options.onShutdown === undefined ? undefined : yield* Drain.resolve("onShutdown", options.onShutdown)
  }
})
