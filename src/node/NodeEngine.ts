/**
 * Brings the requests of a Node `http.Server` to an Engine.IO server.
 *
 * @since 0.1.0
 */
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import * as Zlib from "node:zlib"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import { type PerMessageDeflateOptions, WebSocketServer } from "ws"

import * as EnginePath from "../engine/EnginePath.ts"
import { readTrust, type Trust } from "../engine/TrustedProxies.ts"
import { flag, group, integer, millis, type Names, refuse } from "../engine/OptionReaders.ts"
import type { EngineRequest } from "../engine/EngineRequest.ts"
import type { EngineServer, UpgradeDecision } from "../engine/EngineServer.ts"
import { HandshakeError, headersOf } from "../engine/HandshakeError.ts"
import type { Route } from "../engine/Routes.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { clientFiles } from "./internal/clientFiles.ts"
import { intercept, type Interceptor, takenPath } from "./internal/listeners.ts"
import type { ExchangeSettings } from "./internal/exchange.ts"
import { NodeExchange, NodeRequest } from "./internal/nodeRequest.ts"
import * as Openings from "../internal/openings.ts"
import * as Pipeline from "./internal/pipeline.ts"
import { ownerOf } from "./internal/routing/owner.ts"
import type { Origin } from "./internal/routing/passing.ts"
import { atTurnEnd, endTurn } from "../internal/turn.ts"
import { type ChannelSettings, NodeWebSocketChannel, Peer } from "./internal/webSocketChannel.ts"
import { NodeSessionRouting, type SessionRouting } from "./NodeSessionRouting.ts"

/**
 * Options of an engine in an HTTP server.
 *
 * @since 0.1.0
 * @category options
 */
export interface AttachOptions {
  /**
   * The path that the engine serves, with or without a trailing slash. Default: `/socket.io`.
   */
  readonly path?: string
  /** Settings of long-polling. */
  readonly polling?: PollingOptions
  /** Settings of WebSockets. */
  readonly webSocket?: WebSocketOptions
  /** Upgrades of other paths: requests for WebSockets of somebody else. */
  readonly foreignUpgrades?: ForeignUpgradeOptions
  /**
   * Whether to serve the browser builds of the official client below the path, as in
   * `<script src="/socket.io/socket.io.js">`. They come from the installed `socket.io-client`. When
   * the first request comes, the server looks for it from the working directory, and then from this
   * library. If it is not installed, such requests are answered with 404. Default: true.
   */
  readonly serveClient?: boolean
  /**
   * The proxies whose `X-Forwarded-For` is trusted: their number between a client and this server,
   * or their addresses and ranges (`10.0.0.0/8`, `fd00::/8`). The client's address is then the one
   * that the outermost trusted proxy has added, read from the end; other entries are not believed.
   * It is `handshake.address`, and counts for `limits.maxConnectionsPerAddress`. An entry that is
   * no address ends the search: the address is the last trusted one. With a number, every way to
   * this server must lead through that many proxies.
   *
   * Default: none; the address is the peer's.
   */
  readonly trustedProxies?: number | ReadonlyArray<string>
  /**
   * Whether each session keeps the Node request that opened it, for `NodeSocketIoServer.requestOf`.
   * This costs memory for every connection: some kilobytes, and everything that middleware has put
   * on the request. Default: false.
   */
  readonly keepRequests?: boolean
}

/**
 * Settings of long-polling in Node.
 *
 * @since 0.1.0
 * @category options
 */
export interface PollingOptions {
  /**
   * Compression of responses with gzip or deflate, for clients that accept it. Default: true, for
   * responses of at least 1,024 bytes.
   */
  readonly compression?: boolean | CompressionOptions
}

/**
 * When responses are compressed.
 *
 * @since 0.1.0
 * @category options
 */
export interface CompressionOptions {
  /** The size in bytes from which responses are compressed. Default: 1,024. At least 0. */
  readonly threshold?: number
}

/**
 * Settings of WebSockets in Node.
 *
 * @since 0.1.0
 * @category options
 */
export interface WebSocketOptions {
  /**
   * Compression of messages (RFC 7692), for clients that offer it: `true` compresses messages of at
   * least 1,024 bytes, an object has settings for `ws`. It costs time and memory: zlib holds some
   * 300 KB per connection unless the context takeover is off. Default: false.
   */
  readonly perMessageDeflate?: boolean | PerMessageDeflateOptions
}

/**
 * The treatment of WebSocket upgrades of other paths. If nothing answers them, they would keep
 * their connections forever. Servers with another listener for upgrades are left alone. An upgrade
 * to another protocol, such as `h2c`, is treated as a plain request where nothing else listens for
 * upgrades.
 *
 * @since 0.1.0
 * @category options
 */
export interface ForeignUpgradeOptions {
  /** Whether to end upgrades that have no answer after `timeout`. Default: true. */
  readonly destroy?: boolean
  /** The time for an answer. Default: 1 second. At least 0. */
  readonly timeout?: Duration.Input
}

/**
 * The names of {@link AttachOptions}.
 *
 * @internal
 */
export const ATTACH_OPTIONS: Names<AttachOptions> = {
  path: true,
  polling: true,
  webSocket: true,
  foreignUpgrades: true,
  serveClient: true,
  trustedProxies: true,
  keepRequests: true
}

const POLLING: Names<PollingOptions> = { compression: true }

const COMPRESSION: Names<CompressionOptions> = { threshold: true }

const WEB_SOCKET: Names<WebSocketOptions> = { perMessageDeflate: true }

const FOREIGN_UPGRADES: Names<ForeignUpgradeOptions> = { destroy: true, timeout: true }

/** Refuses a setting that is neither a switch nor an object of settings. */
const switchOrSettings = (option: string, value: unknown): Effect.Effect<void, InvalidOptionError> =>
  typeof value === "boolean" || (typeof value === "object" && value !== null)
    ? Effect.void
    : refuse(option, `must be true, false or an object of settings, not ${String(value)}`)

/**
 * Serves the requests and upgrades of one path of a Node `http.Server`, for the lifetime of the
 * scope. Every other request reaches the server's other listeners, whether they were added before
 * or come later. The owner starts and closes the server.
 *
 * Fails with {@link InvalidOptionError} if another engine of the same server has the path, or a
 * path above it.
 *
 * **Details**
 *
 * Applications with namespaces do not need this: `NodeSocketIoServer` attaches the engine of its
 * server. It is for an Engine.IO server without Socket.IO, made by `EngineServer.run`.
 *
 * **Example** (An Engine.IO server on its own)
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 * import { EngineServer } from "effect-socket.io/engine"
 * import { NodeEngine } from "effect-socket.io/node"
 * import * as Http from "node:http"
 *
 * const echo = Effect.gen(function* () {
 *   const engine = yield* EngineServer.run({}, (session) => Stream.run(session.messages(), session.sink))
 *   const server = Http.createServer()
 *   yield* NodeEngine.attach(engine, server, { path: "/engine.io" })
 *   server.listen(3000)
 *   return yield* Effect.never
 * })
 *
 * Effect.runFork(Effect.scoped(echo))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const attach = Effect.fnUntraced(function* (
  engine: EngineServer,
  server: Server,
  options: AttachOptions = {}
): Effect.fn.Return<void, InvalidOptionError, Scope.Scope> {
  yield* group("", options, ATTACH_OPTIONS)
  const polling = yield* group("polling", options.polling, POLLING)
  const webSocket = yield* group("webSocket", options.webSocket, WEB_SOCKET)
  const foreignUpgrades = yield* group("foreignUpgrades", options.foreignUpgrades, FOREIGN_UPGRADES)
  const path = yield* EnginePath.read(options.path)
  const trust = readTrust(options.trustedProxies)
  if (typeof trust === "string") return yield* refuse("trustedProxies", trust)
  const { compression = true } = polling
  const { perMessageDeflate = false } = webSocket
  const destroysUpgrades = yield* flag("foreignUpgrades.destroy", foreignUpgrades.destroy, true)
  const destroyTimeout = yield* millis("foreignUpgrades.timeout", foreignUpgrades.timeout, 1_000, 0)
  const servesClient = yield* flag("serveClient", options.serveClient, true)
  const keepRequests = yield* flag("keepRequests", options.keepRequests, false)
  yield* switchOrSettings("polling.compression", compression)
  yield* switchOrSettings("webSocket.perMessageDeflate", perMessageDeflate)
  const { threshold: least } = yield* group(
    "polling.compression",
    typeof compression === "object" ? compression : undefined,
    COMPRESSION
  )
  const threshold = yield* integer("polling.compression.threshold", least, 1_024, 0)
  const deflate = typeof perMessageDeflate === "object" ? perMessageDeflate : {}
  const deflateThreshold = yield* integer("webSocket.perMessageDeflate.threshold", deflate.threshold, 1_024, 0)
  const ws = yield* Effect.try({
    try: () => {
      checkDeflate(deflate)
      return new WebSocketServer({
        noServer: true,
        WebSocket: Peer,
        clientTracking: false,
        perMessageDeflate: perMessageDeflate !== false && { ...deflate, threshold: deflateThreshold },
        maxPayload: engine.options.maxPayload,
        // A fragment of one byte may keep its whole read in memory. Fragments of browsers have many
        // kilobytes.
        maxFragments: 256 + Math.ceil(engine.options.maxPayload / 1_024),
        // A read is at least one packet of the network, unless a peer writes byte by byte.
        maxBufferedChunks: 1_024 + Math.ceil(engine.options.maxPayload / 64)
      })
    },
    catch: (cause) => refuse("webSocket.perMessageDeflate", String(cause))
  })
  ws.on("headers", (lines, request) => {
    const headers = upgradeHeaders.get(request)
    // A table that has grown with the connections would stay that large.
    upgradeHeaders.delete(request)
    for (const name in headers) for (const value of [headers[name]!].flat()) lines.push(`${name}: ${value}`)
  })
  ws.on("wsClientError", (error, socket, request) => {
    const problem = new HandshakeError({ code: 3, message: error.message, context: "not a WebSocket" })
    const headers = { ...engine.responseHeaders(new NodeRequest(request)), "sec-websocket-version": "13, 8" }
    refuseUpgrade(socket, problem, headers)
  })
  const { report } = engine
  const context: Context = {
    engine,
    ws,
    trust,
    keepRequests,
    exchanges: { threshold: compression === false ? Infinity : threshold, report },
    channels: { threshold: deflateThreshold, report }
  }
  const serveFile = servesClient ? clientFiles(engine, path) : undefined
  const routing = yield* NodeSessionRouting
  const router = routing && (yield* join(context, routing))
  const handle = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => {
    // The connection may have ended while the request was waiting.
    if (response.destroyed) return
    try {
      if (serveFile?.(request, response) !== true) onRequest(context, request, response)
      if (expectsContinue && !response.headersSent) response.writeContinue()
    } catch (defect) {
      report("a request failed", defect)
      response.destroy()
    }
  }
  const interceptor: Interceptor = {
    path,
    owns: ({ url }) => EnginePath.isBelow(url, path) || engine.routes.find(url) !== undefined,
    request: (request, response, expectsContinue) => {
      if (!EnginePath.isBelow(request.url, path)) {
        const route = engine.routes.find(request.url)
        if (route === undefined) return false
        onRoute(context, route, request, response)
        return true
      }
      const run = () => {
        const tag = router?.foreignTag(request)
        if (tag === undefined) return handle(request, response, expectsContinue)
        if (response.destroyed) return
        const answer = () => handle(request, response, false)
        router!.passRequest(tag, request, response, originOf(request, trust), answer)
        if (expectsContinue && !response.headersSent) response.writeContinue()
      }
      Pipeline.take(request.socket, EnginePath.isOpening(request.url) ? () => Openings.take(request.socket, run) : run)
      return true
    },
    upgrade: (request, socket, head) => {
      if (!EnginePath.isBelow(request.url, path)) return false
      // Earlier requests are still unanswered, and their responses would be mixed into the frames.
      if (Pipeline.isWaiting(socket)) socket.destroy()
      else {
        // Without a listener, a reset of the connection would end the process.
        socket.on("error", ignore)
        const run = () =>
          guarded(context, socket, () => {
            const engineRequest = new NodeRequest(request, trust, keepRequests)
            onUpgrade(context, engineRequest, request, socket, head)
          })
        const tag = router?.foreignTag(request)
        // It would have to move at once. A balancer asks another server.
        const refusal = tag === undefined ? undefined : engine.leavingError
        if (refusal !== undefined)
          refuseUpgrade(socket, refusal, engine.responseHeaders(new NodeRequest(request, trust)))
        else if (tag !== undefined) router!.passUpgrade(tag, request, socket, head, originOf(request, trust), run)
        else if (EnginePath.isOpening(request.url)) Openings.take(socket, run)
        else run()
      }
      return true
    }
  }
  // Upgrades of other paths that wait for an answer. They end with the scope.
  const awaitAnswer = yield* FiberSet.makeRuntime<never>()
  // Node brings upgrades only where there is a listener for them.
  const onForeignUpgrade = (_request: IncomingMessage, socket: Duplex) => {
    if (server.listenerCount("upgrade") > 1) return
    // Without a listener, a reset of the connection would end the process.
    socket.on("error", ignore)
    if (!destroysUpgrades) return
    const expire = Effect.sync(() => {
      // `end` alone is not enough: a connection that is not read does not notice that the peer has
      // closed it.
      if ((socket as Duplex & { bytesWritten?: number }).bytesWritten === 0) socket.destroy()
    })
    awaitAnswer(Effect.ensuring(Effect.raceFirst(Effect.sleep(destroyTimeout), closed(socket)), expire))
  }
  yield* Effect.acquireRelease(
    Effect.suspend(() => {
      const taken = takenPath(server, path)
      if (taken !== undefined) {
        const problem = `"${path}" is taken: another server is attached to this http.Server at "${taken}"`
        return refuse("path", problem)
      }
      engine.routes.attach(path)
      server.on("upgrade", onForeignUpgrade)
      return Effect.succeed(intercept(server, interceptor))
    }),
    (release) =>
      Effect.sync(() => {
        release()
        server.off("upgrade", onForeignUpgrade)
      })
  )
  if (router !== undefined) {
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        Effect.timeoutOption(router.idle, Math.min(engine.drainTimeLeft(), MAX_LAST)),
        // An `http.Server` that closes waits for them.
        Effect.sync(() => router.closePipes())
      )
    )
    yield* Effect.forkScoped(
      Effect.andThen(
        engine.draining,
        Effect.sync(() => router.beginClosing())
      ),
      {
        startImmediately: true
      }
    )
  }
  // Drains before the path is given back: clients that poll come once more to learn of the end.
  yield* Effect.addFinalizer(() => Effect.andThen(engine.drain, Effect.sync(endTurn)))
})

/** The time for responses that are passed on, after the sessions of this server have ended. */
const MAX_LAST = 1_000

/** Takes the requests that other servers pass on, and begins to pass on theirs. */
const join = Effect.fnUntraced(function* (context: Context, routing: SessionRouting) {
  const { engine, exchanges } = context
  if (engine.options.generateId !== undefined) {
    return yield* refuse("handshake.generateId", "cannot be used with session routing: the ids name their server")
  }
  const upgrade = (request: EngineRequest, incoming: IncomingMessage, socket: Duplex, head: Buffer) =>
    guarded(context, socket, () => onUpgrade(context, request, incoming, socket, head))
  const router = yield* routing.bind(ownerOf(engine, exchanges, upgrade))
  router.onPipe = engine.addPassing
  engine.tagSessions(routing.tag)
  return router
})

/** The client of a request, for the server to which it is passed on. */
const originOf = (request: IncomingMessage, trust: Trust | undefined): Origin => {
  const { address, secure } = new NodeRequest(request, trust)
  return { address, secure }
}

interface Context {
  readonly engine: EngineServer
  readonly ws: WebSocketServer
  readonly trust: Trust | undefined
  readonly keepRequests: boolean
  readonly exchanges: ExchangeSettings
  readonly channels: ChannelSettings
}

/** Throws for settings for which `ws` would throw at its first compression. */
const checkDeflate = (options: PerMessageDeflateOptions): void => {
  const { clientMaxWindowBits, serverMaxWindowBits, zlibDeflateOptions, zlibInflateOptions } = options
  Zlib.createDeflateRaw({ ...(zlibDeflateOptions as Zlib.ZlibOptions), ...windowBits(serverMaxWindowBits) }).close()
  Zlib.createInflateRaw({ ...(zlibInflateOptions as Zlib.ZlibOptions), ...windowBits(clientMaxWindowBits) }).close()
}

const windowBits = (bits: unknown): Zlib.ZlibOptions => (typeof bits === "number" ? { windowBits: bits } : {})

/** The headers of the response to an upgrade. */
const upgradeHeaders = new WeakMap<IncomingMessage, Readonly<Record<string, string | Array<string>>>>()

const onRequest = (
  { engine, exchanges, keepRequests, trust }: Context,
  incoming: IncomingMessage,
  response: ServerResponse
): void => {
  const request = new NodeRequest(incoming, trust, keepRequests)
  engine.handleRequest(new NodeExchange(request, incoming, response, engine.responseHeaders(request), exchanges))
}

/** Answers a request for a path beside the engine's. */
const onRoute = (
  { engine, exchanges, trust }: Context,
  { answer, rest }: Route,
  incoming: IncomingMessage,
  response: ServerResponse
): void => {
  const request = new NodeRequest(incoming, trust)
  try {
    answer(new NodeExchange(request, incoming, response, engine.responseHeaders(request), exchanges), rest)
  } catch (defect) {
    engine.report("a request for another path failed", defect)
    response.destroy()
  }
}

/** Runs a step of the opening of a WebSocket. An error ends the connection. */
const guarded = ({ engine }: Context, socket: Duplex, run: () => void): void => {
  try {
    run()
  } catch (defect) {
    engine.report("a request for a WebSocket failed", defect)
    socket.destroy()
  }
}

/**
 * The bytes that a client may send before its WebSocket is open. RFC 6455 allows none, so this is
 * generous.
 */
const MAX_EARLY = 16 * 1024

const onUpgrade = (
  context: Context,
  request: EngineRequest,
  incoming: IncomingMessage,
  socket: Duplex,
  head: Buffer
): void => {
  const { channels, engine, ws } = context
  let early = head
  let decided = false
  let unwatch = ignore
  const decide = (decision: UpgradeDecision) => {
    decided = true
    unwatch()
    if (socket.destroyed) return
    if (decision instanceof HandshakeError) return refuseUpgrade(socket, decision, engine.responseHeaders(request))
    if (decision.headers !== undefined) upgradeHeaders.set(incoming, decision.headers)
    // The response and the first packet leave together.
    socket.cork()
    ws.handleUpgrade(incoming, socket, early, (webSocket) => {
      socket.off("error", ignore)
      const channel = new NodeWebSocketChannel(webSocket, socket, channels)
      channel.listen()
      decision.accept(channel)
    })
    atTurnEnd({ onTurnEnd: () => socket.uncork(), onDefect: () => socket.destroy() })
  }
  const giveUp = engine.handleUpgrade(request, (decision) => guarded(context, socket, () => decide(decision)))
  if (decided) return
  // The application may decide slowly. The connection must be read to notice that the peer has
  // closed it.
  const onData = (chunk: Buffer) => {
    early = Buffer.concat([early, chunk])
    if (early.length > MAX_EARLY) socket.destroy()
  }
  const onEnd = () => socket.destroy()
  socket.on("data", onData).on("end", onEnd).on("close", giveUp)
  unwatch = () => socket.off("data", onData).off("end", onEnd).off("close", giveUp)
}

const ignore = () => {}

// A process that exits ends no more turns, but Node still writes to its sockets.
process.on("exit", endTurn)

/** Waits until a connection is closed. */
const closed = (socket: Duplex): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const onClose = () => resume(Effect.void)
    socket.once("close", onClose)
    return Effect.sync(() => socket.off("close", onClose))
  })

const refuseUpgrade = (
  socket: Duplex,
  error: HandshakeError,
  headers: Readonly<Record<string, string | Array<string>>>
): void => {
  const body = error.message
  const all: Record<string, string | number | Array<string>> = {
    ...headers,
    ...headersOf(error),
    connection: "close",
    "content-type": "text/html",
    "content-length": Buffer.byteLength(body)
  }
  const status = error.status ?? 400
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status]}`]
  for (const name in all) for (const value of [all[name]!].flat()) lines.push(`${name}: ${value}`)
  socket.once("finish", () => socket.destroy())
  socket.end(`${lines.join("\r\n")}\r\n\r\n${body}`)
}
