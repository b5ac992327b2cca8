import type { HttpExchange } from "../EngineRequest.ts"
import type { HandshakeError } from "../HandshakeError.ts"

/** Answers a request that the engine refuses. */
export const refuse = (exchange: HttpExchange, error: HandshakeError): void => {
  exchange.respond(
    error.code === 4 ? 403 : 400,
    { "content-type": "application/json" },
    JSON.stringify({ code: error.code, message: error.message })
  )
}
