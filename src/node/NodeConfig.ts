/**
 * The server's options from the configuration: by default the environment.
 *
 * Every option that fits into a string has a name, which is its path: `limits.maxPayload` is
 * `SOCKETIO_LIMITS_MAX_PAYLOAD`. Durations are written as `25 seconds`, lists with commas, switches
 * as `true` and `false`. Options that are not set have their defaults. An unreadable value is a
 * `ConfigError`; a value that makes no sense is an `InvalidOptionError`.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Schema from "effect/Schema"

import type { DrainOptions } from "../engine/Drain.ts"
import type { HandshakeOptions, HeartbeatOptions, UpgradeOptions } from "../engine/EngineOptions.ts"
import { constantCase, optional } from "../internal/configOptions.ts"
import type { RecoveryOptions } from "../server/RecoveryOptions.ts"
import type { AuthOptions, ReadingOptions, ServerLimits } from "../server/ServerOptions.ts"
import type { TracingOptions } from "../server/TracingOptions.ts"
import type { ForeignUpgradeOptions, PollingOptions, WebSocketOptions } from "./NodeEngine.ts"
import type { ListeningOptions, NodeOptions } from "./NodeSocketIoServer.ts"

/** The reader of each option of a group, by the option's name. */
type Readers<Group> = { readonly [K in keyof Group]?: (name: string) => Config.Config<NonNullable<Group[K]>> }

/** Members of lists may have blanks beside the commas. */
const trimmed = <A extends string>(member: Schema.Codec<A, string>) => Schema.Trim.pipe(Schema.decodeTo(member))

/** The options outside of groups that fit into a string, each with its reader. */
const top = {
  path: Config.String,
  serveClient: Config.Boolean,
  trustedProxies: (name: string) =>
    Config.map(Config.Array(Schema.Trim, name), (list) =>
      list.length === 1 && /^\d+$/.test(list[0]!) ? Number(list[0]) : list
    ),
  keepRequests: Config.Boolean,
  allowedOrigins: (name: string) => Config.Array(Schema.Trim, name),
  transports: (name: string) => Config.Array(trimmed(Schema.Literals(["polling", "websocket"])), name),
  allowEIO3: Config.Boolean,
  cookie: Config.Boolean,
  drainTimeout: Config.Duration
} satisfies Readers<NodeOptions>

const heartbeat = { pingInterval: Config.Duration, pingTimeout: Config.Duration } satisfies Readers<HeartbeatOptions>

const handshake = { timeout: Config.Duration } satisfies Readers<HandshakeOptions>

const upgrade = { allow: Config.Boolean, timeout: Config.Duration } satisfies Readers<UpgradeOptions>

const onShutdown = {
  notice: Config.Duration,
  over: Config.Duration,
  rate: Config.Finite
} satisfies Readers<DrainOptions>

const foreignUpgrades = { destroy: Config.Boolean, timeout: Config.Duration } satisfies Readers<ForeignUpgradeOptions>

const limits = {
  maxPayload: Config.Int,
  maxPacketsPerPayload: Config.Int,
  maxOutbox: Config.Int,
  outboxOverflow: (name: string) => Config.Literals(["disconnect", "dropNewest", "dropOldest", "suspend"], name),
  maxConnections: Config.Int,
  maxConnectionsPerAddress: Config.Int,
  connectTimeout: Config.Duration,
  maxNamespaces: Config.Int,
  maxAuthBytes: Config.Int,
  maxRooms: Config.Int,
  maxPendingPackets: Config.Int,
  maxPendingEvents: Config.Int,
  maxPendingBytes: Config.Int,
  maxPendingAcks: Config.Int,
  middlewareTimeout: Config.Duration,
  maxAttachments: Config.Int,
  maxAttachmentBytes: Config.Int,
  attachmentTimeout: Config.Duration,
  maxDepth: Config.Int
} satisfies Readers<ServerLimits>

const reading = {
  pauseAt: Config.Int,
  resumeAt: Config.Int,
  pauseTimeout: Config.Duration
} satisfies Readers<ReadingOptions>

const recoveryBounds = {
  maxDisconnection: Config.Duration,
  maxEvents: Config.Int,
  maxBytes: Config.Int,
  maxDirectBytes: Config.Int,
  maxSessions: Config.Int,
  maxReplay: Config.Int,
  maxScan: Config.Int,
  maxCatchUpBytes: Config.Int
} satisfies Readers<RecoveryOptions>

const auth = { tolerance: Config.Duration, rate: Config.Finite } satisfies Readers<AuthOptions>

const polling = { compression: Config.Boolean } satisfies Readers<PollingOptions>

const webSocket = { perMessageDeflate: Config.Boolean } satisfies Readers<WebSocketOptions>

const tracingOptions = {
  names: (name: string) => Config.Literals(["effect", "messaging"], name),
  trust: (name: string) => Config.Literals(["parent", "link", "none"], name)
} satisfies Readers<TracingOptions>

/** The switch of spans, or their options. With `false` these count for nothing. */
const tracing: Config.Config<Record<string, unknown>> = Config.map(
  Config.all([optional({ tracing: Config.Boolean }), Config.nested(optional(tracingOptions), constantCase("tracing"))]),
  ([set, options]) => (Object.keys(options).length === 0 || set.tracing === false ? set : { tracing: options })
)

/** The switch of recovery, or its options. */
const recovery: Config.Config<Record<string, unknown>> = Config.map(
  Config.all([
    optional({ recovery: Config.Boolean }),
    Config.nested(optional(recoveryBounds), constantCase("recovery"))
  ]),
  ([set, bounds]) => (Object.keys(bounds).length === 0 || set.recovery === false ? set : { recovery: bounds })
)

/** The allowed origins, and whether they may send cookies. */
const cors: Config.Config<Record<string, unknown>> = Config.map(
  optional({ origin: (name) => Config.Array(Schema.Trim, name), credentials: Config.Boolean }),
  ({ origin, ...others }) =>
    // Credentials without an origin are passed on to the server, which refuses them.
    Array.isArray(origin) ? { origin: origin.length === 1 ? origin[0] : origin, ...others } : others
)

/** The rate of packets that a connection may send. */
const rateLimit: Config.Config<Record<string, unknown>> = Config.map(
  optional({
    rateLimit: Config.Finite,
    rateLimitInterval: Config.Duration,
    rateLimitBurst: Config.Int,
    rateLimitExceeded: (name: string) => Config.Literals(["pause", "disconnect"], name)
  }),
  ({ rateLimit: limit, rateLimitBurst: burst, rateLimitExceeded: onExceeded, rateLimitInterval: interval }) => {
    const given = Object.entries({ limit, interval, burst, onExceeded }).filter(([, value]) => value !== undefined)
    // The other settings without a limit are passed on to the server, which refuses them.
    return given.length === 0 ? {} : { rateLimit: Object.fromEntries(given) }
  }
)

/** The rate at which a client may open dynamic namespaces. */
const openingRate: Config.Config<Record<string, unknown>> = Config.map(
  optional({
    openingRate: Config.Finite,
    openingRateInterval: Config.Duration,
    openingRateBurst: Config.Int
  }),
  ({ openingRate: limit, openingRateBurst: burst, openingRateInterval: interval }) => {
    const given = Object.entries({ limit, interval, burst }).filter(([, value]) => value !== undefined)
    return given.length === 0 ? {} : { openingRate: Object.fromEntries(given) }
  }
)

/** A group of options, if any of them is set. */
const grouped = (group: string, options: Config.Config<Record<string, unknown>>): Config.Config<object> =>
  Config.map(Config.nested(options, constantCase(group)), (set) =>
    Object.keys(set).length === 0 ? {} : { [group]: set }
  )

const settings: Config.Config<NodeOptions> = Config.map(
  Config.all([
    optional(top),
    recovery,
    tracing,
    grouped("heartbeat", optional(heartbeat)),
    grouped("handshake", optional(handshake)),
    grouped("upgrade", optional(upgrade)),
    grouped("onShutdown", optional(onShutdown)),
    grouped("foreignUpgrades", optional(foreignUpgrades)),
    grouped(
      "limits",
      Config.map(Config.all([optional(limits), rateLimit, openingRate]), (given) => Object.assign({}, ...given))
    ),
    grouped("reading", optional(reading)),
    grouped("auth", optional(auth)),
    grouped("polling", optional(polling)),
    grouped("webSocket", optional(webSocket)),
    grouped("cors", cors)
  ]),
  (groups) => Object.assign({}, ...groups) as NodeOptions
)

/**
 * The options of a server that is attached to an `http.Server`.
 *
 * **Details**
 *
 * The name of an option is its path, in capitals, after `SOCKETIO_`. On top: `SOCKETIO_PATH`,
 * `…_TRANSPORTS`, `…_ALLOW_EIO3`, `…_ALLOWED_ORIGINS`, `…_COOKIE`, `…_SERVE_CLIENT`,
 * `…_TRUSTED_PROXIES` (a number, or addresses), `…_KEEP_REQUESTS`,
 * `…_DRAIN_TIMEOUT`.
 * In groups:
 *
 * - `SOCKETIO_HEARTBEAT_PING_INTERVAL`, `…_PING_TIMEOUT`
 * - `SOCKETIO_HANDSHAKE_TIMEOUT`
 * - `SOCKETIO_UPGRADE_ALLOW`, `…_TIMEOUT`
 * - `SOCKETIO_ON_SHUTDOWN_NOTICE`, `…_OVER`, `…_RATE`
 * - `SOCKETIO_FOREIGN_UPGRADES_DESTROY`, `…_TIMEOUT`
 * - `SOCKETIO_LIMITS_MAX_PAYLOAD`, `…_MAX_OUTBOX` and so on, as `ServerLimits` has them.
 *   `rateLimit` is `SOCKETIO_LIMITS_RATE_LIMIT`, `…_RATE_LIMIT_INTERVAL`, `…_RATE_LIMIT_BURST` and
 *   `…_RATE_LIMIT_EXCEEDED`; `openingRate` is `SOCKETIO_LIMITS_OPENING_RATE` and so on.
 * - `SOCKETIO_READING_PAUSE_AT`, `…_RESUME_AT`, `…_PAUSE_TIMEOUT`
 * - `SOCKETIO_AUTH_TOLERANCE`, `…_RATE`
 * - `SOCKETIO_RECOVERY` (a switch), `SOCKETIO_RECOVERY_MAX_DISCONNECTION` and so on, as
 *   `RecoveryOptions` has them
 * - `SOCKETIO_TRACING` (a switch), `SOCKETIO_TRACING_NAMES`, `…_TRUST`
 * - `SOCKETIO_POLLING_COMPRESSION`
 * - `SOCKETIO_WEB_SOCKET_PER_MESSAGE_DEFLATE`
 * - `SOCKETIO_CORS_ORIGIN` (origins with commas between, or `*`), `…_CREDENTIALS`
 *
 * @since 0.1.0
 * @category configs
 */
export const attached: Config.Config<NodeOptions> = Config.nested(settings, "SOCKETIO")

/**
 * The same for a server that listens itself: also `SOCKETIO_PORT` (3000 if it is not set),
 * `SOCKETIO_HOST` and `SOCKETIO_BACKLOG`.
 *
 * **Example** (Options from the environment)
 *
 * ```ts
 * NodeSocketIoServer.layerConfig(NodeConfig.listening)
 * ```
 *
 * @since 0.1.0
 * @category configs
 */
export const listening: Config.Config<ListeningOptions> = Config.nested(
  Config.map(
    Config.all([
      settings,
      Config.withDefault(Config.Int("PORT"), 3000),
      optional({ host: Config.String, backlog: Config.Int })
    ]),
    ([set, port, rest]) => ({ ...set, port, ...rest })
  ),
  "SOCKETIO"
)
