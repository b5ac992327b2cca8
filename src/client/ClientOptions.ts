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

/**
 * Options of a client: of its one connection, which all its namespaces share. `R` is what `query` and `headers` need, if they are
 * effects.
 *
 * @since 0.1.0
 * @category options
 */
export interface ClientOptions<R = never> {
  /** The server: scheme, host and port, `https://example.org`. A path in it is not taken: namespaces are connected to by name. */
  readonly url: string
  /** Where the server stands below it. Default: `/socket.io`. */
  readonly path?: string
  /**
   * Whether requests have a slash at the end of the path: `/socket.io/`. Default: true. Some hosts redirect addresses that end with one,
   * which WebSockets do not follow.
   */
  readonly addTrailingSlash?: boolean
  /**
   * Parameters of every request, or an effect that gives them, which is run anew for every connection. Default: none. `EIO`,
   * `transport`, `sid`, `b64` and `t` are the protocol's.
   */
  readonly query?: Strings | Effect.Effect<Strings, never, R>
  /**
   * Headers of every request, or an effect that gives them, which is run anew for every connection: a token that expires, say. One that
   * dies is an attempt that has failed; none is begun before it is done. Default: none. In browsers they are only sent over polling, as
   * WebSockets cannot have any.
   */
  readonly headers?: Strings | Effect.Effect<Strings, never, R>
  /** The transports that may be used, the first one first. Default: polling, then WebSocket. */
  readonly transports?: ReadonlyArray<TransportName>
  /** Whether to change from polling to WebSocket when the server offers it. Default: true. */
  readonly upgrade?: boolean
  /** Whether to try the other transports when the first one cannot connect, or not in time. Default: false. */
  readonly tryAllTransports?: boolean
  /** Whether to begin with WebSocket once an upgrade has succeeded. Default: false. */
  readonly rememberUpgrade?: boolean
  /** Whether cookies are sent to another origin. Default: false. */
  readonly withCredentials?: boolean
  /** Subprotocols of the WebSocket. Default: none. */
  readonly protocols?: ReadonlyArray<string>
  /** Whether bytes travel as base64, over WebSocket too. Default: false. */
  readonly forceBase64?: boolean
  /** Whether to close when the page is left or frozen. Default: true, where there is a page. */
  readonly closeOnPageHide?: boolean
  /**
   * How long the opening of the connection may take, over each transport that is tried; then the upgrade; and at last the closing,
   * when the server does not take what is still to be sent. Default: 20 seconds.
   */
  readonly connectTimeout?: Duration.Input
  /**
   * Whether, and when, to connect again after the connection was lost or could not be opened: a schedule that is run anew for every
   * outage, with the number of the failed attempt (from 0) as its input; its delays are the pauses, and there are no more attempts when
   * it is done. Default: 1 second, doubling up to 5, spread by half; without end.
   */
  readonly reconnection?: boolean | Schedule.Schedule<unknown, number>
  /** Events that may wait, per namespace, while it is not connected. Default: 10,000. */
  readonly maxBuffered?: number
  /** What is dropped when more would wait. Default: `newest`: the event that does not fit. */
  readonly bufferOverflow?: "newest" | "oldest"
  /** The acknowledgements that may be awaited in one namespace. Default: 10,000. */
  readonly maxPendingAcks?: number
  /** The binary attachments of one packet. Default: 10. */
  readonly maxAttachments?: number
  /**
   * The bytes of one packet's attachments together. Default: no limit of its own, which is that of the official client: each attachment
   * is a message, which the platform bounds (`maxPayload` of `NodeClientPlatform`), and there are `maxAttachments` of them.
   */
  readonly maxAttachmentBytes?: number
  /**
   * The nesting of arrays and objects in a packet's payload. Default: 1,000: servers may send what they like, of which this one's sends no
   * more; deeper values would exhaust the stack of what handles them.
   */
  readonly maxDepth?: number
}

type Strings = Readonly<Record<string, string>>

/**
 * Options with every default filled in.
 *
 * @since 0.1.0
 * @category options
 */
export interface ResolvedClientOptions {
  readonly engine: Omit<EngineClientOptions, "query" | "headers">
  readonly query: Strings | Effect.Effect<Strings>
  readonly headers: Strings | Effect.Effect<Strings>
  readonly reconnection: boolean | Schedule.Schedule<unknown, number>
  readonly maxBuffered: number
  readonly bufferOverflow: "newest" | "oldest"
  readonly maxPendingAcks: number
  readonly maxAttachments: number
  readonly maxAttachmentBytes: number
  readonly maxDepth: number
}

/** What an option is when it is not given. */
const defaults = {
  path: "/socket.io",
  addTrailingSlash: true,
  query: {},
  headers: {},
  upgrade: true,
  tryAllTransports: false,
  rememberUpgrade: false,
  withCredentials: false,
  protocols: [],
  forceBase64: false,
  closeOnPageHide: true,
  reconnection: true,
  maxBuffered: 10_000,
  bufferOverflow: "newest",
  maxPendingAcks: 10_000,
  maxAttachments: MAX_ATTACHMENTS,
  maxAttachmentBytes: Infinity,
  maxDepth: 1_000
} as const satisfies Required<Omit<ClientOptions, "url" | "transports" | "connectTimeout">>

/**
 * Fills in the defaults and refuses what makes no sense.
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
    // Whatever has a number by default is a count.
    if (typeof fallback === "number" && value !== fallback) {
      yield* integer(name, value as number, 0, name === "maxBuffered" ? 0 : 1)
    }
  }
  const engine = {
    ...resolved,
    origin: yield* origin(options.url),
    path: `/${resolved.path as string}/`
      .replaceAll(/^\/+|\/+$/g, "/")
      .slice(0, resolved.addTrailingSlash ? undefined : -1),
    transports: yield* transports(options.transports),
    connectTimeout: yield* millis("connectTimeout", options.connectTimeout, 20_000, 1)
  }
  // It has more than that: nobody looks.
  return { ...resolved, engine } as unknown as ResolvedClientOptions
})

const origin = (url: string): Effect.Effect<string, InvalidOptionError> => {
  // Without `URL`, of which React Native has but a part. WebSocket addresses mean the same server.
  const [, rest] = /^(?:http|ws)(s?:\/\/[^\s/?#@\\]+)\/?$/.exec(url.toLowerCase()) ?? []
  return rest
    ? Effect.succeed(`http${rest}`)
    : refuse("url", `must be an origin, as "https://example.org", not "${url}"`)
}
