/**
 * Takes over the requests of a path of an `http.Server`, before every other listener.
 *
 * This replaces the server's `emit`. Node calls all listeners of an event, and none of them can
 * keep a request from the others, so a listener of our own would leave each request with two
 * owners. engine.io removes the other listeners and calls them from its own. That works only for
 * listeners that exist by then: a `NodeHttpServer` or an Express application that is added later
 * would answer requests that are already answered, and one that removes its listener would not find
 * it. `emit` sees all listeners, in whatever order they come and leave. It costs a lookup in a set
 * of three names per event.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"

/**
 * Whether a request asks for a WebSocket. Other requests with an `Upgrade` header (`h2c` of Java's
 * HttpClient and of `curl --http2`) are plain requests: HTTP lets a server ignore unknown upgrades.
 */
export const isWebSocketRequest = ({ headers: { upgrade } }: IncomingMessage): boolean =>
  upgrade !== undefined && upgrade.toLowerCase() === "websocket"

/**
 * A listener that takes over a part of a server's requests. Its functions return whether they have
 * taken the request.
 */
export interface Interceptor {
  /** The path of the requests that it takes, with a slash at its end. */
  readonly path: string
  /** Whether it takes a request. */
  readonly owns: (request: IncomingMessage) => boolean
  /** `expectsContinue`: the peer waits for a `100 Continue` before it sends the body. */
  readonly request: (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => boolean
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => boolean
}

/**
 * Newer versions of Node call this for each request with an `Upgrade` header. If it returns false,
 * Node emits a plain request.
 */
type Upgrading = Server & { shouldUpgradeCallback?: (request: IncomingMessage) => boolean }

interface Interception {
  readonly interceptors: Set<Interceptor>
  readonly restore: () => void
}

/** The events with which Node announces a request. */
const REQUEST_EVENTS = new Set<string | symbol>(["request", "checkContinue", "checkExpectation"])

const interceptions = new WeakMap<Server, Interception>()

/**
 * Returns the path of an interceptor of this server that already takes the requests of the given
 * path.
 */
export const takenPath = (server: Server, path: string): string | undefined => {
  for (const interceptor of interceptions.get(server)?.interceptors ?? []) {
    if (path.startsWith(interceptor.path)) return interceptor.path
  }
  return undefined
}

/**
 * Puts an interceptor before every listener of the server, whether that was added before or comes
 * later. Requests that it does not take reach the others as if it did not exist. Returns the
 * function that removes it.
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
  const asks = (server as Upgrading).shouldUpgradeCallback !== undefined
  const restoreUpgrades = installUpgrades(server, interceptors)
  const emit = server.emit
  const intercepting = function (this: Server, event: string | symbol, ...args: Array<any>): boolean {
    if (REQUEST_EVENTS.has(event)) {
      for (const interceptor of interceptors) {
        if (interceptor.request(args[0], args[1], event === "checkContinue")) return true
      }
    } else if (event === "upgrade") {
      if (!asks && !isUpgrade(server, interceptors, args[0])) {
        bringAsRequest(server, args[0], args[1], args[2])
        return true
      }
      for (const interceptor of interceptors) if (interceptor.upgrade(args[0], args[1], args[2])) return true
    }
    return (emit as (...args: Array<any>) => boolean).call(this, event, ...args)
  }
  server.emit = intercepting as typeof server.emit
  return {
    interceptors,
    restore: () => {
      restoreUpgrades()
      // A function that has wrapped ours since then still calls it. Without interceptors it passes
      // every event on.
      if (server.emit === intercepting) server.emit = emit
    }
  }
}

/**
 * Whether a request with an `Upgrade` header is an upgrade: it asks for a WebSocket, or another
 * listener may want it.
 */
const isUpgrade = (server: Server, interceptors: ReadonlySet<Interceptor>, request: IncomingMessage): boolean => {
  if (isWebSocketRequest(request)) return true
  for (const interceptor of interceptors) if (interceptor.owns(request)) return false
  // Each interceptor has one listener.
  return server.listenerCount("upgrade") > interceptors.size
}

/**
 * Makes Node announce only upgrades as such. Without another listener for upgrades, the rest are
 * plain requests, as they are without this library.
 */
const installUpgrades = (server: Upgrading, interceptors: ReadonlySet<Interceptor>): (() => void) => {
  const { shouldUpgradeCallback } = server
  if (shouldUpgradeCallback === undefined) return () => {}
  const shouldUpgrade = function (this: Server, request: IncomingMessage): boolean {
    return isUpgrade(server, interceptors, request) && shouldUpgradeCallback.call(this, request)
  }
  server.shouldUpgradeCallback = shouldUpgrade
  return () => {
    if (server.shouldUpgradeCallback === shouldUpgrade) server.shouldUpgradeCallback = shouldUpgradeCallback
  }
}

/**
 * Hands a connection back to an older version of Node, with the request as if it had no `Upgrade`
 * header.
 */
const bringAsRequest = (server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void => {
  // Node would never answer a second request while an earlier one of the connection has no
  // response.
  if ((socket as Duplex & { _httpMessage?: unknown })._httpMessage) return void socket.destroy()
  const { httpVersion, method, rawHeaders, url } = request
  let lines = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.toLowerCase() !== "upgrade") lines += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`
  }
  if (head.length > 0) socket.unshift(head)
  socket.unshift(Buffer.from(`${lines}\r\n`, "latin1"))
  server.emit("encrypted" in socket ? "secureConnection" : "connection", socket)
}
