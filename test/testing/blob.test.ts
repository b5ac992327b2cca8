/**
 * Blobs over connections in memory.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Queue, Stream } from "effect"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

const Echo = SocketIoServer.layerNamespace("/", (socket) =>
  socket.on("echo", (...args) => socket.emit("echo", ...args))
)

for (const transport of ["websocket", "polling"] as const) {
  it.live(`arrive in order as bytes, over ${transport}`, () =>
    Effect.gen(function* () {
      const socket = yield* SocketIoClient.connect("/")
      const echoed = yield* Stream.toQueue(yield* socket.subscribe("echo"), { capacity: "unbounded" })
      yield* socket.emit("echo", 1)
      yield* socket.emit("echo", 2, new Blob(["two"]))
      yield* socket.emit("echo", 3, new Uint8Array([3]))
      yield* socket.emit("echo", 4, new Blob(["four"]))
      yield* socket.emit("echo", 5)
      const got = yield* Effect.forEach([1, 2, 3, 4, 5], () => Queue.take(echoed))
      assert.deepStrictEqual(
        got.map(([n, bytes]) => (bytes === undefined ? [n] : [n, new TextDecoder().decode(bytes as Uint8Array)])),
        [[1], [2, "two"], [3, "\u0003"], [4, "four"], [5]]
      )
    }).pipe(Effect.provide(Echo.pipe(Layer.provideMerge(TestSocketIo.layer({ client: { transports: [transport] } })))))
  )
}
