/**
 * Brings the requests of a server that speaks the fetch API to an Engine.IO server: Deno,
 * Cloudflare Workers, and frameworks on them. `BunSocketIoServer` does the same with the WebSockets
 * of Bun.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

import type { EngineServer } from "../engine/EngineServer.ts"
import { group, type Names } from "../engine/OptionReaders.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { makeRoute } from "./internal/router.ts"
import { fromStandard, type StandardWebSocket } from "./WebSocketChannel.ts"

/**
 * Options of an engine in any server of this folder.
 *
 * @since 0.1.0
 * @category options
 */
export interface AttachOptions {
  /** The path that the engine serves, with or without a trailing slash. Default: `/socket.io`. */
  readonly path?: string
  /**
   * The memory in bytes of messages that have come over one WebSocket and wait for their session.
   * These platforms cannot stop reading from a client while its handlers are slow, so its messages
   * are held. A connection with more is closed with reason `inbound overflow`. A text counts with
   * two bytes for a character, and each message with its objects. Default: `limits.maxPendingBytes`
   * where the server's options are known, and otherwise 16,777,216. At least 1.
   */
  readonly maxHeldBytes?: number
  /**
   * The proxies whose `X-Forwarded-For` is trusted: their number between a client and this server,
   * or their addresses and ranges (`10.0.0.0/8`, `fd00::/8`). See `NodeEngine.AttachOptions`.
   * Default: none; the address is the peer's.
   */
  readonly trustedProxies?: number | ReadonlyArray<string>
  /**
   * Answers requests of other paths, except for those of health checks and the like
   * (`Health.layerHealth`). Default: status 404.
   */
  readonly fetch?: (request: Request) => Response | Promise<Response>
}

/**
 * Options of {@link makeHandler}.
 *
 * @since 0.1.0
 * @category options
 */
export interface HandlerOptions extends AttachOptions {
  /**
   * Opens a WebSocket for a request, with the means of the platform: `Deno.upgradeWebSocket`, or a
   * `WebSocketPair` of Cloudflare whose server's side is accepted. `headers` belong into the
   * response, if the platform takes some. Default: none; such requests are refused, so
   * `transports` should be `["polling"]`.
   */
  readonly upgrade?: (
    request: Request,
    headers: Headers
  ) => { readonly response: Response; readonly socket: StandardWebSocket }
}

/**
 * The part of a request that its `Request` does not tell.
 *
 * @since 0.1.0
 * @category models
 */
export interface RequestInfo {
  /**
   * The address of the peer, which counts for `limits.maxConnectionsPerAddress`. Empty if there is
   * none: such clients are not limited.
   */
  readonly address: string
  /** Whether the connection to this server is encrypted. */
  readonly secure: boolean
}

/**
 * Answers a request.
 *
 * @since 0.1.0
 * @category models
 */
export type WebHandler = (request: Request, info: RequestInfo) => Response | Promise<Response>

const OPEN = 1

/**
 * Makes a function that answers the requests of an engine.
 *
 * **Details**
 *
 * Fails with {@link InvalidOptionError} on an option that makes no sense. The handler lives as long
 * as the engine: after that it refuses sessions with status 503. Long polls end when the request's
 * `signal` is aborted.
 *
 * **Gotchas**
 *
 * A request is pending until there is something to send, up to `pingInterval`. The platform must
 * not end it earlier.
 *
 * **Example** (A server in Deno)
 *
 * ```ts
 * const program = Effect.gen(function* () {
 *   const server = yield* SocketIoServer.SocketIoServer
 *   const handler = yield* WebEngine.makeHandler(yield* server.engine, {
 *     upgrade: (request) => Deno.upgradeWebSocket(request)
 *   })
 *   Deno.serve((request, info) => handler(request, { address: info.remoteAddr.hostname, secure: false }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeHandler = (
  engine: EngineServer,
  options: HandlerOptions = {}
): Effect.Effect<WebHandler, InvalidOptionError> => makeHandlerOn(engine, options, false)

/** The same, with what is known of the platform: see `makeRoute`. @internal */
export const makeHandlerOn = Effect.fnUntraced(function* (
  engine: EngineServer,
  options: HandlerOptions,
  keepsLength: boolean
): Effect.fn.Return<WebHandler, InvalidOptionError> {
  yield* group("", options, HANDLER_OPTIONS)
  const { fetch = notFound, upgrade } = options
  const { maxPayload } = engine.options
  const route = yield* makeRoute<RequestInfo, Response>(
    engine,
    options,
    upgrade &&
      ((request, _info, { accept, headers }, { maxHeld, report }) => {
        const { response, socket } = upgrade(request, headers)
        const take = () => accept(fromStandard(socket, { maxPayload, maxHeldBytes: maxHeld, onDefect: report }))
        if (socket.readyState === OPEN) take()
        else socket.addEventListener("open", take)
        return response
      }),
    keepsLength
  )
  return (request, info) => {
    const answer = route(request, info)
    return answer === "other" ? fetch(request) : answer
  }
})

/** Answers every request that is not for Socket.IO, where no application listens. @internal */
export const notFound = (): Response =>
  new Response(null, { status: 404, headers: { "x-content-type-options": "nosniff" } })

/** The names of {@link AttachOptions}. @internal */
export const ATTACH_OPTIONS: Names<AttachOptions> = {
  path: true,
  maxHeldBytes: true,
  trustedProxies: true,
  fetch: true
}

const HANDLER_OPTIONS: Names<HandlerOptions> = { ...ATTACH_OPTIONS, upgrade: true }
