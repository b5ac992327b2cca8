/**
 * The options of an engine in a Node `http.Server`, with their defaults and bounds.
 *
 * @since 0.1.0
 */
import * as Zlib from "node:zlib"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { PerMessageDeflateOptions } from "ws"

import * as EnginePath from "../engine/EnginePath.ts"
import { flag, group, integer, millis, type Names, refuse } from "../engine/OptionReaders.ts"
import { readTrust, type Trust } from "../engine/TrustedProxies.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"

/**
 * Options of an engine in an HTTP server.
 *
 * @since 0.1.0
 * @category options
 */
export interface AttachOptions {
  /**
   * The path that the engine serves, with or without a trailing slash. Default: `/socket.io`.
   */
  readonly path?: string
  /** Settings of long-polling. */
  readonly polling?: PollingOptions
  /** Settings of WebSockets. */
  readonly webSocket?: WebSocketOptions
  /** Upgrades of other paths: requests for WebSockets of somebody else. */
  readonly foreignUpgrades?: ForeignUpgradeOptions
  /**
   * Whether to serve the browser builds of the official client below the path, as in
   * `<script src="/socket.io/socket.io.js">`. They come from the installed `socket.io-client`. When
   * the first request comes, the server looks for it from the working directory, and then from this
   * library. If it is not installed, such requests are answered with 404. Default: true.
   */
  readonly serveClient?: boolean
  /**
   * The proxies whose `X-Forwarded-For` is trusted: their number between a client and this server,
   * or their addresses and ranges (`10.0.0.0/8`, `fd00::/8`). The client's address is then the one
   * that the outermost trusted proxy has added, read from the end; other entries are not believed.
   * It is `handshake.address`, and counts for `limits.maxConnectionsPerAddress`. An entry that is
   * no address ends the search: the address is the last trusted one. With a number, every way to
   * this server must lead through that many proxies.
   *
   * Default: none; the address is the peer's.
   */
  readonly trustedProxies?: number | ReadonlyArray<string>
  /**
   * Whether each session keeps the Node request that opened it, for `NodeSocketIoServer.requestOf`.
   * This costs memory for every connection: some kilobytes, and everything that middleware has put
   * on the request. Default: false.
   */
  readonly keepRequests?: boolean
}

/**
 * Settings of long-polling in Node.
 *
 * @since 0.1.0
 * @category options
 */
export interface PollingOptions {
  /**
   * Compression of responses with gzip or deflate, for clients that accept it. Default: true, for
   * responses of at least 1,024 bytes.
   */
  readonly compression?: boolean | CompressionOptions
}

/**
 * When responses are compressed.
 *
 * @since 0.1.0
 * @category options
 */
export interface CompressionOptions {
  /** The size in bytes from which responses are compressed. Default: 1,024. At least 0. */
  readonly threshold?: number
}

/**
 * Settings of WebSockets in Node.
 *
 * @since 0.1.0
 * @category options
 */
export interface WebSocketOptions {
  /**
   * Compression of messages (RFC 7692), for clients that offer it: `true` compresses messages of at
   * least 1,024 bytes, an object has settings for `ws`. It costs time and memory: zlib holds some
   * 300 KB per connection unless the context takeover is off. Default: false.
   */
  readonly perMessageDeflate?: boolean | PerMessageDeflateOptions
}

/**
 * The treatment of WebSocket upgrades of other paths. If nothing answers them, they would keep
 * their connections forever. Servers with another listener for upgrades are left alone. An upgrade
 * to another protocol, such as `h2c`, is treated as a plain request where nothing else listens for
 * upgrades.
 *
 * @since 0.1.0
 * @category options
 */
export interface ForeignUpgradeOptions {
  /** Whether to end upgrades that have no answer after `timeout`. Default: true. */
  readonly destroy?: boolean
  /** The time for an answer. Default: 1 second. At least 0. */
  readonly timeout?: Duration.Input
}

/**
 * The names of {@link AttachOptions}.
 *
 * @internal
 */
export const ATTACH_OPTIONS: Names<AttachOptions> = {
  path: true,
  polling: true,
  webSocket: true,
  foreignUpgrades: true,
  serveClient: true,
  trustedProxies: true,
  keepRequests: true
}

const POLLING: Names<PollingOptions> = { compression: true }

const COMPRESSION: Names<CompressionOptions> = { threshold: true }

const WEB_SOCKET: Names<WebSocketOptions> = { perMessageDeflate: true }

const FOREIGN_UPGRADES: Names<ForeignUpgradeOptions> = { destroy: true, timeout: true }

/**
 * Options with every default filled in; durations in milliseconds.
 *
 * @internal
 */
export interface ResolvedAttachOptions {
  readonly path: string
  readonly trust: Trust | undefined
  readonly keepRequests: boolean
  readonly servesClient: boolean
  /** The size in bytes from which responses are compressed; infinite if none are. */
  readonly compressionThreshold: number
  /** The settings of `ws`; false if messages are not compressed. */
  readonly perMessageDeflate: PerMessageDeflateOptions | false
  /** The size in bytes from which messages are compressed. */
  readonly deflateThreshold: number
  readonly destroysForeignUpgrades: boolean
  readonly foreignUpgradeTimeout: number
}

/** Refuses a setting that is neither a switch nor an object of settings. */
const switchOrSettings = (option: string, value: unknown): Effect.Effect<void, InvalidOptionError> =>
  typeof value === "boolean" || (typeof value === "object" && value !== null)
    ? Effect.void
    : refuse(option, `must be true, false or an object of settings, not ${String(value)}`)

/** Throws for settings for which `ws` would throw at its first compression. */
const checkDeflate = (options: PerMessageDeflateOptions): void => {
  const { clientMaxWindowBits, serverMaxWindowBits, zlibDeflateOptions, zlibInflateOptions } = options
  Zlib.createDeflateRaw({ ...(zlibDeflateOptions as Zlib.ZlibOptions), ...windowBits(serverMaxWindowBits) }).close()
  Zlib.createInflateRaw({ ...(zlibInflateOptions as Zlib.ZlibOptions), ...windowBits(clientMaxWindowBits) }).close()
}

const windowBits = (bits: unknown): Zlib.ZlibOptions => (typeof bits === "number" ? { windowBits: bits } : {})

/**
 * Fills in the defaults, and refuses options that make no sense.
 *
 * @internal
 */
export const resolve = Effect.fnUntraced(function* (
  options: AttachOptions
): Effect.fn.Return<ResolvedAttachOptions, InvalidOptionError> {
  yield* group("", options, ATTACH_OPTIONS)
  const polling = yield* group("polling", options.polling, POLLING)
  const webSocket = yield* group("webSocket", options.webSocket, WEB_SOCKET)
  const foreignUpgrades = yield* group("foreignUpgrades", options.foreignUpgrades, FOREIGN_UPGRADES)
  const path = yield* EnginePath.read(options.path)
  const trust = readTrust(options.trustedProxies)
  if (typeof trust === "string") return yield* refuse("trustedProxies", trust)
  const { compression = true } = polling
  const { perMessageDeflate = false } = webSocket
  const destroysForeignUpgrades = yield* flag("foreignUpgrades.destroy", foreignUpgrades.destroy, true)
  const foreignUpgradeTimeout = yield* millis("foreignUpgrades.timeout", foreignUpgrades.timeout, 1_000, 0)
  const servesClient = yield* flag("serveClient", options.serveClient, true)
  const keepRequests = yield* flag("keepRequests", options.keepRequests, false)
  yield* switchOrSettings("polling.compression", compression)
  yield* switchOrSettings("webSocket.perMessageDeflate", perMessageDeflate)
  const { threshold: least } = yield* group(
    "polling.compression",
    typeof compression === "object" ? compression : undefined,
    COMPRESSION
  )
  const threshold = yield* integer("polling.compression.threshold", least, 1_024, 0)
  const deflate = typeof perMessageDeflate === "object" ? perMessageDeflate : {}
  const deflateThreshold = yield* integer("webSocket.perMessageDeflate.threshold", deflate.threshold, 1_024, 0)
  yield* Effect.try({
    try: () => checkDeflate(deflate),
    catch: (cause) => refuse("webSocket.perMessageDeflate", String(cause))
  })
  return {
    path,
    trust,
    keepRequests,
    servesClient,
    compressionThreshold: compression === false ? Infinity : threshold,
    perMessageDeflate: perMessageDeflate !== false && { ...deflate, threshold: deflateThreshold },
    deflateThreshold,
    destroysForeignUpgrades,
    foreignUpgradeTimeout
  }
})
