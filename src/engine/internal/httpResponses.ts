import type { HttpExchange } from "../EngineRequest.ts"
import { type HandshakeError, headersOf } from "../HandshakeError.ts"

/** Answers a request that the engine refuses. */
export const refuse = (exchange: HttpExchange, error: HandshakeError): void => {
  exchange.respond(
    error.status ?? (error.code === 4 ? 403 : 400),
    { "content-type": "application/json", ...headersOf(error) },
    JSON.stringify({ code: error.code, message: error.message })
  )
}
