/** The upgrades of other paths than the engine's: those that nobody answers end. */
import type { IncomingMessage, Server } from "node:http"
import type { Duplex } from "node:stream"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"

import { ignore } from "./webSocketUpgrades.ts"

/**
 * Makes the listener of a server's upgrades. It does nothing while there is another one. Upgrades
 * without an answer end after `timeout` milliseconds, if `destroys`.
 */
export const makeForeignUpgrades = Effect.fnUntraced(function* (
  server: Server,
  destroys: boolean,
  timeout: number
): Effect.fn.Return<(request: IncomingMessage, socket: Duplex) => void, never, Scope.Scope> {
  // Upgrades of other paths that wait for an answer. They end with the scope.
  const awaitAnswer = yield* FiberSet.makeRuntime<never>()
  // Node brings upgrades only where there is a listener for them.
  return (_request: IncomingMessage, socket: Duplex) => {
    if (server.listenerCount("upgrade") > 1) return
    // Without a listener, a reset of the connection would end the process.
    socket.on("error", ignore)
    if (!destroys) return
    const expire = Effect.sync(() => {
      // `end` alone is not enough: a connection that is not read does not notice that the peer has
      // closed it.
      if ((socket as Duplex & { bytesWritten?: number }).bytesWritten === 0) socket.destroy()
    })
    awaitAnswer(Effect.ensuring(Effect.raceFirst(Effect.sleep(timeout), closed(socket)), expire))
  }
})

/** Waits until a connection is closed. */
const closed = (socket: Duplex): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const onClose = () => resume(Effect.void)
    socket.once("close", onClose)
    return Effect.sync(() => socket.off("close", onClose))
  })
