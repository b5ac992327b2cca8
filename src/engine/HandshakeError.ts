/**
 * Errors of requests that the engine refuses.
 *
 * @since 0.1.0
 */

import type { HttpExchange } from "./EngineRequest.ts"
import { TaggedError } from "../SocketIoError.ts"

/**
 * The codes of Engine.IO's error responses.
 *
 * @since 0.1.0
 * @category models
 */
export type HandshakeErrorCode = 0 | 1 | 2 | 3 | 4 | 5

/**
 * The reasons for a refusal: the codes by name.
 *
 * - `TransportUnknown` (0): the server does not have the transport.
 * - `SessionUnknown` (1): there is no session with that id, or it has ended.
 * - `BadMethod` (2): a connection was not opened with GET.
 * - `BadRequest` (3): the request breaks the protocol.
 * - `Forbidden` (4): `allowRequest`, an origin or a limit refuses it, or the server shuts down.
 * - `UnsupportedVersion` (5): the server does not speak that revision of Engine.IO.
 *
 * @since 0.1.0
 * @category models
 */
export type HandshakeErrorReason =
  | { readonly _tag: "TransportUnknown" }
  | { readonly _tag: "SessionUnknown" }
  | { readonly _tag: "BadMethod" }
  | { readonly _tag: "BadRequest" }
  | { readonly _tag: "Forbidden" }
  | { readonly _tag: "UnsupportedVersion" }

const reasons: Record<HandshakeErrorCode, HandshakeErrorReason> = {
  0: { _tag: "TransportUnknown" },
  1: { _tag: "SessionUnknown" },
  2: { _tag: "BadMethod" },
  3: { _tag: "BadRequest" },
  4: { _tag: "Forbidden" },
  5: { _tag: "UnsupportedVersion" }
}

const messages: Record<HandshakeErrorCode, string> = {
  0: "Transport unknown",
  1: "Session ID unknown",
  2: "Bad handshake method",
  3: "Bad request",
  4: "Forbidden",
  5: "Unsupported protocol version"
}

/**
 * The engine refuses a request. Over HTTP it is answered with status 400 (403 for code 4) and
 * `{"code":…,"message":"…"}`; a refused upgrade is answered with a plain 400 response. `status`, if
 * it is set, replaces the status of both.
 *
 * `code` is the number on the wire. `reason` is the same as a tagged value, for
 * `Effect.catchReason`. `context` has more details than the client gets, for logs.
 *
 * @since 0.1.0
 * @category errors
 */
export class HandshakeError extends TaggedError("HandshakeError")<{
  readonly code: HandshakeErrorCode
  readonly message: string
  readonly context: string
  readonly status?: 403 | 503
}> {
  get reason(): HandshakeErrorReason {
    return reasons[this.code]
  }
}

/**
 * The failure with which `allowRequest` refuses a request. The client gets its message.
 *
 * @since 0.1.0
 * @category errors
 */
export class RequestForbidden extends TaggedError("RequestForbidden")<{ readonly message: string }> {}

/**
 * Makes a {@link HandshakeError}. Default for its message: the code's standard message.
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
 * Returns headers for a refusal: a full server tells when to try again. Official clients try again
 * by themselves.
 *
 * @since 0.1.0
 * @category getters
 */
export const headersOf = ({ status }: HandshakeError): Readonly<Record<string, string>> =>
  status === 503 ? FULL : NONE

/**
 * Answers a refused request.
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
