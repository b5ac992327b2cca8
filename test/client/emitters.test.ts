/**
 * The ways in which events are sent and answered, with the official server on the other side.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schema } from "effect"

import { ackArguments } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"
import { fakeClient } from "../support/fakeClient.ts"
import { clientOf, serveOfficial, ways } from "../support/official.ts"

class Numbers extends Namespace.make("/numbers", {
  clientToServer: [
    Event.make("double", { payload: Schema.Int, ack: Schema.Int }),
    Event.make("touch", { ack: Schema.Void })
  ],
  serverToClient: []
}) {}

for (const transport of ways) {
  describe(`events over ${transport}`, () => {
    const serving = serveOfficial((io) => {
      io.on("connection", (socket) => {
        socket.on("echo", (...args) => args.pop()(...args))
        socket.on("ask", (done) => socket.emit("question", (...answer: Array<unknown>) => done(...answer)))
      })
      io.of("/numbers").on("connection", (socket) => socket.on("double", (n, done) => done(2 * n)))
    })
    const connected = Effect.gen(function* () {
      const { url } = yield* serving
      const use = yield* clientOf({ url, transports: [transport], reconnection: false })
      return { use, socket: yield* use(SocketIoClient.connect("/")) }
    })

    it.live("are acknowledged when they are volatile or not compressed, too", () =>
      Effect.gen(function* () {
        const { socket, use } = yield* connected
        assert.deepStrictEqual(yield* socket.compress(false).emitWithAck("echo", 1, "two"), [1, "two"])
        assert.deepStrictEqual(yield* socket.volatile.emitWithAck("echo", 1), [1])
        assert.deepStrictEqual(yield* socket.compress(false).volatile.emitWithAck("echo", 1), [1])
        const numbers = yield* use(SocketIoClient.connect(Numbers))
        assert.strictEqual(yield* numbers.volatile.emitWithAck("double", 2), 4)
        assert.strictEqual(yield* numbers.compress(true).emitWithAck("double", 3), 6)
        yield* socket.disconnect()
        const failed = yield* Effect.flip(socket.volatile.emitWithAck("echo", 1))
        assert.strictEqual(failed.reason._tag, "NotSent")
      })
    )

    it.live("are answered with several arguments where that is asked for", () =>
      Effect.gen(function* () {
        const { socket } = yield* connected
        yield* socket.respond("question", () => Effect.succeed(ackArguments(null, [1], "three")))
        assert.deepStrictEqual(yield* socket.emitWithAck("ask"), [null, [1], "three"])
      })
    )

    it.live("are seen when they leave", () =>
      Effect.gen(function* () {
        const { url } = yield* serving
        const use = yield* clientOf({ url, transports: [transport], reconnection: false })
        const seen: Array<unknown> = []
        const see = (event: string, args: ReadonlyArray<unknown>) => Effect.sync(() => seen.push([event, ...args]))
        const socket = yield* use(SocketIoClient.socket("/"))
        const numbers = yield* use(SocketIoClient.socket(Numbers))
        yield* socket.onAnyOutgoing(see)
        yield* numbers.onAnyOutgoing(see)
        yield* socket.volatile.emit("lost")
        const waiting = yield* Effect.forkChild(socket.emitWithAck("echo", 1), { startImmediately: true })
        assert.deepStrictEqual(seen, [])
        yield* Fiber.join(waiting)
        yield* numbers.emitWithAck("double", 2)
        yield* Effect.scoped(
          Effect.andThen(
            socket.onAnyOutgoing(() => Effect.die("over")),
            Effect.void
          )
        )
        yield* socket.emit("later", Buffer.from([1]))
        assert.deepStrictEqual(seen, [
          ["echo", 1],
          ["double", 2],
          ["later", Buffer.from([1])]
        ])
      })
    )

    it.live("with a callback are a defect that names what to use", () =>
      Effect.gen(function* () {
        const { socket } = yield* connected
        const exit = yield* Effect.exit(socket.emit("ask", () => {}))
        assert.include(String(Exit.isFailure(exit) && exit.cause), "emitWithAck")
      })
    )
  })
}

it.live("a message that must not be compressed is not, and the next one is", () =>
  Effect.gen(function* () {
    const sizes: Array<number> = []
    const done = yield* Deferred.make<void>()
    const { http, url } = yield* serveOfficial(
      (io) => io.on("connection", (socket) => socket.on("done", () => Deferred.doneUnsafe(done, Effect.void))),
      { perMessageDeflate: true }
    )
    http.on("upgrade", (_, socket) => socket.on("data", (chunk: Buffer) => sizes.push(chunk.length)))
    const use = yield* clientOf({ url, transports: ["websocket"] }).pipe(
      Effect.provide(NodeClientPlatform.layerWith({ perMessageDeflate: true }))
    )
    const socket = yield* use(SocketIoClient.connect("/"))
    const text = "x".repeat(10_000)
    yield* socket.compress(false).emit("text", text)
    yield* Effect.sleep("20 millis")
    yield* socket.emit("text", text)
    yield* socket.emit("done")
    yield* Deferred.await(done)
    const total = sizes.reduce((sum, size) => sum + size, 0)
    assert.isAbove(total, 10_000)
    assert.isBelow(total, 12_000)
  })
)

it.effect("a refusal that the server answers is an AckError, also of an event that declares no failures", () =>
  Effect.gen(function* () {
    const { platform, use } = yield* fakeClient()
    const socket = yield* use(SocketIoClient.socket(Numbers))
    const server = platform.sockets[0]!
    server.accept()
    server.events.onText('40/numbers,{"sid":"id"}')
    let id = 0
    for (const [_tag, reason] of [
      ["PayloadRefused", "PayloadRefused"],
      ["EventRefused", "EventRefused"],
      ["EventUnhandled", "EventNotHandled"],
      ["InternalError", "HandlerFailed"]
    ] as const) {
      for (const ask of [socket.emitWithAck("double", 1), socket.emitWithAck("touch")]) {
        const asking = yield* Effect.forkChild(Effect.flip(ask as typeof ask), { startImmediately: true })
        server.events.onText(`43/numbers,${id++}[{"_tag":"Failure","error":{"_tag":"${_tag}","message":"why"}}]`)
        const error = yield* Fiber.join(asking)
        assert.deepInclude(error, { _tag: "AckError", reason: { _tag: reason, description: "why" } })
      }
    }
  })
)
