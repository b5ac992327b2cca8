/**
 * The client's options, with their defaults and bounds.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"

import type { EngineClientOptions } from "../engine/EngineClient.ts"
import { integer, millis, refuse, transports } from "../engine/OptionReaders.ts"
import type { TransportName } from "../engine/Transport.ts"
import { MAX_ATTACHMENTS } from "../protocol/ProtocolLimits.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import type { ClientExtra } from "./ClientExtras.ts"
import { default as defaultReconnection, type Outage } from "./Reconnection.ts"

/**
 * Options of a client: of its one connection, which all its namespaces share.
 *
 * `R` are the services that `query`, `headers` and `reconnection` need.
 *
 * @since 0.1.0
 * @category options
 */
export interface ClientOptions<R = never> {
  /**
   * The server: scheme, host and port, as `https://example.org`. It has no path: namespaces are
   * connected to by name.
   */
  readonly url: string
  /** The path of the Socket.IO server on its host. Default: `/socket.io`. */
  readonly path?: string
  /**
   * Whether requests have a slash at the end of the path: `/socket.io/`. Some hosts redirect such
   * addresses, and WebSockets follow no redirects. Default: true.
   */
  readonly addTrailingSlash?: boolean
  /**
   * Parameters of every request, or an effect that gives them and is run anew for every connection.
   * The protocol owns `EIO`, `transport`, `sid`, `b64`, `t` and `fx`. Default: none.
   */
  readonly query?: Strings | Effect.Effect<Strings, never, R>
  /**
   * Headers of every request, or an effect that gives them and is run anew for every connection,
   * such as a token that expires. No attempt begins before the effect is done; if it dies, the
   * attempt has failed. Browsers send them over polling only, as their WebSockets cannot have
   * headers. Default: none.
   */
  readonly headers?: Strings | Effect.Effect<Strings, never, R>
  /**
   * The transports that may be used. The first one opens the connection; polling changes to
   * WebSocket if that is there, too. Default: polling and WebSocket.
   */
  readonly transports?: ReadonlyArray<TransportName>
  /** Whether to change from polling to WebSocket when the server offers it. Default: true. */
  readonly upgrade?: boolean
  /** Whether cookies are sent to another origin. Default: false. */
  readonly withCredentials?: boolean
  /** Subprotocols of the WebSocket. Default: none. */
  readonly protocols?: ReadonlyArray<string>
  /** Whether bytes travel as base64, over WebSocket too. Default: false. */
  readonly forceBase64?: boolean
  /**
   * The time for the opening of the connection over each transport that is tried, then for the
   * upgrade, and for the closing when the server does not take the rest. Default: 20 seconds.
   */
  readonly connectTimeout?: Duration.Input
  /**
   * The schedule on which the client connects again after the connection was lost or could not be
   * opened, or `false` for no reconnection. It is run anew for every outage, in the context of the
   * client; its delays are the pauses, and there are no more attempts when it is done or fails.
   * Default: `Reconnection.default`, 1 second doubled up to 5, without end.
   */
  readonly reconnection?: false | Schedule.Schedule<unknown, Outage, unknown, R>
  /** The events that may wait in each namespace while it is not connected. Default: 10,000. */
  readonly maxBuffered?: number
  /**
   * The event that is dropped when more would wait. Default: `newest`, the event that does not fit.
   */
  readonly bufferOverflow?: "newest" | "oldest"
  /** The acknowledgements that may be awaited in each namespace. Default: 10,000. */
  readonly maxPendingAcks?: number
  /** The binary attachments of one packet. Default: 10. */
  readonly maxAttachments?: number
  /**
   * The bytes of the attachments of one packet together. Default: no limit of its own, as with the
   * official client: the platform limits each message (`maxPayload` of `NodeClientPlatform`), and
   * `maxAttachments` their number.
   */
  readonly maxAttachmentBytes?: number
  /**
   * The nesting of arrays and objects in the payload of a packet. Deeper values could exhaust the
   * stack of their reader; our server sends none. Default: 1,000.
   */
  readonly maxDepth?: number
  /**
   * What not every client has, such as moves from one server to another; see `ClientExtras`.
   * Default: none.
   */
  readonly extras?: ReadonlyArray<ClientExtra>
}

type Strings = Readonly<Record<string, string>>

/**
 * Options with every default filled in.
 *
 * @since 0.1.0
 * @category options
 */
export interface ResolvedClientOptions extends Omit<EngineClientOptions, "query" | "headers"> {
  readonly query: Strings | Effect.Effect<Strings>
  readonly headers: Strings | Effect.Effect<Strings>
  readonly reconnection: false | Schedule.Schedule<unknown, Outage>
  readonly maxBuffered: number
  readonly bufferOverflow: "newest" | "oldest"
  readonly maxPendingAcks: number
  readonly maxAttachments: number
  readonly maxAttachmentBytes: number
  readonly maxDepth: number
}

type ClientOptionsDefaults = Required<
  Omit<ClientOptions, "url" | "transports" | "connectTimeout" | "extras" | "forceBase64">
>

const defaults = {
  path: "/socket.io",
  addTrailingSlash: true,
  query: {},
  headers: {},
  upgrade: true,
  withCredentials: false,
  protocols: [],
  reconnection: defaultReconnection,
  maxBuffered: 10_000,
  bufferOverflow: "newest",
  maxPendingAcks: 10_000,
  maxAttachments: MAX_ATTACHMENTS,
  maxAttachmentBytes: Infinity,
  maxDepth: 1_000
} as const satisfies ClientOptionsDefaults

/**
 * Fills in the defaults. Fails with {@link InvalidOptionError} on an option that makes no sense.
 *
 * @since 0.1.0
 * @category decoding
 */
export const resolve = Effect.fnUntraced(function* (
  options: ClientOptions<any>
): Effect.fn.Return<ResolvedClientOptions, InvalidOptionError> {
  const resolved: Record<string, unknown> = { ...options }
  for (const [name, fallback] of Object.entries(defaults)) {
    const value = (resolved[name] ??= fallback)
    // Every option with a number as its default is a count.
    if (typeof fallback === "number" && value !== fallback) {
      yield* integer(name, value as number, 0, name === "maxBuffered" ? 0 : 1)
    }
  }
  return {
    ...resolved,
    origin: yield* origin(options.url),
    path: `/${resolved.path as string}/`
      .replaceAll(/^\/+|\/+$/g, "/")
      .slice(0, resolved.addTrailingSlash ? undefined : -1),
    transports: yield* transports(options.transports),
    connectTimeout: yield* millis("connectTimeout", options.connectTimeout, 20_000, 1)
  } as ResolvedClientOptions
})

const origin = (url: string): Effect.Effect<string, InvalidOptionError> => {
  // Without `URL`, as React Native has only a part of it. WebSocket addresses mean the same server.
  const [, rest] = /^(?:http|ws)(s?:\/\/[^\s/?#@\\]+)\/?$/.exec(url.toLowerCase()) ?? []
  return rest ? Effect.succeed(`http${rest}`) : refuse("url", `must be an origin, not "${url}"`)
}
