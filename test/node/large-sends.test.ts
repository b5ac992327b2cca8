/**
 * A server that sends much at once to official clients that read it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Queue } from "effect"

import type * as Namespace from "../../src/Namespace.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { soon } from "../support/handshake.ts"
import { transports } from "../support/RawClient.ts"
import { call, connect, serve } from "../support/serve.ts"

const MB = 1_000_000

/** A client that counts what it gets, and its socket. */
const download = Effect.fnUntraced(function* (transport: string, options: NodeOptions) {
  const sockets = yield* Queue.unbounded<ServerSocket<Namespace.Untyped>>()
  const { url } = yield* serve(
    SocketIoServer.layerNamespace("/", (socket) => Effect.asVoid(Queue.offer(sockets, socket))),
    options
  )
  const sizes: Array<number> = []
  const official = yield* connect(url, { transports: [transport] }, (socket) => {
    socket.on("part", (part: Uint8Array) => sizes.push(part.byteLength))
  })
  const ours = yield* Queue.take(sockets)
  const done = new Promise<void>((resolve, reject) => {
    official.once("done", resolve)
    official.once("disconnect", reject)
  })
  const rest = soon(
    "end of the download",
    Effect.promise(() => done)
  )
  return { ours, sizes, rest }
})

for (const transport of transports) {
  describe(`a client over ${transport} that reads`, () => {
    it.live("gets one message that is larger than maxOutbox, and what comes while it is on its way", () =>
      Effect.gen(function* () {
        const { ours, rest, sizes } = yield* download(transport, { limits: { maxOutbox: 1 * MB } })
        yield* ours.emit("part", Buffer.alloc(8 * MB))
        yield* ours.emit("part", Buffer.alloc(1))
        yield* Effect.yieldNow
        yield* ours.emit("part", Buffer.alloc(2))
        yield* ours.emit("done")
        yield* rest
        assert.deepStrictEqual(sizes, [8 * MB, 1, 2])
      })
    )

    it.live("gets many messages of one turn that are larger than maxOutbox together", () =>
      Effect.gen(function* () {
        const { ours, rest, sizes } = yield* download(transport, { limits: { maxOutbox: 2 * MB } })
        const part = Buffer.alloc(100_000)
        yield* Effect.forEach(Array.from({ length: 70 }), () => ours.emit("part", part), { discard: true })
        yield* ours.emit("done")
        yield* rest
        assert.lengthOf(sizes, 70)
      })
    )
  })

  it.live(`an attachment over ${transport} may be as large as a message that may come`, () =>
    Effect.gen(function* () {
      const { url } = yield* serve(
        SocketIoServer.layerNamespace("/", (socket) =>
          socket.on("upload", (file) => Effect.succeed((file as Uint8Array).byteLength))
        ),
        { limits: { maxPayload: 20 * MB } }
      )
      const official = yield* connect(url, { transports: [transport] })
      assert.strictEqual(yield* call(official, "upload", Buffer.alloc(12 * MB)), 12 * MB)
    })
  )
}
