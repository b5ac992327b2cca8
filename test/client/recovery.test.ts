/**
 * Connections that the server recovers: asked for with what the client remembers, and given by the official server.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Queue, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Server } from "socket.io"

import type { SocketStatus } from "../../src/client/ClientSocket.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform } from "../../src/engine/ClientPlatform.ts"
import { makeFakePlatform } from "../support/fakeClientPlatform.ts"

/** An official server that recovers connections, until the test is over. */
const recovering = Effect.acquireRelease(
  Effect.callback<{ readonly io: Server; readonly url: string }>((resume) => {
    const http = createServer()
    const io = new Server(http, { serveClient: false, connectionStateRecovery: {} })
    io.on("connection", (socket) => {
      if (!socket.recovered) void socket.join("room")
      socket.data.name ??= "somebody"
      socket.on("bye", () => socket.disconnect())
    })
    http.listen(0, "127.0.0.1", () =>
      resume(Effect.succeed({ io, url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` }))
    )
  }),
  ({ io }) => Effect.promise(() => io.close())
)

/** Reads statuses up to the first connection. */
const connected = (statuses: Queue.Dequeue<SocketStatus, any>) =>
  Effect.gen(function* () {
    for (;;) {
      const status = yield* Queue.take(statuses)
      if (status._tag === "Connected") return status
    }
  })

describe("a connection that the official server recovers", () => {
  for (const [way, options] of [
    ["polling", { transports: ["polling"] }],
    ["WebSocket", { transports: ["websocket"] }],
    ["an upgrade", {}]
  ] as const) {
    it.live(`keeps its id and rooms, and gets what it missed, in order (${way})`, () =>
      Effect.gen(function* () {
        const { io, url } = yield* recovering
        const client = yield* Layer.build(
          SocketIoClient.layer({ url, ...options, reconnection: Schedule.spaced("50 millis") })
        )
        const socket = yield* Effect.provideContext(SocketIoClient.connect("/"), client)
        const statuses = yield* Stream.toQueue(socket.status, { capacity: "unbounded" })
        const news = yield* Stream.toQueue(yield* socket.subscribe("news"), { capacity: "unbounded" })
        const next = Effect.map(Queue.take(news), ([n]) => n)
        const first = yield* connected(statuses)
        assert.isFalse(first.recovered)
        assert.isFalse(socket.recovered)
        io.to("room").emit("news", 1)
        assert.strictEqual(yield* next, 1)

        for (const round of [0, 10]) {
          // The connection breaks without a word, and while it is broken more comes.
          const onServer = io.of("/").sockets.get(first.id)!
          const gone = new Promise((resolve) => onServer.once("disconnect", resolve))
          onServer.conn.transport.close()
          onServer.conn.close()
          yield* Effect.promise(() => gone)
          io.to("room").emit("news", round + 2)
          io.emit("news", round + 3)
          io.to("elsewhere").emit("news", "not this")
          const again = yield* connected(statuses)
          assert.deepStrictEqual(again, { _tag: "Connected", id: first.id, recovered: true })
          assert.isTrue(socket.recovered)
          io.to("room").emit("news", round + 4)
          assert.deepStrictEqual([yield* next, yield* next, yield* next], [round + 2, round + 3, round + 4])
          assert.strictEqual(io.of("/").sockets.get(first.id)!.data.name, "somebody")
        }
      })
    )
  }

  it.live("is not recovered if the server sends more again than the client keeps until it is told so", () =>
    Effect.gen(function* () {
      const { io, url } = yield* recovering
      const client = yield* Layer.build(
        SocketIoClient.layer({ url, transports: ["websocket"], reconnection: Schedule.spaced("50 millis") })
      )
      const socket = yield* Effect.provideContext(SocketIoClient.connect("/"), client)
      const statuses = yield* Stream.toQueue(socket.status, { capacity: "unbounded" })
      const first = yield* connected(statuses)
      io.to("room").emit("news", 0)
      yield* socket.stream("news").pipe(Stream.take(1), Stream.runDrain)
      const onServer = io.of("/").sockets.get(first.id)!
      const gone = new Promise((resolve) => onServer.once("disconnect", resolve))
      onServer.conn.transport.close()
      onServer.conn.close()
      yield* Effect.promise(() => gone)
      for (let i = 1; i <= 10_001; i++) io.to("room").emit("news", i)
      const again = yield* connected(statuses)
      assert.deepStrictEqual(again, { _tag: "Connected", id: first.id, recovered: false })
    })
  )

  it.live("is a new one after the server has disconnected it", () =>
    Effect.gen(function* () {
      const { url } = yield* recovering
      const client = yield* Layer.build(SocketIoClient.layer({ url, transports: ["websocket"] }))
      const socket = yield* Effect.provideContext(SocketIoClient.connect("/"), client)
      const before = socket.id
      const statuses = yield* Stream.toQueue(socket.status, { capacity: "unbounded" })
      yield* socket.emit("bye")
      while ((yield* Queue.take(statuses))._tag !== "Disconnected");
      yield* socket.reconnect()
      assert.notStrictEqual(socket.id, before)
      assert.isFalse(socket.recovered)
    })
  )
})

describe("what a client asks a server that recovers connections for", () => {
  const setup = Effect.fnUntraced(function* (auth?: Record<string, unknown>) {
    const platform = makeFakePlatform()
    const client = yield* SocketIoClient.make({
      url: "http://test",
      transports: ["websocket"],
      reconnection: Schedule.spaced(1)
    }).pipe(Effect.provideService(ClientPlatform, platform))
    const socket = yield* SocketIoClient.socket("/", auth === undefined ? {} : { auth }).pipe(
      Effect.provideService(SocketIoClient.SocketIoClient, client)
    )
    /** Accepts the connection; gives what the client asks with. */
    const asked = Effect.gen(function* () {
      const server = platform.sockets.at(-1)!
      server.accept()
      yield* TestClock.adjust(0)
      return { server, connect: String(server.take()) }
    })
    const lost = Effect.suspend(() => {
      platform.sockets.at(-1)!.fail("gone")
      return TestClock.adjust("20 millis")
    })
    return { socket, asked, lost }
  })

  it.effect("is nothing, until the server gives a private id", () =>
    Effect.gen(function* () {
      const { asked, lost, socket } = yield* setup()
      const first = yield* asked
      assert.strictEqual(first.connect, "40")
      first.server.events.onText('40{"sid":"a"}')
      first.server.events.onText('42["news","looks like an offset"]')
      yield* lost
      const second = yield* asked
      assert.strictEqual(second.connect, "40")
      second.server.events.onText('40{"sid":"b"}')
      assert.isFalse(socket.recovered)
    })
  )

  it.effect("is the private id and the last offset; what the application says counts over them", () =>
    Effect.gen(function* () {
      const { asked, lost, socket } = yield* setup({ token: "t", offset: "mine" })
      const first = yield* asked
      first.server.events.onText('40{"sid":"a","pid":"private"}')
      first.server.events.onText('42["news",1,"offset-1"]')
      yield* lost
      const second = yield* asked
      assert.deepStrictEqual(JSON.parse(second.connect.slice(2)), { pid: "private", offset: "mine", token: "t" })
      // Not recovered: the id is another one, and the offsets begin anew.
      second.server.events.onText('40{"sid":"b","pid":"other"}')
      assert.isFalse(socket.recovered)
    })
  )

  it.effect("is the offset of the last event that has one, also of those that came while it was recovered", () =>
    Effect.gen(function* () {
      const { asked, lost, socket } = yield* setup()
      const first = yield* asked
      first.server.events.onText('40{"sid":"a","pid":"private"}')
      first.server.events.onText('42["news","offset-1"]')
      first.server.events.onText('42["news",1]')
      // It asks for an answer, so it has no offset.
      first.server.events.onText('427["news","a text"]')
      yield* lost
      const second = yield* asked
      assert.strictEqual(second.connect, '40{"pid":"private","offset":"offset-1"}')
      second.server.events.onText('42["news","offset-2"]')
      second.server.events.onText('40{"sid":"a","pid":"private"}')
      assert.isTrue(socket.recovered)
      yield* lost
      assert.isFalse(socket.recovered)
      const third = yield* asked
      assert.strictEqual(third.connect, '40{"pid":"private","offset":"offset-2"}')
      third.server.events.onText('40{"sid":"c","pid":"other"}')
      yield* lost
      assert.strictEqual((yield* asked).connect, '40{"pid":"other"}')
    })
  )
})
