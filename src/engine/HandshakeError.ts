/**
 * Requests that the engine refuses.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

import type { HttpExchange } from "./EngineRequest.ts"

/**
 * The codes of Engine.IO's error responses.
 *
 * @since 0.1.0
 * @category models
 */
export type HandshakeErrorCode = 0 | 1 | 2 | 3 | 4 | 5

const messages: Record<HandshakeErrorCode, string> = {
  0: "Transport unknown",
  1: "Session ID unknown",
  2: "Bad handshake method",
  3: "Bad request",
  4: "Forbidden",
  5: "Unsupported protocol version"
}

/**
 * A request that the engine refuses: answered with status 400 (403 for code 4) and
 * `{"code":…,"message":"…"}` over HTTP, and with a plain 400 response before any upgrade; with
 * `status`, if there is one, over both.
 *
 * `context` says more than the client is told, for logs.
 *
 * @since 0.1.0
 * @category errors
 */
export class HandshakeError extends Data.TaggedError("HandshakeError")<{
  readonly code: HandshakeErrorCode
  readonly message: string
  readonly context: string
  readonly status?: 403 | 503
}> {}

/**
 * The failure of `allowRequest` that refuses a request: the client is told the message.
 *
 * @since 0.1.0
 * @category errors
 */
export class RequestForbidden extends Data.TaggedError("RequestForbidden")<{ readonly message: string }> {}

/**
 * Makes a {@link HandshakeError}, with the code's standard message unless another is given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  code: HandshakeErrorCode,
  context: string,
  message: string = messages[code],
  status?: 403 | 503
): HandshakeError => new HandshakeError({ code, message, context, ...(status === undefined ? {} : { status }) })

/**
 * Headers of the response that refuses: a server that is full tells when to come again. Official
 * clients come by themselves.
 *
 * @since 0.1.0
 * @category getters
 */
export const headersOf = ({ status }: HandshakeError): Readonly<Record<string, string>> =>
  status === 503 ? FULL : NONE

/**
 * Answers a request that the engine refuses.
 *
 * @since 0.1.0
 * @category combinators
 */
export const respond = (exchange: HttpExchange, error: HandshakeError): void => {
  exchange.respond(
    error.status ?? (error.code === 4 ? 403 : 400),
    { "content-type": "application/json", ...headersOf(error) },
    JSON.stringify({ code: error.code, message: error.message })
  )
}

/** In seconds; official clients take one to five between their attempts. */
const FULL = { "retry-after": "5" }

const NONE = {}
