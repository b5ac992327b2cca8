import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"

/** What takes over a part of a server's requests. Each says whether the request was its own. */
export interface Interceptor {
  /** What it takes over, with a slash at its end. */
  readonly path: string
  /** `expectsContinue`: the peer sends the body when it is told to. */
  readonly request: (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => boolean
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean
}

interface Interception {
  readonly interceptors: Set<Interceptor>
  readonly restore: () => void
}

/** The events by which Node brings a request. */
const REQUEST_EVENTS = new Set<string | symbol>(["request", "checkContinue", "checkExpectation"])

const interceptions = new WeakMap<Server, Interception>()

/** The path of an interceptor of the server that would take what is for this path. */
export const takenPath = (server: Server, path: string): string | undefined => {
  for (const interceptor of interceptions.get(server)?.interceptors ?? []) {
    if (path.startsWith(interceptor.path)) return interceptor.path
  }
  return undefined
}

/**
 * Puts an interceptor before every listener of the server, whether that was added before or comes later: requests that are
 * not its own reach the others as if it was not there. Gives the function that takes it away.
 */
export const intercept = (server: Server, interceptor: Interceptor): (() => void) => {
  let interception = interceptions.get(server)
  if (interception === undefined) interceptions.set(server, (interception = install(server)))
  const { interceptors, restore } = interception
  interceptors.add(interceptor)
  return () => {
    if (!interceptors.delete(interceptor) || interceptors.size > 0) return
    restore()
    interceptions.delete(server)
  }
}

const install = (server: Server): Interception => {
  const interceptors = new Set<Interceptor>()
  const emit = server.emit
  const intercepting = function (this: Server, event: string | symbol, ...args: Array<any>): boolean {
    if (REQUEST_EVENTS.has(event)) {
      for (const interceptor of interceptors) {
        if (interceptor.request(args[0], args[1], event === "checkContinue")) return true
      }
    } else if (event === "upgrade") {
      for (const interceptor of interceptors) if (interceptor.upgrade(args[0], args[1], args[2])) return true
    }
    return (emit as (...args: Array<any>) => boolean).call(this, event, ...args)
  }
  server.emit = intercepting as typeof server.emit
  return {
    interceptors,
    restore: () => {
      // Whoever wrapped it after us still calls ours, which then passes everything on.
      if (server.emit === intercepting) server.emit = emit
    }
  }
}
