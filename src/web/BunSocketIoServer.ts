/**
 * The Socket.IO server in Bun, on its own HTTP server and WebSockets: on a port of its own, or in a
 * `Bun.serve` of yours.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"

import type { EngineServer } from "../engine/EngineServer.ts"
import { group } from "../engine/OptionReaders.ts"
import type { ListenError } from "../server/ListenError.ts"
import type { ServerOptions } from "../server/ServerOptions.ts"
import type { SocketIoServer } from "../server/SocketIoServer.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import { BunChannel, type Opening } from "./internal/bunChannel.ts"
import * as Listening from "./internal/listening.ts"
import * as ServerListening from "../server/Listening.ts"
import { makeRoute } from "./internal/router.ts"
import { ATTACH_OPTIONS, type AttachOptions, notFound, type RequestInfo } from "./WebEngine.ts"
import type { BunWebSocket } from "./WebSocketChannel.ts"

/**
 * The parts of a server of `Bun.serve` that {@link handlers} use.
 *
 * @since 0.1.0
 * @category models
 */
export interface BunServer {
  readonly upgrade: (request: Request, options: { readonly data: any; readonly headers: Headers }) => boolean
  readonly requestIP: (request: Request) => { readonly address: string } | null
  readonly timeout: (request: Request, seconds: number) => void
}

/**
 * The handlers for a `Bun.serve` of your own.
 *
 * @since 0.1.0
 * @category models
 */
export interface BunHandlers {
  readonly fetch: (request: Request, server: BunServer) => Response | undefined | Promise<Response | undefined>
  readonly websocket: {
    readonly maxPayloadLength: number
    readonly backpressureLimit: number
    readonly closeOnBackpressureLimit: boolean
    readonly idleTimeout: number
    readonly sendPings: boolean
    readonly perMessageDeflate: boolean
    readonly open: (socket: BunWebSocket) => void
    readonly message: (socket: BunWebSocket, message: string | Uint8Array<ArrayBuffer>) => void
    readonly ping: (socket: BunWebSocket) => void
    readonly pong: (socket: BunWebSocket) => void
    readonly drain: (socket: BunWebSocket) => void
    readonly close: (socket: BunWebSocket, code: number, reason: string) => void
  }
}

/**
 * Options of a server that listens itself.
 *
 * @since 0.1.0
 * @category options
 */
export interface ListeningOptions<out R = never> extends ServerOptions<R>, AttachOptions {
  /** The port to listen on; 0 takes a free one. */
  readonly port: number
  /** The address to listen on. Default: every address of the machine. */
  readonly host?: string
  /** The certificate and key, as `Bun.serve` takes them: `{ cert, key }`. Default: none. */
  readonly tls?: unknown
}

/** The address is asked for when it is needed. */
class BunInfo implements RequestInfo {
  readonly server: BunServer
  private readonly request: Request

  constructor(server: BunServer, request: Request) {
    this.server = server
    this.request = request
  }

  get address(): string {
    return this.server.requestIP(this.request)?.address ?? ""
  }

  get secure(): boolean {
    return this.request.url.startsWith("https:")
  }
}

/**
 * More may wait for a client for a moment than `maxOutbox` says, and Bun drops messages beyond its
 * own limit without a word: the engine's limit is the one that counts.
 */
const UNLIMITED = 2 ** 31 - 1

/**
 * Makes the handlers for a `Bun.serve` of your own, with a framework on it if there is one.
 *
 * **Details**
 *
 * Fails with {@link InvalidOptionError} on an option that makes no sense. The option `fetch`
 * answers requests of other paths: `app.fetch` of Hono or Elysia. Polls are not subject to the
 * `idleTimeout` of the server. Closing the scope of the Socket.IO server ends its connections;
 * `Bun.serve` stays with its owner.
 *
 * **Gotchas**
 *
 * `Bun.serve` has one `websocket` handler, so the application cannot have WebSockets of its own
 * beside these.
 *
 * **Example** (Beside an application of Hono)
 *
 * ```ts
 * const Main = Effect.gen(function* () {
 *   const server = yield* SocketIoServer.SocketIoServer
 *   const handlers = yield* BunSocketIoServer.handlers(yield* server.engine, { fetch: app.fetch })
 *   Bun.serve({ port: 3000, ...handlers })
 * })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const handlers = Effect.fnUntraced(function* (
  engine: EngineServer,
  options: AttachOptions = {}
): Effect.fn.Return<BunHandlers, InvalidOptionError> {
  yield* group("", options, ATTACH_OPTIONS)
  const { fetch = notFound } = options
  const route = yield* makeRoute<BunInfo, Response | undefined>(
    engine,
    options,
    (request, { server }, { accept, headers }, settings) => {
      const data: Opening = {
        open: (socket) => accept((data.channel = new BunChannel(socket, settings))),
        channel: undefined
      }
      if (server.upgrade(request, { data, headers })) return undefined
      return new Response("Bad request", { status: 400, headers: { connection: "close" } })
    }
  )
  return {
    fetch: (request, server) => {
      const answer = route(request, new BunInfo(server, request))
      if (answer === "other") return fetch(request)
      // A poll is idle until there is something to send.
      if (request.method === "GET") server.timeout(request, 0)
      return answer
    },
    websocket: {
      maxPayloadLength: engine.options.maxPayload,
      backpressureLimit: UNLIMITED,
      closeOnBackpressureLimit: false,
      idleTimeout: 0,
      sendPings: false,
      perMessageDeflate: false,
      open: (socket) => socket.data.open(socket),
      message: (socket, message) => socket.data.channel?.take(message),
      // Bun has answered it.
      ping: (socket) => socket.data.channel?.onPing(),
      pong: (socket) => socket.data.channel?.onPong(),
      drain: (socket) => socket.data.channel?.onWritten?.(),
      close: (socket, code, reason) => socket.data.channel?.onClosed(code, reason)
    }
  }
})

/** The time in seconds for which a connection may be idle: between requests, and within one. */
const IDLE = 60

/** The parts of Bun that a server which listens itself uses. */
interface Bun {
  readonly serve: (options: object) => {
    readonly port: number
    readonly hostname: string
    readonly stop: (closeActiveConnections?: boolean) => Promise<void>
  }
}

const listen = Effect.fnUntraced(function* (
  engine: EngineServer,
  options: AttachOptions,
  { host, port, tls }: Listening.Listening
) {
  const { fetch, websocket } = yield* handlers(engine, options)
  return (): Listening.Listener => {
    const { Bun } = globalThis as unknown as { readonly Bun?: Bun }
    if (Bun === undefined) throw new Error("this is not Bun; NodeSocketIoServer serves in Node")
    const server = Bun.serve({
      port,
      idleTimeout: IDLE,
      fetch,
      websocket,
      ...(host === undefined ? {} : { hostname: host }),
      ...(tls === undefined ? {} : { tls })
    })
    let ended: Promise<void> | undefined
    return {
      url: Listening.urlOf(server.hostname, server.port, tls !== undefined),
      stop: () => void (ended ??= server.stop()),
      ended: () => ended ?? Promise.resolve(),
      cut: () => server.stop(true)
    }
  }
})

/**
 * A server alone on its port, for namespaces that are provided with it by `Layer.provide`.
 *
 * **Details**
 *
 * It listens on the port of the options, answers requests for other paths with 404 or by the option
 * `fetch`, and logs its address. Fails with `InvalidOptionError` on an option that makes no sense,
 * and with `ListenError` if it cannot listen, or if this is not Bun. Closing the layer's scope ends
 * the connections (see `SocketIoServer.make`), stops listening once polling clients have come once
 * more, and closes what is left after `drainTimeout`.
 *
 * **Gotchas**
 *
 * The server listens before the namespaces' layers are built. In the first two seconds a client
 * that asks for a missing namespace waits for it; later it is refused for good. Use {@link serve}
 * if namespaces take longer to build.
 *
 * **Example** (A namespace on a port of its own)
 *
 * ```ts
 * const Main = ChatLive.pipe(Layer.provide(BunSocketIoServer.layer({ port: 3000 })))
 *
 * NodeRuntime.runMain(Layer.launch(Main))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(
  options: ListeningOptions<R>
): Layer.Layer<SocketIoServer, InvalidOptionError | ListenError, R> =>
  ServerListening.layer(Listening.prepare(options, listen))

/**
 * Builds namespaces, and then listens: every client that can connect finds all of them. See
 * `NodeSocketIoServer.serve`, which has the same order, and {@link layer} for its errors and its
 * end.
 *
 * @since 0.1.0
 * @category layers
 */
export const serve = <A, E, R, R2 = never>(
  namespaces: Layer.Layer<A, E, R>,
  options: ListeningOptions<R2>
): Layer.Layer<SocketIoServer | A, E | InvalidOptionError | ListenError, R2 | Exclude<R, SocketIoServer>> =>
  ServerListening.serve(namespaces, Listening.prepare(options, listen))
