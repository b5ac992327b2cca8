/**
 * Handshakes by hand, against a server with hooks.
 */
import { Context, Effect } from "effect"

import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { engineUrl, request } from "./RawClient.ts"
import { upgrade } from "./RawUpgrade.ts"
import { serve, type Serving } from "./serve.ts"

const EchoLive = SocketIoServer.layerNamespace("/", (socket) => socket.on("echo", (...args) => Effect.succeed(args)))

/** Serves an echo. Clients that poll by hand do not come for their last packets, so nobody waits for them. */
export const start = (options: NodeOptions) => serve(EchoLive, { drainTimeout: "50 millis", ...options })

export const sessionCount = ({ server }: Serving): number =>
  Effect.runSync(Context.get(server, SocketIoServer.SocketIoServer).connectionCount)

/** A request over polling: one for a session, unless the query names one. */
export const poll = (url: string, query: Record<string, string> = {}, headers: Record<string, string> = {}) =>
  Effect.promise(() => request(engineUrl(url, { EIO: "4", transport: "polling", ...query }), { headers }))

/** The response to a request for a WebSocket; the connection is closed. */
export const ask = (url: string, query: Record<string, string> = {}, headers: Record<string, string> = {}) =>
  Effect.promise(() => upgrade(url, query, headers))

/** An event that must happen, or the test fails with its name. */
export const soon = <A, E>(what: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.timeoutOrElse(effect, { duration: "10 seconds", orElse: () => Effect.die(new Error(`no ${what}`)) })

export const raise = (message: string): never => {
  throw new Error(message)
}
