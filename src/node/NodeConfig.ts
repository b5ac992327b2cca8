/**
 * The server's options from the configuration: by default the environment.
 *
 * Every option that a string can say has a name: `pingInterval` is `SOCKETIO_PING_INTERVAL`. Durations are written as
 * `25 seconds`, lists with commas between, switches as `true` and `false`. What is not set has its default; what cannot be
 * read is a `ConfigError`, what makes no sense an `InvalidOptionError`.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

import type { ConnectionRateLimit } from "../RateLimit.ts"
import type { ListeningOptions, NodeOptions } from "./NodeSocketIoServer.ts"

/** Lists are written with blanks beside the commas, or without. */
const trimmed = <A extends string>(member: Schema.Codec<A, string>) => Schema.Trim.pipe(Schema.decodeTo(member))

/** The options that a string can say, each with the way in which it is read. */
const readers = {
  path: Config.String,
  destroyUpgrade: Config.Boolean,
  destroyUpgradeTimeout: Config.Duration,
  serveClient: Config.Boolean,
  trustedProxies: (name: string) =>
    Config.map(Config.Array(Schema.Trim, name), (list) =>
      list.length === 1 && /^\d+$/.test(list[0]!) ? Number(list[0]) : list
    ),
  keepRequests: Config.Boolean,
  perMessageDeflate: Config.Boolean,
  httpCompression: Config.Boolean,
  pingInterval: Config.Duration,
  pingTimeout: Config.Duration,
  upgradeTimeout: Config.Duration,
  maxPayload: Config.Int,
  maxPacketsPerPayload: Config.Int,
  maxOutbox: Config.Int,
  outboxOverflow: (name: string) => Config.Literals(["disconnect", "dropNewest", "dropOldest", "suspend"], name),
  maxConnections: Config.Int,
  maxConnectionsPerAddress: Config.Int,
  allowedOrigins: (name: string) => Config.Array(Schema.Trim, name),
  handshakeTimeout: Config.Duration,
  transports: (name: string) => Config.Array(trimmed(Schema.Literals(["polling", "websocket"])), name),
  allowUpgrades: Config.Boolean,
  allowEIO3: Config.Boolean,
  cookie: Config.Boolean,
  drainTimeout: Config.Duration,
  connectTimeout: Config.Duration,
  maxNamespaces: Config.Int,
  maxAuthBytes: Config.Int,
  maxRooms: Config.Int,
  maxPendingPackets: Config.Int,
  maxPendingEvents: Config.Int,
  maxPendingBytes: Config.Int,
  pauseReadingAt: Config.Int,
  resumeReadingAt: Config.Int,
  pauseTimeout: Config.Duration,
  middlewareTimeout: Config.Duration,
  maxPendingAcks: Config.Int,
  maxAttachments: Config.Int,
  maxAttachmentBytes: Config.Int,
  attachmentTimeout: Config.Duration,
  maxDepth: Config.Int,
  tracing: Config.Boolean
} satisfies { readonly [K in keyof NodeOptions]?: (name: string) => Config.Config<NonNullable<NodeOptions[K]>> }

/** `pingInterval` as `PING_INTERVAL`, `allowEIO3` as `ALLOW_EIO3`. */
const constantCase = (name: string): string => name.replaceAll(/([a-z])([A-Z])/g, "$1_$2").toUpperCase()

const optional = (
  fields: Readonly<Record<string, (name: string) => Config.Config<unknown>>>
): Config.Config<Record<string, unknown>> =>
  Config.map(
    Config.all(
      Object.fromEntries(
        Object.entries(fields).map(([field, read]) => [field, Config.option(read(constantCase(field)))])
      )
    ),
    (values) => {
      const set: Record<string, unknown> = {}
      for (const [field, value] of Object.entries(values)) if (Option.isSome(value)) set[field] = value.value
      return set
    }
  )

/** Which origins may ask, and whether they may send cookies. */
const cors: Config.Config<Pick<NodeOptions, "cors">> = Config.map(
  Config.all({
    origin: Config.option(Config.Array(Schema.Trim, "CORS_ORIGIN")),
    credentials: Config.option(Config.Boolean("CORS_CREDENTIALS"))
  }),
  ({ credentials, origin }) => {
    if (Option.isNone(origin) && Option.isNone(credentials)) return {}
    const only = Option.map(origin, (list) => (list.length === 1 ? list[0]! : list))
    return {
      // Credentials without an origin reach the server, which refuses them.
      cors: {
        ...(Option.isSome(only) ? { origin: only.value } : {}),
        ...(Option.isSome(credentials) ? { credentials: credentials.value } : {})
      }
    }
  }
)

/** How many packets a connection may bring. */
const rateLimit: Config.Config<Pick<NodeOptions, "rateLimit">> = Config.map(
  optional({
    rateLimit: Config.Finite,
    rateLimitInterval: Config.Duration,
    rateLimitBurst: Config.Int,
    rateLimitExceeded: (name: string) => Config.Literals(["pause", "disconnect"], name)
  }),
  ({ rateLimit: limit, rateLimitBurst: burst, rateLimitExceeded: onExceeded, rateLimitInterval: interval }) => {
    const given = Object.entries({ limit, interval, burst, onExceeded }).filter(([, value]) => value !== undefined)
    // What is said without a limit reaches the server, which refuses it.
    return given.length === 0 ? {} : { rateLimit: Object.fromEntries(given) as unknown as ConnectionRateLimit }
  }
)

const settings = Config.map(Config.all([optional(readers), cors, rateLimit]), ([set, cors, rateLimit]) => ({
  ...set,
  ...cors,
  ...rateLimit
}))

/**
 * The options of a server that is attached to an `http.Server`: `SOCKETIO_PATH`, `SOCKETIO_PING_INTERVAL` and so on, and for
 * `cors` `SOCKETIO_CORS_ORIGIN` (origins with commas between, or `*`) and `SOCKETIO_CORS_CREDENTIALS`; for `rateLimit`
 * `SOCKETIO_RATE_LIMIT`, `…_INTERVAL`, `…_BURST` and `…_EXCEEDED`.
 *
 * @since 0.1.0
 * @category configs
 */
export const attached: Config.Config<NodeOptions> = Config.nested(settings, "SOCKETIO")

/**
 * The same for a server that listens itself: also `SOCKETIO_PORT` (3000 if it is not set), `SOCKETIO_HOST` and
 * `SOCKETIO_BACKLOG`.
 *
 * @example
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
