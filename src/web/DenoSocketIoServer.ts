/**
 * The Socket.IO server in Deno, on its own HTTP server and WebSockets.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"

import type { EngineServer } from "../engine/EngineServer.ts"
import type { ListenError } from "../server/ListenError.ts"
import type { ServerOptions } from "../server/ServerOptions.ts"
import type { SocketIoServer } from "../server/SocketIoServer.ts"
import type { InvalidOptionError } from "../SocketIoError.ts"
import * as Listening from "./internal/listening.ts"
import * as ServerListening from "../server/Listening.ts"
import { type AttachOptions, makeHandlerOn } from "./WebEngine.ts"
import type { StandardWebSocket } from "./WebSocketChannel.ts"

/**
 * Options of a server that listens itself.
 *
 * @since 0.1.0
 * @category options
 */
export interface ListeningOptions<out R = never> extends ServerOptions<R>, AttachOptions {
  /** The port to listen on; 0 takes a free one. */
  readonly port: number
  /**
   * The address to listen on. Default: every IPv4 address of the machine, as `Deno.serve` has it.
   */
  readonly host?: string
  /** The certificate and key, as `Deno.serve` takes them: `{ cert, key }`. Default: none. */
  readonly tls?: { readonly cert: string; readonly key: string }
}

interface DenoInfo {
  readonly remoteAddr: { readonly hostname?: string }
}

/** The parts of Deno that a server uses. */
interface Deno {
  readonly serve: (
    options: object,
    handler: (request: Request, info: DenoInfo) => Response | Promise<Response>
  ) => {
    readonly addr: { readonly hostname: string; readonly port: number }
    readonly shutdown: () => Promise<void>
    readonly finished: Promise<void>
  }
  readonly upgradeWebSocket: (
    request: Request,
    options: { readonly idleTimeout: number }
  ) => { readonly response: Response; readonly socket: StandardWebSocket }
}

const deno = (): Deno => {
  const { Deno } = globalThis as unknown as { readonly Deno?: Deno }
  if (Deno === undefined) throw new Error("this is not Deno; NodeSocketIoServer serves in Node")
  return Deno
}

/** Opens a WebSocket, without pings of the platform: the engine has its own. */
const upgrade = (
  request: Request,
  headers: Headers
): { readonly response: Response; readonly socket: StandardWebSocket } => {
  const opened = deno().upgradeWebSocket(request, { idleTimeout: 0 })
  for (const [name, value] of headers) opened.response.headers.append(name, value)
  return opened
}

const listen = Effect.fnUntraced(function* (
  engine: EngineServer,
  options: AttachOptions,
  { host, port, tls }: Listening.Listening
) {
  const handler = yield* makeHandlerOn(engine, { ...options, upgrade }, true)
  const secure = tls !== undefined
  return (): Listening.Listener => {
    const server = deno().serve(
      {
        port,
        onListen: () => {},
        ...(host === undefined ? {} : { hostname: host }),
        ...(tls as object | undefined)
      },
      (request, { remoteAddr }) => handler(request, { address: remoteAddr.hostname ?? "", secure })
    )
    return {
      url: Listening.urlOf(server.addr.hostname, server.addr.port, secure),
      // It would also drop the WebSockets, which may still be flushing.
      stop: () => {},
      ended: server.shutdown,
      // Deno has no means to end the requests that have not ended in time.
      cut: async () => {}
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
 * and with `ListenError` if it cannot listen, or if this is not Deno. Closing the layer's scope
 * ends the connections (see `SocketIoServer.make`), and then shuts the server of Deno down.
 *
 * A `Deno.serve` of your own takes a handler of `WebEngine.makeHandler`.
 *
 * **Gotchas**
 *
 * Deno reads a WebSocket message of up to 64 MiB before it passes it on; only then is it refused
 * because of `limits.maxPayload`. Deno cannot drop a WebSocket: a client that never reads keeps its
 * connection until the network gives it up, with up to 256 KiB and one message, and counts for
 * `limits.maxConnections` until then.
 *
 * The server listens before the namespaces' layers are built. In the first two seconds a client
 * that asks for a missing namespace waits for it; later it is refused for good. Use {@link serve}
 * if namespaces take longer to build.
 *
 * **Example** (A namespace on a port of its own)
 *
 * ```ts
 * const Main = ChatLive.pipe(Layer.provide(DenoSocketIoServer.layer({ port: 3000 })))
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
