/**
 * The client's options from the configuration: by default the environment.
 *
 * Every option that a string can say has a name: `connectTimeout` is
 * `SOCKETIO_CLIENT_CONNECT_TIMEOUT`. Durations are written as `20 seconds`, lists with commas
 * between, switches as `true` and `false`. An option that is not set has its default. A value that
 * cannot be read is a `ConfigError`, a value that makes no sense an `InvalidOptionError`.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Schema from "effect/Schema"

import { optional } from "../internal/configOptions.ts"
import type { ClientOptions } from "./ClientOptions.ts"
import * as Reconnection from "./Reconnection.ts"

/** The options that a string can say, each with its reader. */
const readers = {
  path: Config.String,
  addTrailingSlash: Config.Boolean,
  transports: (name: string) =>
    Config.Array(Schema.Trim.pipe(Schema.decodeTo(Schema.Literals(["polling", "websocket"]))), name),
  upgrade: Config.Boolean,
  withCredentials: Config.Boolean,
  protocols: (name: string) => Config.Array(Schema.Trim, name),
  forceBase64: Config.Boolean,
  connectTimeout: Config.Duration,
  reconnection: (name: string) =>
    Config.map(Config.Boolean(name), (isOn) => (isOn ? Reconnection.default : (false as const))),
  maxBuffered: Config.Int,
  bufferOverflow: (name: string) => Config.Literals(["newest", "oldest"], name),
  maxPendingAcks: Config.Int,
  maxAttachments: Config.Int,
  maxAttachmentBytes: Config.Int,
  maxDepth: Config.Int
} satisfies { readonly [K in keyof ClientOptions]?: (name: string) => Config.Config<NonNullable<ClientOptions[K]>> }

/**
 * The options of a client: `SOCKETIO_CLIENT_URL`, which must be set, `SOCKETIO_CLIENT_PATH`,
 * `SOCKETIO_CLIENT_TRANSPORTS` and so on. `SOCKETIO_CLIENT_RECONNECTION` is a switch: `true` for
 * `Reconnection.default`.
 *
 * **Example** (A client that is configured by the environment alone)
 *
 * ```ts
 * const Client = SocketIoClient.layerConfig(ClientConfig.options)
 * ```
 *
 * @since 0.1.0
 * @category configs
 */
export const options: Config.Config<ClientOptions> = Config.nested(
  Config.map(Config.all({ url: Config.String("URL"), rest: optional(readers) }), ({ rest, url }) => ({ ...rest, url })),
  "SOCKETIO_CLIENT"
)
