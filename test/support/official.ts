/**
 * An official server for the lifetime of a test, and clients of this library for it.
 */
import * as Http from "node:http"
import { Effect, type Scope } from "effect"
import { Server, type ServerOptions } from "socket.io"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { listen } from "./serve.ts"

/** Serves until the scope closes; `prepare` adds what it does. */
export const serveOfficial = Effect.fnUntraced(function* (
  prepare: (io: Server) => void,
  options: Partial<ServerOptions> = {}
) {
  const http = Http.createServer()
  const io = new Server(http, { serveClient: false, ...options })
  prepare(io)
  const url = yield* listen(http)
  yield* Effect.addFinalizer(() => Effect.promise(() => io.close()))
  return { http, io, url }
})

/** Runs effects that need a client, with one of these options. */
export const clientOf = <R = never>(options: ClientOptions<R>) =>
  Effect.map(
    SocketIoClient.make(options),
    (client) =>
      <A, E, R2>(
        effect: Effect.Effect<A, E, R2>
      ): Effect.Effect<A, E, Exclude<R2, SocketIoClient.SocketIoClient> | Scope.Scope> =>
        Effect.provideService(effect, SocketIoClient.SocketIoClient, client) as never
  )

/** The transports, each alone. */
export const ways = ["polling", "websocket"] as const

/** Waits for what must happen while others go about their work. */
export const eventually = (what: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (what() ? Effect.void : Effect.andThen(Effect.sleep("5 millis"), eventually(what))))
