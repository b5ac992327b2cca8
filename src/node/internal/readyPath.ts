import type { IncomingMessage, RequestListener } from "node:http"
import * as Effect from "effect/Effect"

import { refuse } from "../../engine/OptionReaders.ts"
import type { InvalidOptionError } from "../../SocketIoError.ts"

/** Answers requests for a path with the readiness of a server. */
export interface ReadyPath {
  readonly owns: (request: IncomingMessage) => boolean
  readonly answer: RequestListener
}

/** Refuses a path that is none, or that is the engine's (`enginePath` has a slash at its end). */
export const readyPathOf = (
  path: string,
  enginePath: string,
  engine: { readonly isReady: boolean }
): Effect.Effect<ReadyPath, InvalidOptionError> => {
  if (typeof path !== "string" || !/^\/[^?#\s]*$/.test(path)) {
    return refuse("readyPath", `must start with "/", and be without query, fragment and spaces, unlike "${path}"`)
  }
  if (`${path}/`.startsWith(enginePath)) return refuse("readyPath", `must not be below "${enginePath}"`)
  return Effect.succeed({
    owns: ({ url = "" }) => url.startsWith(path) && (url.length === path.length || url[path.length] === "?"),
    answer: ({ method }, response) => {
      const body = engine.isReady ? "ready" : "draining"
      const isRead = method === "GET" || method === "HEAD"
      response.writeHead(!isRead ? 405 : engine.isReady ? 200 : 503, {
        "content-type": "text/plain",
        "content-length": Buffer.byteLength(body),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff"
      })
      response.end(body)
    }
  })
}
