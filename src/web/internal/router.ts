import * as Effect from "effect/Effect"

import * as EnginePath from "../../engine/EnginePath.ts"
import type { EngineServer } from "../../engine/EngineServer.ts"
import { HandshakeError, headersOf as refusalHeaders, make as makeError } from "../../engine/HandshakeError.ts"
import type { Headers as EngineHeaders } from "../../engine/HttpHeaders.ts"
import { integer, refuse } from "../../engine/OptionReaders.ts"
import type { WebSocketChannel } from "../../engine/Transport.ts"
import { readTrust } from "../../engine/TrustedProxies.ts"
import type { InvalidOptionError } from "../../SocketIoError.ts"
import { MAX_HELD_BYTES } from "../WebSocketChannel.ts"
import { openInTurn } from "./openInTurn.ts"
import type { ChannelSettings } from "./webChannel.ts"
import { headersOf, WebExchange } from "./webExchange.ts"
import { type RequestInfo, targetOf, WebRequest } from "./webRequest.ts"

/** The options that all edges of this folder have. */
export interface RouterOptions {
  readonly path?: string
  readonly trustedProxies?: number | ReadonlyArray<string>
  readonly maxHeldBytes?: number
}

/**
 * A WebSocket that the server accepts: the headers of its response, and the function that takes it.
 */
export interface Accepted {
  readonly headers: Headers
  readonly accept: (channel: WebSocketChannel) => void
}

/**
 * Opens a WebSocket with the means of the platform, or returns the response to a request that asks
 * for none.
 */
export type Upgrade<Info, Answer> = (
  request: Request,
  info: Info,
  accepted: Accepted,
  settings: ChannelSettings
) => Answer

/**
 * Answers requests for the engine. Others are left to the application: the result is `undefined`.
 */
export type Route<Info, Answer> = (
  request: Request,
  info: Info
) => Response | Answer | Promise<Response | Answer> | "other"

/** Whether a request asks for a WebSocket. Other upgrades (`h2c`) are plain requests. */
const isWebSocketRequest = (request: Request): boolean =>
  request.headers.get("upgrade")?.toLowerCase() === "websocket" && request.method === "GET"

/**
 * Reads the options, and makes the function that answers requests. `keepsLength`: bodies of streams
 * keep their `content-length` on this platform.
 */
export const makeRoute = Effect.fnUntraced(function* <Info extends RequestInfo, Answer>(
  engine: EngineServer,
  options: RouterOptions,
  upgrade: Upgrade<Info, Answer> | undefined,
  keepsLength = false
): Effect.fn.Return<Route<Info, Answer>, InvalidOptionError> {
  const path = yield* EnginePath.read(options.path)
  engine.routes.attach(path)
  const trust = readTrust(options.trustedProxies)
  if (typeof trust === "string") return yield* refuse("trustedProxies", trust)
  const maxHeld = yield* integer("maxHeldBytes", options.maxHeldBytes, MAX_HELD_BYTES, 1)
  const settings: ChannelSettings = { maxHeld, report: engine.report }

  const exchanges = { keepsLength, report: engine.report }
  const exchange = (request: WebRequest, handle: (exchange: WebExchange) => void): Promise<Response> => {
    const exchange = new WebExchange(request, engine.responseHeaders(request), exchanges)
    handle(exchange)
    return exchange.response
  }

  const connect = (request: WebRequest, info: Info): Promise<Response | Answer> => {
    const { promise, resolve } = Promise.withResolvers<Response | Answer>()
    const { signal } = request.request
    let giveUp = ignore
    const onAbort = () => {
      giveUp()
      resolve(new Response(null, { status: 400 }))
    }
    signal.addEventListener("abort", onAbort, { once: true })
    giveUp = engine.handleUpgrade(request, (decision) => {
      signal.removeEventListener("abort", onAbort)
      // The client has disconnected meanwhile.
      if (signal.aborted) return resolve(new Response(null, { status: 400 }))
      try {
        if (decision instanceof HandshakeError) return resolve(refusal(decision, engine.responseHeaders(request)))
        request.details()
        const { accept } = decision
        const guarded = (channel: WebSocketChannel) => {
          try {
            accept(channel)
          } catch (defect) {
            engine.report("a request for a WebSocket failed", defect)
            channel.terminate()
          }
        }
        const accepted = { headers: headersOf(decision.headers), accept: guarded }
        resolve(upgrade!(request.request, info, accepted, settings))
      } catch (defect) {
        engine.report("a request for a WebSocket failed", defect)
        resolve(new Response(null, { status: 500 }))
      }
    })
    return promise
  }

  return (request, info) => {
    const target = targetOf(request)
    const isBelow = EnginePath.isBelow(target, path)
    const other = isBelow ? undefined : engine.routes.find(target)
    if (!isBelow && other === undefined) return "other"
    const web = new WebRequest(request, target, info, trust)
    const run = (): Response | Promise<Response | Answer> => {
      try {
        if (other !== undefined) return exchange(web, (exchange) => other.answer(exchange, other.rest))
        if (!isWebSocketRequest(request)) return exchange(web, (exchange) => engine.handleRequest(exchange))
        if (upgrade !== undefined) return connect(web, info)
        return refusal(makeError(3, "this server has no WebSockets"), engine.responseHeaders(web))
      } catch (defect) {
        engine.report("a request failed", defect)
        return new Response(null, { status: 500 })
      }
    }
    if (!isBelow || !EnginePath.isOpening(target)) return run()
    return openInTurn(request, run) ?? refusal(tooMany(), engine.responseHeaders(web))
  }
})

const ignore = () => {}

const tooMany = (): HandshakeError => makeError(4, "too many openings wait", "Too many connections", 503)

/** Answers a request for a WebSocket that is refused, as in Node. */
const refusal = (error: HandshakeError, headers: EngineHeaders): Response =>
  new Response(error.message, {
    status: error.status ?? 400,
    headers: headersOf(headers, refusalHeaders(error), { connection: "close", "content-type": "text/html" })
  })
