/**
 * The options of the Admin UI's namespace, with their defaults and bounds.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

import { flag, group, integer, millis, type Names, oneOf, refuse } from "../engine/OptionReaders.ts"
import { rateOf } from "../internal/tokenBucket.ts"
import * as Namespace from "../Namespace.ts"
import type { Rate, RateLimit } from "../RateLimit.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"

/**
 * The name and the password that an administrator types into the page. Neither is longer than 256
 * characters.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials {
  readonly username: string
  readonly password: Redacted.Redacted
}

/**
 * Decides whether somebody with these credentials is an administrator. A defect refuses the client,
 * and is logged. It is interrupted if the client leaves, or after `limits.connectTimeout`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Authenticate<out R = never> {
  (credentials: Credentials): Effect.Effect<boolean, never, R>
}

/**
 * Options of the Admin UI's namespace. An option that makes no sense, or whose name is unknown,
 * fails with `InvalidOptionError`.
 *
 * @since 0.1.0
 * @category options
 */
export interface AdminOptions<out R = never> {
  /**
   * Decides who may look: a function of the credentials, such as `Admin.basic`. With `false`, every
   * client may look that reaches the server, which is logged as a warning.
   */
  readonly auth: false | Authenticate<R>
  /** The name of the namespace. Default: `/admin`. */
  readonly namespace?: string
  /**
   * Whether administrators can only look. With `false` they may send events to clients, make them
   * join and leave rooms, and disconnect them. Default: true.
   */
  readonly readonly?: boolean
  /**
   * - `production`: numbers of servers, namespaces and traffic, every 2 seconds.
   * - `development`: single sockets, rooms and events, too. While an administrator looks, every
   *   message costs more.
   *
   * Default: `production`.
   */
  readonly mode?: "production" | "development"
  /** The name of this server in the page. Default: the host's name and the process's id. */
  readonly serverId?: string
  /** The sessions of administrators, with which a page comes back without credentials. */
  readonly sessions?: SessionOptions
  /**
   * The rate of tries to log in from one address, or from 64 bits of IPv6, right ones included. In
   * excess of it the client is refused with `too many tries`. Sessions do not count. Default: 5 in
   * a minute.
   */
  readonly tries?: RateLimit
  /** The same for all addresses together. Default: 100 in a minute. */
  readonly triesInAll?: RateLimit
  /**
   * Development: the number of sockets of this server that are shown. Further ones are shown when
   * others have left; the numbers count all of them. Default: 1,000.
   */
  readonly maxSockets?: number
  /**
   * Development: the number of events that this server shows in a second. A line in the page tells
   * how many were left out. Default: 500.
   */
  readonly maxEvents?: number
  /**
   * Where the page is served, if the package `@socket.io/admin-ui` is installed; `false` serves
   * none. Default: below `/socket.io-admin`.
   */
  readonly ui?: false | UiOptions
}

/**
 * Options of sessions. A session is a signed text that the page keeps: servers remember nothing.
 *
 * @since 0.1.0
 * @category options
 */
export interface SessionOptions {
  /** The time after which credentials are asked for again. Default: 1 day. At least 1 ms. */
  readonly timeToLive?: Duration.Input
  /**
   * The key of the signature, of at least 16 characters. With the same one, a session holds on
   * every server of a cluster, and after a restart. Default: a random one for each server.
   */
  readonly secret?: Redacted.Redacted
}

/**
 * Options of the page.
 *
 * @since 0.1.0
 * @category options
 */
export interface UiOptions {
  /** The path of the page, which is not below that of Socket.IO. Default: `/socket.io-admin`. */
  readonly path?: string
}

/**
 * Options with every default filled in; durations in milliseconds.
 *
 * @since 0.1.0
 * @category options
 */
export interface ResolvedAdminOptions<out R = never> {
  readonly auth: false | Authenticate<R>
  readonly namespace: string
  readonly readonly: boolean
  readonly isDevelopment: boolean
  readonly serverId: string | undefined
  readonly sessionTimeToLive: number
  readonly sessionSecret: string | undefined
  readonly tries: Rate
  readonly triesInAll: Rate
  readonly maxSockets: number
  readonly maxEvents: number
  /** The path of the page, without a slash at its end; `undefined` for no page. */
  readonly uiPath: string | undefined
}

const NAMES: Names<AdminOptions> = {
  auth: true,
  namespace: true,
  readonly: true,
  mode: true,
  serverId: true,
  sessions: true,
  tries: true,
  triesInAll: true,
  maxSockets: true,
  maxEvents: true,
  ui: true
}

const SESSIONS: Names<SessionOptions> = { timeToLive: true, secret: true }

const UI: Names<UiOptions> = { path: true }

const RATE: Names<RateLimit> = { limit: true, interval: true, burst: true }

const DAY = Duration.toMillis("1 day")

const MIN_SECRET = 16

const rate = Effect.fnUntraced(function* (
  option: string,
  value: RateLimit | undefined,
  fallback: number
): Effect.fn.Return<Rate, InvalidOptionError> {
  yield* group(option, value, RATE)
  const rate = rateOf(value ?? { limit: fallback, interval: "1 minute" })
  return typeof rate === "string" ? yield* refuse(option, rate) : rate
})

const secretOf = (secret: Redacted.Redacted | undefined): Effect.Effect<string | undefined, InvalidOptionError> => {
  if (secret === undefined) return Effect.succeed(undefined)
  const value: unknown = Redacted.isRedacted(secret) ? Redacted.value(secret) : undefined
  return typeof value === "string" && value.length >= MIN_SECRET
    ? Effect.succeed(value)
    : refuse("sessions.secret", `must be a Redacted text of at least ${MIN_SECRET} characters`)
}

const uiPathOf = Effect.fnUntraced(function* (ui: false | UiOptions | undefined) {
  if (ui === false) return undefined
  const { path = "/socket.io-admin" } = yield* group("ui", ui, UI)
  if (typeof path !== "string") return yield* refuse("ui.path", `must be a path, not ${String(path)}`)
  return path.replace(/\/+$/, "")
})

const text = (option: string, value: string | undefined): Effect.Effect<string | undefined, InvalidOptionError> =>
  value === undefined || (typeof value === "string" && value.length > 0 && value.length <= 256)
    ? Effect.succeed(value)
    : refuse(option, "must be a text of 1 to 256 characters")

const nameOf = (value = "/admin"): Effect.Effect<string, InvalidOptionError> =>
  Effect.try({
    try: () => {
      Namespace.checkName(value)
      return value
    },
    catch: (cause) => refuse("namespace", cause instanceof Error ? cause.message : String(cause))
  })

/**
 * Fills in the defaults and refuses options that make no sense. The resolved options are flat, and
 * named by their content.
 *
 * @since 0.1.0
 * @category decoding
 */
export const resolve = Effect.fnUntraced(function* <R>(
  options: AdminOptions<R>
): Effect.fn.Return<ResolvedAdminOptions<R>, InvalidOptionError> {
  yield* group<AdminOptions<any>>("", options, NAMES)
  const { auth } = options
  if (auth !== false && typeof auth !== "function") {
    return yield* refuse("auth", `must be a function of the credentials, or false, not ${String(auth)}`)
  }
  const sessions = yield* group("sessions", options.sessions, SESSIONS)
  return {
    auth,
    namespace: yield* nameOf(options.namespace),
    readonly: yield* flag("readonly", options.readonly, true),
    isDevelopment: (yield* oneOf("mode", options.mode, ["production", "development"])) === "development",
    serverId: yield* text("serverId", options.serverId),
    sessionTimeToLive: yield* millis("sessions.timeToLive", sessions.timeToLive, DAY, 1),
    sessionSecret: yield* secretOf(sessions.secret),
    tries: yield* rate("tries", options.tries, 5),
    triesInAll: yield* rate("triesInAll", options.triesInAll, 100),
    maxSockets: yield* integer("maxSockets", options.maxSockets, 1_000, 0),
    maxEvents: yield* integer("maxEvents", options.maxEvents, 500, 1),
    uiPath: yield* uiPathOf(options.ui)
  }
})
