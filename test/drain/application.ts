/**
 * The application of the servers that are drained in these tests, and clients that speak packets.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"

import type { DrainOptions } from "../../src/engine/Drain.ts"
import type { Untyped } from "../../src/Namespace.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import type { RawPeer } from "../../src/testing/RawPeer.ts"
import { makeFleet } from "../support/fleet.ts"

export type AnySocket = ServerSocket<Untyped>

/** The application of all servers: it says what it has handled, and where. */
export const makeApplication = () => {
  const log: Array<string> = []
  const sockets: Array<AnySocket> = []
  const namespaces = (name: string) =>
    SocketIoServer.layerNamespace(
      "/",
      Effect.fnUntraced(function* (socket) {
        sockets.push(socket)
        yield* Effect.forkScoped(
          Effect.map(socket.disconnected, (reason) => log.push(`${name}: ${reason}`)),
          { startImmediately: true, uninterruptible: true }
        )
        yield* socket.on("note", (text) => Effect.sync(() => void log.push(`${name}: ${String(text)}`)))
        yield* socket.on("ask", (text) =>
          Effect.as(
            Effect.sync(() => log.push(`${name}: ${String(text)}`)),
            name
          )
        )
        yield* socket.on("work", (millis) =>
          Effect.sleep(Number(millis)).pipe(
            Effect.andThen(Effect.sync(() => log.push(`${name}: worked`))),
            Effect.as(name),
            Effect.onInterrupt(() => Effect.sync(() => log.push(`${name}: interrupted`)))
          )
        )
      })
    )
  return { log, sockets, namespaces }
}

/** Lets everything that is under way arrive. */
export const settle = Effect.repeat(Effect.yieldNow, { times: 300 })

/** Two servers, and a drain of the first one that has begun. */
export const draining = Effect.fnUntraced(function* (options: DrainOptions = {}) {
  const application = makeApplication()
  const fleet = yield* makeFleet(application.namespaces)
  const first = yield* fleet.start("first")
  const drain = Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(first.shape.drain({ notice: 0, over: 0, ...options }), {
      startImmediately: true
    })
    yield* settle
    return fiber
  })
  return { ...application, ...fleet, first, drain }
})

/** A raw client in the default namespace. */
export const join = Effect.fnUntraced(function* (peer: RawPeer) {
  yield* peer.receive
  yield* peer.send("40")
  assert.match(String(yield* peer.receive), /^40\{"sid"/)
  return peer
})

/** The packet that asks a client of this library to move, and its time. */
export const MOVE = /^422147483647\["~fx:move",\{"within":(\d+)\}\]$/
