/**
 * The `http.Server` of a Socket.IO server that listens itself: creating it, listening, and closing
 * it.
 */
import * as Http from "node:http"
import * as Https from "node:https"
import type { AddressInfo, ListenOptions, Socket } from "node:net"
import type { TlsOptions } from "node:tls"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

import type { Names } from "../../engine/OptionReaders.ts"
import { InvalidOptionError } from "../../SocketIoError.ts"

/** The address to listen on, and the certificate. */
export interface Listening {
  readonly port: number
  readonly host?: string
  readonly backlog?: number
  readonly tls?: TlsOptions
}

/** The names of these options. */
export const LISTENING: Names<Listening> = { port: true, host: true, backlog: true, tls: true }

/**
 * Creates a server, with TLS if there is a certificate. Fails on settings of TLS that Node refuses.
 */
export const createServer = (
  { tls }: Listening,
  onRequest?: Http.RequestListener
): Effect.Effect<Http.Server, InvalidOptionError> =>
  Effect.try({
    try: () => (tls === undefined ? Http.createServer(onRequest) : Https.createServer(tls, onRequest)),
    catch: (cause) => new InvalidOptionError({ option: "tls", problem: String(cause) })
  })

/** Answers every request that is not for Socket.IO, where no other application listens. */
export const notFound: Http.RequestListener = (_request, response) => {
  response.writeHead(404, { "content-length": 0, "x-content-type-options": "nosniff" })
  response.end()
}

/** Fails on an invalid port. */
export const checkPort = ({ port }: Listening): Effect.Effect<void, InvalidOptionError> =>
  Number.isInteger(port) && port >= 0 && port <= 65_535
    ? Effect.void
    : Effect.fail(new InvalidOptionError({ option: "port", problem: `must be from 0 to 65535, not ${port}` }))

/** The options of Node's `listen`. */
export const listenOptions = ({ backlog, host, port }: Listening): ListenOptions => ({
  port,
  backlog: backlog ?? 4096,
  ...(host === undefined ? {} : { host })
})

/** Listens, until the scope closes. */
export const listen = (server: Http.Server, options: Listening): Effect.Effect<void, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<void, Error>((resume) => {
      const onError = (cause: Error) => resume(Effect.fail(cause))
      server.once("error", onError)
      server.listen(listenOptions(options), () => {
        server.off("error", onError)
        resume(Effect.void)
      })
    }),
    () => stopListening(server)
  )

/** Stops listening. Connections that are open stay open. */
export const stopListening = (server: Http.Server): Effect.Effect<void> =>
  Effect.sync(() => server.listening && server.close())

/**
 * Waits until the last connection of a closed server has ended. Cuts connections that have not
 * ended in time (milliseconds).
 */
export const awaitClosed = (server: Http.Server, timeout: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    server.closeIdleConnections()
    server.getConnections((error, count) => {
      if (error !== null || count === 0) resume(Effect.void)
      else server.once("close", () => resume(Effect.void))
    })
  }).pipe(
    Effect.timeoutOption(Duration.millis(timeout)),
    Effect.andThen(Effect.sync(() => server.closeAllConnections()))
  )

/**
 * When the scope closes, ends connections that have not carried any data. Browsers open some in
 * advance, and an `http.Server` that closes waits a minute for their first request.
 */
export const withoutSilentConnections = (server: Http.Server): Effect.Effect<unknown, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const connections = new Set<Socket>()
      // Over TLS only the handshake has been read by then, and no request.
      server.on(server instanceof Https.Server ? "secureConnection" : "connection", (socket: Socket) => {
        connections.add(socket)
        socket.once("close", () => connections.delete(socket))
      })
      return connections
    }),
    (connections) =>
      Effect.sync(() => {
        for (const connection of connections) if (connection.bytesRead === 0) connection.destroy()
      })
  )

/** The address of a server that listens, as a URL. */
export const addressOf = (server: Http.Server): string => {
  const { address, family, port } = server.address() as AddressInfo
  const host = address === "::" || address === "0.0.0.0" ? "localhost" : family === "IPv6" ? `[${address}]` : address
  return `${server instanceof Https.Server ? "https" : "http"}://${host}:${port}`
}
