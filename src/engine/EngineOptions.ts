/**
 * The engine's options, with their defaults and bounds.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"

import { MAX_PACKETS_PER_PAYLOAD } from "../protocol/ProtocolLimits.ts"
import { type Rate, rateOf } from "../internal/tokenBucket.ts"
import type { ConnectionRateLimit } from "../RateLimit.ts"
import { InvalidOptionError } from "../SocketIoError.ts"
import * as Cookies from "effect/http/Cookies"
import * as Result from "effect/Result"

import type { CorsOptions, OriginMatcher } from "./Cors.ts"
import type { EngineRequest } from "./EngineRequest.ts"
import type { Ping } from "./Heartbeat.ts"
import type { RequestForbidden } from "./HandshakeError.ts"
import { AllowedOrigins } from "./internal/allowedOrigins.ts"
import { isHeaderValue } from "./HttpHeaders.ts"
import { integer, MAX_TIMER, millis, oneOf, transports } from "./OptionReaders.ts"
import type { OutboxOverflow } from "./Outbox.ts"

/**
 * Options of the Engine.IO server.
 *
 * @since 0.1.0
 * @category options
 */
export interface EngineOptions<out R = never> {
  /**
   * How long after a pong (or the opening) the server sends the next ping. Clients are told, and expect a ping within
   * `pingInterval + pingTimeout`, which is at most 2^31 - 1 ms (24.8 days), as their timers do not take more. Default: 25 seconds. At
   * least 10 ms.
   */
  readonly pingInterval?: Duration.Input
  /** How long the server waits for a pong before it closes the session. Default: 20 seconds. At least 10 ms. */
  readonly pingTimeout?: Duration.Input
  /**
   * The schedule of the pings, instead of the fixed `pingInterval`. Each session runs it from its
   * opening on; its delays are the pauses before the next ping, up to `pingInterval`. It runs in
   * the context of the server's layer. See `Heartbeat.default` for the details.
   *
   * Default: `Heartbeat.default`, with `pingInterval` in place of its 25 seconds.
   */
  readonly heartbeat?: Schedule.Schedule<unknown, Ping, never, R>
  /** How long a client may take to change from polling to WebSocket. Default: 10 seconds. */
  readonly upgradeTimeout?: Duration.Input
  /**
   * The largest message in bytes: of one long-polling request body, and of one WebSocket message. Clients are told.
   * Default: 1,000,000.
   */
  readonly maxPayload?: number
  /** The largest number of packets in one long-polling request body. Default: 10,000. */
  readonly maxPacketsPerPayload?: number
  /**
   * The bytes that may wait for one client that does not take them. What happens when there are more, `outboxOverflow` says.
   * Default: 16,777,216.
   *
   * A message that is larger gets through if nothing else waits. With the policy `disconnect` a client is not closed for what is sent
   * within one turn of the event loop, of which it could not take anything yet, up to four times as much. While more waits than may
   * be, it has to take as much as is sent to it, but for an eighth of the budget. The most that waits for one client is therefore what
   * the application sends it in one turn on top of a full outbox, at most four times the budget, or one message that is larger, and
   * an eighth of the budget; with the other policies at most twice the budget, such a message, and 64 KiB.
   */
  readonly maxOutbox?: number
  /** What happens to a message that does not fit into `maxOutbox`. Default: `disconnect`. */
  readonly outboxOverflow?: OutboxOverflow
  /**
   * How many packets the client of one connection may send, whatever they are; those of single events have limits of their own
   * (`rateLimit` of `Event.make`). Default: no limit.
   */
  readonly rateLimit?: ConnectionRateLimit
  /**
   * How many connections there may be: those that are open, those that `allowRequest` and `generateId` have not decided on, and those
   * that are closed but whose client has not taken what waits for it. Requests for more are refused with code 4 and status 503, so that
   * clients come again later; they are counted as other refusals, and logged at level Warn every ten seconds at the most. Default: no
   * limit.
   */
  readonly maxConnections?: number
  /**
   * The same for each address that clients come from. Addresses of IPv6 count by their first 64 bits. Behind a proxy all clients
   * have its address unless the edge is told to trust it (`trustedProxies` in Node). Clients without an address, as over a Unix
   * socket, are not limited. Default: no limit.
   */
  readonly maxConnectionsPerAddress?: number
  /**
   * The origins whose pages may use the server, over every transport: what `cors` says holds for neither WebSocket nor JSONP. One
   * or a list of: origins, as `https://example.com` (compared by scheme, host and port), patterns (not stateful ones, with flag
   * `g` or `y`), and predicates. Requests of others are refused with code 4 and status 403, whether they ask for a session or
   * belong to one.
   *
   * Requests that come from no other origin as far as the browser says, and those of programs that are none, are allowed. `null` is
   * an origin like others: that of sandboxed frames and local files. Of scripts (JSONP) the `Referer` tells the origin.
   *
   * Default: every origin. Any page that a user of the application opens can then connect with that user's cookies, if these are
   * not `SameSite`: set it where cookies say who a client is.
   */
  readonly allowedOrigins?: OriginMatcher | ReadonlyArray<OriginMatcher>
  /** The names of the transports that clients may use, of those in `Transports`. Default: all. */
  readonly transports?: ReadonlyArray<string>
  /** Whether clients are told that they may change from polling to WebSocket. Default: true. */
  readonly allowUpgrades?: boolean
  /**
   * Whether clients of Engine.IO 3 are let in: those of Socket.IO 2 and 1. Default: false. They see the same namespaces, with the
   * differences of their protocol: they are in `/` without asking, and send a query where others send auth. Where nothing serves
   * `/` they are told all the same that they are in it, as some join other namespaces only then: no socket is there, nobody hears of
   * them, and what they send to it is ignored.
   */
  readonly allowEIO3?: boolean
  /**
   * Decides whether a request may open a session, before anything is done for it: over HTTP, and before a WebSocket is accepted.
   * Requests of sessions that are open are not asked about. Default: every request may.
   *
   * Where it fails the request is answered with status 403 and the message (code 4); where it dies, so with the standard message,
   * and the defect is logged. It is interrupted when the client goes, and when `handshakeTimeout` is over.
   */
  readonly allowRequest?: (request: EngineRequest) => Effect.Effect<unknown, RequestForbidden>
  /**
   * Makes the id of a session. Ids must be unique and not to be guessed: whoever knows one can take part in its session. An empty
   * id, one that is in use or holds control characters or half a surrogate pair, a failure or a defect refuses the request (code 3).
   * It is interrupted when the client goes, and when `handshakeTimeout` is over. Default: 120 random bits as 20 characters.
   */
  readonly generateId?: (request: EngineRequest) => Effect.Effect<string>
  /**
   * How long `allowRequest` and `generateId` may take together. What is not decided by then is interrupted, and the request is
   * refused (code 4). Default: 20 seconds. At least 1 ms.
   */
  readonly handshakeTimeout?: Duration.Input
  /**
   * Headers for the response that opens a session, over HTTP or with the upgrade to a WebSocket; several values of one (`Set-Cookie`)
   * as an array. Default: none.
   */
  readonly handshakeHeaders?: (request: EngineRequest) => Readonly<Record<string, string | ReadonlyArray<string>>>
  /**
   * Headers for every response, the one that opens a session included; several values of one (`Set-Cookie`) as an array. Default: none
   * beyond those of `cors`.
   *
   * It is called once for each request, when that comes: polls, POSTs, the upgrade, and those that are refused. So it also sees what
   * headers later requests of a session carry, as a token that was renewed. Their session is `sid` of the query; it is what the client
   * says, and may be the id of no session. The request that opens one has none: its id is what `generateId` gives it.
   *
   * @example
   * ```ts
   * const seen = new Map<string, string>()     // the latest token by the session's id
   * const options: EngineOptions = {
   *   generateId: (request) =>
   *     Effect.sync(() => {
   *       const sid = randomBytes(15).toString("base64url")
   *       seen.set(sid, request.header("authorization") ?? "")
   *       return sid
   *     }),
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
   * A cookie with the session's id, for load balancers; set by the response that opens a session over HTTP. `true` is one called
   * `io`. Default: none.
   */
  readonly cookie?: boolean | CookieOptions
  /** Cross-origin requests of browsers. Default: none are allowed, and no header is sent. */
  readonly cors?: CorsOptions
  /**
   * How long the closing of the server's scope may take: sessions are closed, what waits for them is flushed; what is
   * not done by then is cut. Default: 5 seconds.
   */
  readonly drainTimeout?: Duration.Input
}

/**
 * The resolved `rateLimit`: the packets that a client may send, and the consequence of more.
 *
 * @since 0.1.0
 * @category options
 */
export interface ReadLimit extends Rate {
  /** Whether the session is closed, rather than not read for a while. */
  readonly disconnects: boolean
}

/**
 * The cookie with a session's id.
 *
 * @since 0.1.0
 * @category options
 */
export interface CookieOptions {
  /** Default: `io`. */
  readonly name?: string
  /** Default: `/`; `false` leaves it out. */
  readonly path?: string | false
  readonly domain?: string
  /** Default: a cookie of the browser's session. */
  readonly maxAge?: Duration.Input
  /** Default: true. */
  readonly httpOnly?: boolean
  /** Default: false. */
  readonly secure?: boolean
  /** Default: false. */
  readonly partitioned?: boolean
  /** Default: `lax`. */
  readonly sameSite?: "lax" | "strict" | "none"
}

/**
 * Options with every default filled in; durations in milliseconds.
 *
 * @since 0.1.0
 * @category options
 */
export interface ResolvedEngineOptions {
  readonly pingInterval: number
  readonly pingTimeout: number
  /** It runs in the context of the server's layer, which has the services that it needs. */
  readonly heartbeat: Schedule.Schedule<unknown, Ping> | undefined
  readonly upgradeTimeout: number
  readonly maxPayload: number
  readonly maxPacketsPerPayload: number
  readonly maxOutbox: number
  readonly outboxOverflow: OutboxOverflow
  readonly rateLimit: ReadLimit | undefined
  readonly maxConnections: number | undefined
  readonly maxConnectionsPerAddress: number | undefined
  readonly allowedOrigins: AllowedOrigins | undefined
  readonly transports: ReadonlyArray<string>
  readonly allowUpgrades: boolean
  readonly allowEIO3: boolean
  readonly allowRequest: EngineOptions["allowRequest"] | undefined
  readonly generateId: EngineOptions["generateId"] | undefined
  readonly handshakeTimeout: number
  readonly handshakeHeaders: EngineOptions["handshakeHeaders"] | undefined
  readonly responseHeaders: EngineOptions["responseHeaders"] | undefined
  /** Makes the `Set-Cookie` header for a session's id. */
  readonly cookie: ((id: string) => string) | undefined
  readonly cors: CorsOptions | undefined
  readonly drainTimeout: number
}

const OVERFLOWS = ["disconnect", "dropNewest", "dropOldest", "suspend"] as const

const invalidCookie = (problem: string): Effect.Effect<never, InvalidOptionError> =>
  Effect.fail(new InvalidOptionError({ option: "cookie", problem }))

const cookie = (
  option: EngineOptions["cookie"]
): Effect.Effect<((id: string) => string) | undefined, InvalidOptionError> => {
  if (option === undefined || option === false) return Effect.succeed(undefined)
  const { httpOnly = true, name = "io", path = "/", sameSite = "lax", ...rest } = option === true ? {} : option
  const options = { ...rest, httpOnly, sameSite, ...(path === false ? {} : { path }) }
  if (!["lax", "strict", "none"].includes(sameSite)) return invalidCookie(`unknown sameSite "${sameSite}"`)
  if (rest.maxAge !== undefined && Duration.fromInput(rest.maxAge)._tag === "None") {
    return invalidCookie("maxAge must be a duration")
  }
  // What is wrong with it is wrong with every id.
  const checked = Cookies.makeCookie(name, "id", options)
  if (Result.isFailure(checked)) return invalidCookie(checked.failure.reason._tag)
  return Effect.succeed((id) => Cookies.serializeCookie(Cookies.makeCookieUnsafe(name, id, options)))
}

const rateLimit = Effect.fnUntraced(function* (
  option: ConnectionRateLimit | undefined
): Effect.fn.Return<ReadLimit | undefined, InvalidOptionError> {
  if (option === undefined) return undefined
  const rate = rateOf(option)
  if (typeof rate === "string") return yield* new InvalidOptionError({ option: "rateLimit", problem: rate })
  const onExceeded = yield* oneOf("rateLimit.onExceeded", option.onExceeded, ["pause", "disconnect"])
  return { ...rate, disconnects: onExceeded === "disconnect" }
})

const limit = (option: string, value: number | undefined): Effect.Effect<number | undefined, InvalidOptionError> =>
  value === undefined ? Effect.succeed(undefined) : integer(option, value, 0, 1)

const allowedOrigins = (
  option: EngineOptions["allowedOrigins"]
): Effect.Effect<AllowedOrigins | undefined, InvalidOptionError> => {
  if (option === undefined) return Effect.succeed(undefined)
  const read = AllowedOrigins.read(option)
  return typeof read === "string"
    ? Effect.fail(new InvalidOptionError({ option: "allowedOrigins", problem: read }))
    : Effect.succeed(read)
}

const invalidCors = (setting: string, problem: string): Effect.Effect<never, InvalidOptionError> =>
  Effect.fail(new InvalidOptionError({ option: `cors.${setting}`, problem }))

const cors = (options: CorsOptions | undefined): Effect.Effect<CorsOptions | undefined, InvalidOptionError> => {
  // Credentials for every origin at once are what browsers refuse to use: better said here than found out in a page.
  if (options?.credentials === true && [options.origin ?? "*"].flat().includes("*")) {
    return invalidCors("credentials", 'needs cors.origin to say which origins may send them (or true for any), not "*"')
  }
  // What cannot be sent would fail with every response.
  for (const setting of ["methods", "allowedHeaders", "exposedHeaders"] as const) {
    const names = options?.[setting]
    if (names === undefined) continue
    if (!Array.isArray(names) || !names.every((name) => typeof name === "string" && isHeaderValue(name))) {
      return invalidCors(setting, "must be a list of names")
    }
  }
  return Effect.succeed(options)
}

/**
 * How long the closing of the server's scope may take, in milliseconds.
 *
 * @since 0.1.0
 * @category decoding
 */
export const drainTimeout = (options: EngineOptions<any>): Effect.Effect<number, InvalidOptionError> =>
  millis("drainTimeout", options.drainTimeout, 5_000, 0)

/**
 * Fills in the defaults and refuses what makes no sense. `known` are the names of the transports that
 * the server has. Default: the built-in ones.
 *
 * @since 0.1.0
 * @category decoding
 */
export const resolve = Effect.fnUntraced(function* (
  options: EngineOptions<any>,
  known?: ReadonlyArray<string>
): Effect.fn.Return<ResolvedEngineOptions, InvalidOptionError> {
  const pingInterval = yield* millis("pingInterval", options.pingInterval, 25_000, 10)
  const pingTimeout = yield* millis("pingTimeout", options.pingTimeout, 20_000, 10)
  if (pingInterval + pingTimeout > MAX_TIMER) {
    // Clients wait for both together: they would take the server for dead at once.
    const problem = `must be at most ${MAX_TIMER} ms (24.8 days) together with pingInterval (${pingInterval} ms)`
    return yield* new InvalidOptionError({ option: "pingTimeout", problem })
  }
  return {
    pingInterval,
    pingTimeout,
    heartbeat: options.heartbeat as Schedule.Schedule<unknown, Ping> | undefined,
    upgradeTimeout: yield* millis("upgradeTimeout", options.upgradeTimeout, 10_000, 1),
    maxPayload: yield* integer("maxPayload", options.maxPayload, 1_000_000, 1),
    maxPacketsPerPayload: yield* integer(
      "maxPacketsPerPayload",
      options.maxPacketsPerPayload,
      MAX_PACKETS_PER_PAYLOAD,
      1
    ),
    maxOutbox: yield* integer("maxOutbox", options.maxOutbox, 16 * 1024 * 1024, 1),
    outboxOverflow: yield* oneOf("outboxOverflow", options.outboxOverflow, OVERFLOWS),
    rateLimit: yield* rateLimit(options.rateLimit),
    maxConnections: yield* limit("maxConnections", options.maxConnections),
    maxConnectionsPerAddress: yield* limit("maxConnectionsPerAddress", options.maxConnectionsPerAddress),
    allowedOrigins: yield* allowedOrigins(options.allowedOrigins),
    transports: yield* transports(options.transports, known),
    allowUpgrades: options.allowUpgrades ?? true,
    allowEIO3: options.allowEIO3 ?? false,
    allowRequest: options.allowRequest,
    generateId: options.generateId,
    handshakeTimeout: yield* millis("handshakeTimeout", options.handshakeTimeout, 20_000, 1),
    handshakeHeaders: options.handshakeHeaders,
    responseHeaders: options.responseHeaders,
    cookie: yield* cookie(options.cookie),
    cors: yield* cors(options.cors),
    drainTimeout: yield* drainTimeout(options)
  }
})
