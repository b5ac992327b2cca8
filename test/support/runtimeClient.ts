/**
 * This library's client on whichever runtime runs this script: it talks to the server at the address of its argument, over each transport
 * and on each platform, and prints one line of JSON for each.
 */
import { Effect, Fiber, Layer, Stream } from "effect"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import type { TransportName } from "../../src/engine/Transport.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"

const url = process.argv[2]!

const text = "\u20ac".repeat(50_000)

const talk = Effect.fnUntraced(function* (lastTransport: TransportName) {
  const socket = yield* SocketIoClient.connect("/")
  const [bytes] = yield* socket.emitWithAck("message-with-ack", Uint8Array.from([1, 2, 3]))
  const [long] = yield* socket.emitWithAck("message-with-ack", text)
  const items = yield* Effect.forkScoped(Stream.runCollect(Stream.take(socket.stream("burst-item"), 500)), {
    startImmediately: true
  })
  yield* socket.emit("burst", 500)
  const [last] = (yield* Fiber.join(items)).at(-1)!
  const refused = yield* Effect.flip(SocketIoClient.connect("/auth"))
  const transport = yield* Effect.repeat(
    Effect.map(socket.emitWithAck("transport"), ([name]) => name),
    // An upgrade takes a moment.
    { until: (name) => name === lastTransport }
  )
  yield* socket.emit("bye", false)
  const reason = yield* socket.disconnected
  return {
    bytes: Array.from(bytes as Uint8Array),
    isLong: long === text,
    last,
    refused: refused.message,
    transport,
    reason
  }
})

const platforms = { fetch: Layer.empty, node: NodeClientPlatform.layer }

for (const platform of ["fetch", "node"] as const) {
  for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]] as const) {
    const client = SocketIoClient.layer({ url, transports }).pipe(Layer.provide(platforms[platform]))
    const talking = Effect.scoped(talk(transports.at(-1)!)).pipe(Effect.provide(client), Effect.timeout("20 seconds"))
    console.log(JSON.stringify({ platform, transports, ...(await Effect.runPromise(talking)) }))
  }
}
process.exit()
