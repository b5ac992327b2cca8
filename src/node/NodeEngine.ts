/**
 * Brings the requests of a Node `http.Server` to an Engine.IO server.
 *
 * @since 0.1.0
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { WebSocketServer } from "ws"

import type { EngineServer } from "../engine/EngineServer.ts"
import { HandshakeError } from "../engine/HandshakeError.ts"
import { InvalidOptionError } from "../SocketIoError.ts"
import { clientFiles } from "./internal/clientFiles.ts"
import { intercept, type Interceptor } from "./internal/listeners.ts"
import { NodeExchange, NodeRequest } from "./internal/nodeRequest.ts"
import { NodeWebSocketChannel } from "./internal/webSocketChannel.ts"

/**
 * Where the engine stands on its HTTP server.
 *
 * @since 0.1.0
 * @category options
 */
export interface AttachOptions {
  /** The path that the engine takes over, with or without a trailing slash. Default: `/socket.io`. */
  readonly path?: string
  /**
   * Whether to end upgrades of other paths that nobody has answered within a second, rather than to let their connections
   * hang. Default: true. Servers on which somebody else listens for upgrades are left alone in any case.
   */
  readonly destroyUpgrade?: boolean
  /**
   * Whether to serve the browser builds of the official client below the path, as in
   * `<script src="/socket.io/socket.io.js">`: those of the `socket.io-client` that is installed, looked for from the working
   * directory and then from this library when the first request comes. Without it such requests are answered with 404.
   * Default: true.
   */
  readonly serveClient?: boolean
}

/** How long an upgrade that is not ours may stay unanswered, in milliseconds. */
const DESTROY_UPGRADE_TIMEOUT = 1_000

/**
 * Takes over the requests and upgrades of a path of a Node `http.Server`, for the lifetime of the scope. Every other
 * request reaches the server's other listeners, whether these were added before or come later. The server itself is left
 * to its owner: it is neither started nor closed here.
 *
 * @since 0.1.0
 * @category constructors
 */
export const attach = Effect.fnUntraced(function* (
  engine: EngineServer,
  server: Server,
  options: AttachOptions = {}
): Effect.fn.Return<void, InvalidOptionError, Scope.Scope> {
  const path = (options.path ?? "/socket.io").replace(/\/+$/, "") + "/"
  if (!path.startsWith("/")) {
    return yield* new InvalidOptionError({ option: "path", problem: `must start with "/", unlike "${options.path}"` })
  }
  const ws = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: engine.options.maxPayload
  })
  const serveFile = options.serveClient === false ? undefined : clientFiles(engine, path)
  const interceptor: Interceptor = {
    request: (request, response) => {
      if (!isBelow(request.url, path)) return false
      if (serveFile?.(request, response) !== true) onRequest(engine, request, response)
      return true
    },
    upgrade: (request, socket, head) => {
      if (!isBelow(request.url, path)) return false
      onUpgrade(engine, ws, request, socket, head)
      return true
    }
  }
  // Node brings upgrades only where somebody listens for them.
  const onForeignUpgrade = (_request: IncomingMessage, socket: Duplex) => {
    if (options.destroyUpgrade === false || server.listenerCount("upgrade") > 1) return
    socket.on("error", ignore)
    const timer = setTimeout(() => {
      if (socket.writable && (socket as Duplex & { bytesWritten?: number }).bytesWritten === 0) socket.end()
    }, DESTROY_UPGRADE_TIMEOUT)
    socket.once("close", () => clearTimeout(timer))
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      server.on("upgrade", onForeignUpgrade)
      return intercept(server, interceptor)
    }),
    (release) =>
      Effect.sync(() => {
        release()
        server.off("upgrade", onForeignUpgrade)
      })
  )
  // Before the path is given back: clients that poll come once more to learn that it is over.
  yield* Effect.addFinalizer(() => engine.drain)
})

/** Whether a request's target is the path or stands below it. `/socket.io` counts as `/socket.io/`. */
const isBelow = (url: string | undefined, path: string): boolean =>
  url !== undefined &&
  (url.startsWith(path) || (url.startsWith(path.slice(0, -1)) && url.charCodeAt(path.length - 1) === 63))

const onRequest = (engine: EngineServer, incoming: IncomingMessage, response: ServerResponse): void => {
  const request = new NodeRequest(incoming)
  engine.handleRequest(new NodeExchange(request, incoming, response, engine.corsHeaders(request)))
}

const onUpgrade = (
  engine: EngineServer,
  ws: WebSocketServer,
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer
): void => {
  // A peer that resets the connection meanwhile must not take the process with it.
  socket.on("error", ignore)
  const accept = engine.handleUpgrade(new NodeRequest(incoming))
  if (accept instanceof HandshakeError) return refuseUpgrade(socket, accept)
  ws.handleUpgrade(incoming, socket, head, (webSocket) => {
    socket.off("error", ignore)
    const channel = new NodeWebSocketChannel(webSocket, socket)
    channel.listen()
    accept(channel)
  })
}

const ignore = () => {}

const refuseUpgrade = (socket: Duplex, error: HandshakeError): void => {
  const body = error.message
  socket.once("finish", () => socket.destroy())
  socket.end(
    "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/html\r\n" +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  )
}
