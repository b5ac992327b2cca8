/**
 * A socket of this library's client whose server is the test.
 */
import { assert } from "@effect/vitest"
import { Effect, Stream } from "effect"

import * as ClientExtras from "../../src/client/ClientExtras.ts"
import type { SocketStatus } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import type { RawConnection } from "../../src/testing/RawPeer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

export const OPEN = '0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'

export const MOVE_ID = 2_147_483_647

export const ask = (connection: RawConnection, within: unknown = 5_000) =>
  connection.send(`42${MOVE_ID}["~fx:move",${JSON.stringify({ within })}]`)

/** Lets everything that is under way arrive. */
export const settle = Effect.repeat(Effect.yieldNow, { times: 200 })

/** Takes the next connection of the client, and opens it. */
export const accept = Effect.gen(function* () {
  const connection = yield* (yield* TestSocketIo.RawServer).accept
  yield* connection.send(OPEN)
  return connection
})

/** A socket that is connected, and what it was told about its status since then. */
export const connected = Effect.fnUntraced(function* (reply: object = {}) {
  const socket = yield* SocketIoClient.socket("/chat")
  const connection = yield* accept
  assert.strictEqual(yield* connection.receive, "40/chat,")
  yield* connection.send(`40/chat,${JSON.stringify({ sid: "first", ...reply })}`)
  yield* settle
  assert.isTrue(socket.connected)
  const statuses: Array<SocketStatus> = []
  yield* socket.status.pipe(
    Stream.drop(1),
    Stream.runForEach((status) => Effect.sync(() => statuses.push(status))),
    Effect.forkScoped({ startImmediately: true })
  )
  return { connection, socket, statuses }
})

/** Runs a test whose client has all extras of servers of this library, unless others are given. */
export const run = (
  test: Effect.Effect<void, unknown, any>,
  extras: ReadonlyArray<ClientExtras.ClientExtra> = ClientExtras.server
) => test.pipe(Effect.scoped, Effect.provide(TestSocketIo.layerRawServer({ extras }))) as Effect.Effect<void, unknown>
