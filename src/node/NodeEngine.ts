/**
 * Brings the requests of a Node `http.Server` to an Engine.IO server.
 *
 * @since 0.1.0
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import * as EnginePath from "../engine/EnginePath.ts"
import type { EngineRequest } from "../engine/EngineRequest.ts"
import type { EngineServer } from "../engine/EngineServer.ts"
import { refuse } from "../engine/OptionReaders.ts"
import type { Route } from "../engine/Routes.ts"
import type { Trust } from "../engine/TrustedProxies.ts"
import { endTurn } from "../internal/turn.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { type AttachOptions, resolve } from "./AttachOptions.ts"
import { clientFiles } from "./internal/clientFiles.ts"
import type { ExchangeSettings } from "./internal/exchange.ts"
import { makeForeignUpgrades } from "./internal/foreignUpgrades.ts"
import { intercept, type Interceptor, takenPath } from "./internal/listeners.ts"
import { NodeExchange, NodeRequest } from "./internal/nodeRequest.ts"
import { openInTurn } from "./internal/openInTurn.ts"
import * as Pipeline from "./internal/pipeline.ts"
import { ownerOf } from "./internal/routing/owner.ts"
import type { Origin } from "./internal/routing/passing.ts"
import {
  guarded,
  ignore,
  makeWebSocketServer,
  onUpgrade,
  refuseUpgrade,
  type UpgradeContext
} from "./internal/webSocketUpgrades.ts"
import { NodeSessionRouting, type SessionRouting } from "./NodeSessionRouting.ts"

export type {
  AttachOptions,
  CompressionOptions,
  ForeignUpgradeOptions,
  PollingOptions,
  WebSocketOptions
} from "./AttachOptions.ts"

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
  const resolved = yield* resolve(options)
  const { compressionThreshold, deflateThreshold, keepRequests, path, trust } = resolved
  const { report } = engine
  const context: Context = {
    engine,
    ws: makeWebSocketServer(engine, resolved.perMessageDeflate),
    trust,
    keepRequests,
    exchanges: { threshold: compressionThreshold, report },
    channels: { threshold: deflateThreshold, report }
  }
  const serveFile = resolved.servesClient ? clientFiles(engine, path) : undefined
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
      Pipeline.take(request.socket, run, EnginePath.isOpening(request.url))
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
        else if (EnginePath.isOpening(request.url)) openInTurn(socket, run)
        else run()
      }
      return true
    }
  }
  const onForeignUpgrade = yield* makeForeignUpgrades(
    server,
    resolved.destroysForeignUpgrades,
    resolved.foreignUpgradeTimeout
  )
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

interface Context extends UpgradeContext {
  readonly trust: Trust | undefined
  readonly keepRequests: boolean
  readonly exchanges: ExchangeSettings
}

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

// A process that exits ends no more turns, but Node still writes to its sockets.
process.on("exit", endTurn)
