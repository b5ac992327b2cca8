import { connect as connectSocket, type Socket } from "node:net"
import * as Effect from "effect/Effect"

import type { NodeAddress } from "../../../engine/NodeDirectory.ts"
import { greet, type GreetingError, type Kind } from "./greeting.ts"

/** The time after which TCP asks whether an idle peer is still there, in milliseconds. */
const KEEP_ALIVE = 30_000

export const ignore = (): void => {}

/** Prepares a connection between servers. */
export const prepare = (socket: Socket): void => {
  socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE)
  // Without a listener, a reset of the connection would end the process.
  socket.on("error", ignore)
}

/**
 * Connects to a server and greets it. Returns the connection, paused, and what the server has sent
 * since. A failure or an interruption closes the connection.
 */
export const connect = (
  address: NodeAddress,
  kind: Kind
): Effect.Effect<readonly [socket: Socket, rest: Buffer], Error | GreetingError> =>
  Effect.suspend(() => {
    const target = "path" in address ? { path: address.path } : { host: address.host, port: address.port }
    const socket = connectSocket({ ...target, allowHalfOpen: true })
    prepare(socket)
    const connected = Effect.callback<void, Error>((resume) => {
      const onConnect = () => {
        socket.off("error", onError)
        resume(Effect.void)
      }
      const onError = (error: Error) => resume(Effect.fail(error))
      socket.once("connect", onConnect).once("error", onError)
      return Effect.sync(() => socket.off("connect", onConnect).off("error", onError))
    })
    return connected.pipe(
      Effect.andThen(greet(socket, address.secret, kind)),
      Effect.map((rest) => [socket, rest] as const),
      Effect.onError(() => Effect.sync(() => socket.destroy()))
    )
  })

/** Makes a paused connection one that nothing has read yet, for its next reader. */
export const handOver = (socket: Socket): void => {
  // Node does the same when it hands over the connection of an upgrade.
  ;(socket as { readableFlowing: boolean | null }).readableFlowing = null
}
