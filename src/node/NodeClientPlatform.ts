/**
 * The platform of a client in Node: WebSockets of `ws`, which can have headers, polling over
 * `fetch`, and cookies.
 *
 * @since 0.1.0
 */
import type { Agent } from "node:http"
import type { SecureContextOptions } from "node:tls"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { WebSocket } from "ws"

import * as ClientDebug from "../client/ClientDebug.ts"
import { ClientPlatform, type ClientPlatformShape } from "../engine/ClientPlatform.ts"
import { integer } from "../engine/OptionReaders.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { CookieJar } from "./internal/cookieJar.ts"
import { explain, fetchOver, request } from "./internal/clientRequest.ts"
import { openWebSocket } from "./internal/clientWebSocket.ts"

/**
 * Options of a client's platform in Node.
 *
 * @since 0.1.0
 * @category options
 */
export interface NodeClientOptions {
  /**
   * The bytes of one WebSocket message, and of one polled response, that a server may send; more
   * end the connection. Default: 104,857,600 (100 MiB).
   */
  readonly maxPayload?: number
  /**
   * Whether to offer compression of WebSocket messages (RFC 7692); if the server agrees, those from
   * 1,024 bytes on are sent compressed. It costs memory and time. Default: false.
   */
  readonly perMessageDeflate?: boolean
  /**
   * How WebSockets of `wss:` verify the server, and say who they are. `fetch` knows nothing of it:
   * polling trusts what Node trusts (`NODE_EXTRA_CA_CERTS` adds to that), unless there is an
   * `agent`, or `fetch` below is told the same. With `transports: ["websocket"]` there is no
   * polling.
   */
  readonly tls?: Pick<SecureContextOptions, "ca" | "cert" | "key" | "passphrase" | "pfx" | "ciphers"> & {
    /** Whether a certificate that cannot be verified is an error. Default: true. */
    readonly rejectUnauthorized?: boolean
    /** The name that the certificate must have. Default: the host's. */
    readonly servername?: string
  }
  /**
   * The agent of all connections, over polling and WebSocket: an agent of `node:http`, for `https:`
   * and `wss:` one of `node:https`, or one of a package for proxies. Polling then has the
   * certificates of `tls`, too, and follows no redirects. Default: what Node has.
   */
  readonly agent?: Agent
  /**
   * The function that polls, in the place of the `agent`. Default: `globalThis.fetch`. Another one
   * can bring its own certificates, proxies or connection pool.
   */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
}

/**
 * Makes a platform of Node.
 *
 * With `withCredentials` each client has a cookie jar, in memory: what responses set, those to a
 * WebSocket's handshake included, goes back with later requests and handshakes to the same origin
 * until it expires. Redirects are followed by polling only, and cookies are not sent when they lead
 * to another origin.
 *
 * Fails with {@link InvalidOptionError} if `maxPayload` is not a positive integer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: NodeClientOptions = {}
): Effect.fn.Return<ClientPlatformShape, InvalidOptionError> {
  const maxPayload = yield* integer("maxPayload", options.maxPayload, 104_857_600, 1)
  const clock = yield* Clock.Clock
  const { onOffline } = yield* ClientPlatform
  const { agent, perMessageDeflate = false, tls = {} } = options
  const fetchWith = options.fetch ?? (agent ? fetchOver(agent, tls) : (url, init) => globalThis.fetch(url, init))
  const forClient = (): ClientPlatformShape => {
    const jar = new CookieJar(() => clock.currentTimeMillisUnsafe())
    return {
      request: (polled) =>
        Effect.tryPromise({
          try: (signal) => request(polled, { fetch: fetchWith, maxPayload, jar, signal }),
          catch: explain
        }),
      openWebSocket: ({ headers, protocols, url, withCredentials }, events) => {
        const ws = new WebSocket(url, [...protocols], {
          ...tls,
          ...(agent ? { agent } : {}),
          headers: withCredentials ? jar.addTo(url, headers) : headers,
          maxPayload,
          perMessageDeflate
        })
        if (withCredentials) ws.on("upgrade", ({ headers }) => jar.store(url, headers["set-cookie"] ?? []))
        return openWebSocket(ws, events)
      },
      onOffline,
      forClient
    }
  }
  return forClient()
})

/**
 * The platform of Node with options as a layer. See {@link make}.
 *
 * The layer includes `ClientDebug.layer`: clients warn while their server cannot be connected to,
 * and `DEBUG='socket.io-client:*'` in the environment logs their steps.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: NodeClientOptions): Layer.Layer<never, InvalidOptionError> =>
  Layer.merge(Layer.effect(ClientPlatform, make(options)), ClientDebug.layer())

/**
 * The platform of Node with its defaults as a layer, for the layers of clients. See {@link make}.
 *
 * @example
 * ```ts
 * const Client = SocketIoClient.layer({ url: "https://example.org", headers: { authorization: "Bearer …" } }).pipe(
 *   Layer.provide(NodeClientPlatform.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never> = Layer.orDie(layerWith({}))
