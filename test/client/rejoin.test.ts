/**
 * Namespaces that are left and joined again over one connection, while something of the old stay is on its way.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

const side = SocketIoServer.layerNamespace("/side", (socket) =>
  Effect.andThen(
    socket.on("speak", () => socket.emit("spoken")),
    socket.on("expel", () => socket.disconnect())
  )
)

/** The other namespace keeps the connection open. */
const main = SocketIoServer.layerNamespace("/", (socket) => socket.on("sync", () => Effect.succeed("synced")))

const served = Layer.mergeAll(main, side).pipe(Layer.provideMerge(TestSocketIo.layer()))

/** The ids of those whom the server takes to be in `/side`. */
const present = Effect.gen(function* () {
  const { sockets } = yield* SocketIoServer.namespace("/side")
  return (yield* sockets).map(({ id }) => id)
})

describe("a namespace that is left and joined again over one connection", () => {
  it.effect("does not hear what was sent to the old stay", () =>
    Effect.gen(function* () {
      yield* SocketIoClient.connect("/")
      const socket = yield* SocketIoClient.connect("/side")
      const heard: Array<string> = []
      yield* socket.onAny((event) => Effect.sync(() => heard.push(event)))
      yield* socket.emit("speak")
      yield* socket.disconnect()
      yield* socket.reconnect()
      assert.deepStrictEqual(heard, [])
      yield* socket.emit("speak")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(heard, ["spoken"])
    }).pipe(Effect.provide(served))
  )

  it.effect("does not take the end of the old stay for its own", () =>
    Effect.gen(function* () {
      yield* SocketIoClient.connect("/")
      const socket = yield* SocketIoClient.connect("/side")
      yield* socket.emit("expel")
      yield* socket.disconnect()
      yield* socket.reconnect()
      yield* TestClock.adjust("1 second")
      assert.isTrue(socket.connected)
      assert.deepStrictEqual(yield* present, [socket.id])
    }).pipe(Effect.provide(served))
  )

  it.effect("is not closed for asking twice when it was left before the answer", () =>
    Effect.gen(function* () {
      const other = yield* SocketIoClient.connect("/")
      const { id } = other
      const socket = yield* SocketIoClient.socket("/side")
      for (let i = 0; i < 3; i++) {
        yield* socket.disconnect()
        yield* Effect.forkScoped(Effect.ignore(socket.reconnect()), { startImmediately: true })
      }
      yield* TestClock.adjust("1 second")
      assert.isTrue(socket.connected)
      assert.strictEqual(other.id, id)
      assert.deepStrictEqual(yield* present, [socket.id])
    }).pipe(Effect.provide(served))
  )
})

describe("a namespace that is left before the server has answered", () => {
  it.effect("is left on the server, too", () =>
    Effect.gen(function* () {
      const other = yield* SocketIoClient.connect("/")
      const scope = yield* Scope.make()
      yield* Scope.provide(SocketIoClient.socket("/side"), scope)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* present, [])
      assert.deepStrictEqual(yield* other.emitWithAck("sync"), ["synced"])
    }).pipe(Effect.provide(served))
  )
})

describe("a socket that leaves the only namespace of its connection, at any moment of connecting, and comes back", () => {
  const world = side.pipe(Layer.provideMerge(Simulation.layer({ latency: [100, 100] })))
  for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]] as const) {
    it.live(`is connected again, over ${transports.join(" and ")}`, () =>
      Effect.gen(function* () {
        for (let left = 0; left < 900; left += 50) {
          const { exit } = yield* Simulation.run(
            { seed: 1 },
            Effect.gen(function* () {
              const client = yield* TestSocketIo.makeClient({ transports })
              const socket = yield* client.socket("/side")
              yield* Effect.sleep(left)
              yield* socket.disconnect()
              yield* Effect.forkScoped(Effect.ignore(socket.reconnect()), { startImmediately: true })
              yield* Effect.sleep("3 seconds")
              return socket.connected
            }).pipe(Effect.scoped, Effect.provide(world))
          )
          assert.deepStrictEqual(exit, Exit.succeed(true), `left after ${left} ms`)
        }
      })
    )
  }
})

describe("a socket whose scope has closed", () => {
  it.effect("fails to connect again", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const socket = yield* Scope.provide(SocketIoClient.connect("/side"), scope)
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(socket.reconnect())
      assert.deepInclude(error, { _tag: "ConnectError", message: "its scope closed", willRetry: false })
    }).pipe(Effect.provide(served))
  )
})
