/**
 * Events for one socket with flags: volatile, compress.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Metric, Queue, Schema } from "effect"

import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as ServerMetrics from "../../src/server/ServerMetrics.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { PollingClient, request } from "../support/RawClient.ts"
import { connect, next, serve } from "../support/serve.ts"

class Radar extends Namespace.make("/radar", {
  serverToClient: [
    Event.make("echo", { payload: Schema.Int }),
    Event.make("ask", { payload: Schema.String, ack: Schema.Int })
  ]
}) {}

const radar = Effect.fnUntraced(function* () {
  const sockets = yield* Queue.unbounded<ServerSocket<typeof Radar>>()
  const { url } = yield* serve(
    SocketIoServer.layerNamespace(Radar, (socket) => Effect.as(Queue.offer(sockets, socket), Radar.of({}))),
    { limits: { maxPendingAcks: 1 } }
  )
  return { url, socket: Queue.take(sockets) }
})

/** The socket of a client that does not poll until it is asked to. */
const idle = Effect.gen(function* () {
  const { socket, url } = yield* radar()
  const client = new PollingClient(url, yield* Effect.promise(() => PollingClient.handshake(url)), false)
  yield* Effect.addFinalizer(() => Effect.promise(() => client.close()))
  yield* Effect.promise(() => client.post("40/radar,"))
  const poll = Effect.map(
    Effect.promise(() => request(client.url)),
    ({ body }) => body
  )
  assert.match(yield* poll, /^40\/radar,/)
  return { client, poll, socket: yield* socket }
})

const dropped = Effect.map(
  Metric.value(Metric.withAttributes(ServerMetrics.volatileDropped, { namespace: "/radar" })),
  ({ count }) => count
)

describe("a volatile event", () => {
  it.live("is dropped and counted while it would have to wait, and what is not volatile waits", () =>
    Effect.gen(function* () {
      const { poll, socket } = yield* idle
      const seen: Array<unknown> = []
      yield* socket.onAnyOutgoing((event, args) => Effect.sync(() => seen.push([event, ...args])))
      const before = yield* dropped
      yield* socket.volatile.emit("echo", 1)
      yield* socket.emit("echo", 2)
      yield* socket.untyped.volatile.emit("echo", 3)
      assert.strictEqual(yield* dropped, before + 2)
      assert.strictEqual(yield* poll, '42/radar,["echo",2]')
      assert.deepStrictEqual(seen, [["echo", 2]])
    })
  )

  it.live("that asks for an acknowledgement fails when it is dropped, and nobody waits for it", () =>
    Effect.gen(function* () {
      const { client, poll, socket } = yield* idle
      const before = yield* dropped
      const notSent = { _tag: "AckError", event: "ask", reason: { _tag: "NotSent" } } as const
      assert.deepInclude(yield* Effect.flip(socket.volatile.emitWithAck("ask", "1")), notSent)
      assert.deepInclude(yield* Effect.flip(socket.untyped.volatile.emitWithAck("ask", "2")), notSent)
      assert.strictEqual(yield* dropped, before + 2)
      // No more than one may be pending: the others are not.
      const asking = yield* Effect.forkChild(socket.emitWithAck("ask", "3"), { startImmediately: true })
      const [, id] = /^42\/radar,(\d+)\["ask","3"\]$/.exec(yield* poll)!
      yield* Effect.promise(() => client.post(`43/radar,${id}[7]`))
      assert.strictEqual(yield* Fiber.join(asking), 7)
    })
  )

  it.live("reaches a client that is not behind", () =>
    Effect.gen(function* () {
      const { socket, url } = yield* radar()
      const client = yield* connect(`${url}/radar`, { transports: ["websocket"] })
      client.on("ask", (question: string, answer) => answer(question.length))
      const ours = yield* socket
      const echo = next(client, "echo")
      yield* ours.volatile.emit("echo", 1)
      assert.deepStrictEqual(yield* echo, [1])
      assert.strictEqual(yield* ours.volatile.emitWithAck("ask", "who?"), 4)
    })
  )
})

describe("an event that must not be compressed", () => {
  it.live("arrives, with or without a contract, and can be asked for an acknowledgement", () =>
    Effect.gen(function* () {
      const { socket, url } = yield* radar()
      const client = yield* connect(`${url}/radar`, { transports: ["websocket"] })
      client.on("ask", (question: string, answer) => answer(question.length))
      const heard: Array<unknown> = []
      client.on("echo", (n) => heard.push(n))
      const ours = yield* socket
      yield* ours.compress(false).emit("echo", 1)
      yield* ours.compress(false).volatile.emit("echo", 2)
      yield* ours.volatile.compress(true).emit("echo", 3)
      yield* ours.untyped.compress(false).emit("echo", 4)
      assert.strictEqual(yield* ours.compress(false).emitWithAck("ask", "who?"), 4)
      assert.deepStrictEqual(heard, [1, 2, 3, 4])
    })
  )
})
