/**
 * Networks that treat connections badly, between real clients and the server.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Option, Stream } from "effect"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import type { DisconnectReason } from "../../src/DisconnectReason.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { faultyProxy } from "../support/FaultyProxy.ts"
import { PollingClient, RawSocket } from "../support/RawClient.ts"
import { call, connect, serve } from "../support/serve.ts"

const ways = {
  polling: { transports: ["polling"] },
  WebSocket: { transports: ["websocket"] },
  "an upgrade": {}
} as const

/** An echo whose sockets' ends are told. */
const serving = Effect.fnUntraced(function* (options: Parameters<typeof serve>[1] = {}) {
  const ends: Array<{ readonly reason: DisconnectReason; readonly at: number }> = []
  const ended = yield* Deferred.make<void>()
  const { logs, server, url } = yield* serve(
    SocketIoServer.layerNamespace(
      "/",
      Effect.fnUntraced(function* (socket) {
        yield* socket.on("echo", (...args) => Effect.succeed(args.length === 1 ? args[0] : args))
        yield* socket.onDisconnecting((reason) =>
          Effect.andThen(
            Effect.sync(() => ends.push({ reason, at: performance.now() })),
            Deferred.succeed(ended, undefined)
          )
        )
      })
    ),
    options
  )
  return { ends, ended: Deferred.await(ended), logs, server, url }
})

const ours = Effect.fnUntraced(function* (url: string, options: Partial<ClientOptions>) {
  const client = yield* Layer.build(SocketIoClient.layer({ url, ...options }))
  return yield* Effect.provideContext(SocketIoClient.connect("/"), client)
})

describe("a network that passes on one byte at a time", () => {
  for (const [way, options] of Object.entries(ways)) {
    it.live(`changes nothing (${way})`, () =>
      Effect.gen(function* () {
        const { url } = yield* serving()
        const proxy = yield* faultyProxy(url, { segment: 1 })
        const official = yield* connect(proxy.url, {
          ...options,
          transports: [...("transports" in options ? options.transports : ["polling", "websocket"])]
        })
        const mine = yield* ours(proxy.url, options)
        const text = "grüße 😀 ".repeat(20)
        for (let i = 0; i < 3; i++) {
          assert.strictEqual(yield* call(official, "echo", text), text)
          assert.deepStrictEqual(yield* mine.emitWithAck("echo", text), [text])
        }
        const bytes = Buffer.from(Uint8Array.from({ length: 300 }, (_, i) => i % 256))
        assert.deepStrictEqual(yield* call(official, "echo", bytes), bytes)
        assert.deepStrictEqual(
          (yield* mine.emitWithAck("echo", bytes)).map((value) => Buffer.from(value as Uint8Array)),
          [bytes]
        )
      })
    )
  }
})

describe("a network that stalls without a word", () => {
  const pingInterval = 400
  const pingTimeout = 300
  /** Deadlines are seen to in steps, and the machine is busy with other tests. */
  const patience = pingInterval + pingTimeout + 1_000

  for (const [way, options] of Object.entries(ways)) {
    it.live(`is noticed on both ends in time (${way})`, () =>
      Effect.gen(function* () {
        const { ended, ends, url } = yield* serving({ heartbeat: { pingInterval, pingTimeout } })
        const proxy = yield* faultyProxy(url)
        const socket = yield* ours(proxy.url, { ...options, reconnection: false })
        const gone = yield* Effect.forkChild(
          Stream.runHead(Stream.filter(socket.status, ({ _tag }) => _tag === "Disconnected")),
          { startImmediately: true }
        )
        yield* socket.emitWithAck("echo", 1)
        proxy.stall()
        const stalledAt = performance.now()
        const status = Option.getOrThrow(yield* Fiber.join(gone))
        const noticed = performance.now() - stalledAt
        yield* ended
        assert.deepStrictEqual(status, { _tag: "Disconnected", reason: "ping timeout", willRetry: false })
        assert.isAtMost(noticed, patience)
        assert.strictEqual(ends[0]!.reason, "ping timeout")
        assert.isAtMost(ends[0]!.at - stalledAt, patience)
      })
    )
  }
})

describe("a network that resets connections", () => {
  it.live("in the middle of a frame ends that connection alone", () =>
    Effect.gen(function* () {
      const { ended, ends, logs, url } = yield* serving()
      const proxy = yield* faultyProxy(url)
      const neighbour = yield* connect(url, { transports: ["websocket"] })
      proxy.resetAfter(2_000)
      const socket = new RawSocket(proxy.url, { EIO: "4", transport: "websocket" })
      yield* Effect.promise(() => socket.opened)
      socket.send("40")
      assert.match(String(yield* Effect.promise(() => socket.next())), /^0/)
      assert.match(String(yield* Effect.promise(() => socket.next())), /^40/)
      socket.send(`42["echo","${"x".repeat(5_000)}"]`)
      yield* ended
      assert.include(["transport close", "transport error"], ends[0]!.reason)
      assert.strictEqual(yield* call(neighbour, "echo", "still here"), "still here")
      assert.deepStrictEqual(logs, [])
    })
  )

  it.live("in the middle of a post ends that session alone", () =>
    Effect.gen(function* () {
      const { ended, ends, logs, url } = yield* serving()
      const proxy = yield* faultyProxy(url)
      const neighbour = yield* connect(url, { transports: ["polling"] })
      const sid = yield* Effect.promise(() => PollingClient.handshake(url))
      const direct = new PollingClient(url, sid, false)
      yield* Effect.promise(() => direct.post("40"))
      proxy.resetAfter(2_000)
      const client = new PollingClient(proxy.url, sid, false)
      const failed = yield* Effect.promise(() =>
        client.post(`42["echo","${"x".repeat(50_000)}"]`).then(
          () => false,
          () => true
        )
      )
      assert.isTrue(failed)
      yield* ended
      assert.strictEqual(ends[0]!.reason, "transport error")
      assert.strictEqual(yield* call(neighbour, "echo", "still here"), "still here")
      assert.deepStrictEqual(logs, [])
    })
  )

  it.live("all at once: everybody is back, and goes on", () =>
    Effect.gen(function* () {
      const { url } = yield* serving()
      const proxy = yield* faultyProxy(url)
      const sockets = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, i) => i),
        (i) => ours(proxy.url, Object.values(ways)[i % 3]!),
        { concurrency: 20 }
      )
      const ids = sockets.map(({ id }) => id)
      proxy.reset()
      // Sent while nobody is connected: it waits.
      const answers = yield* Effect.forEach(
        sockets,
        (socket, i) =>
          Effect.retry(socket.emitWithAck("echo", i), {
            while: ({ reason }) => reason._tag === "Disconnected",
            times: 5
          }),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        answers,
        sockets.map((_, i) => [i])
      )
      // A client that polls may have no request under way when all are reset, and keeps its session.
      for (const [i, socket] of sockets.entries()) if (i % 3 > 0) assert.notStrictEqual(socket.id, ids[i])
    })
  )
})

describe("a slow network", () => {
  it.live("of one client keeps nobody else waiting, and what that one is sent is bounded", () =>
    Effect.gen(function* () {
      const maxOutbox = 200_000
      const { ended, ends, server, url } = yield* serving({
        limits: { maxOutbox },
        heartbeat: { pingInterval: "1 minute" }
      })
      const proxy = yield* faultyProxy(url, { rate: 1_000 })
      const slow = yield* connect(proxy.url, { transports: ["websocket"] })
      let slowly = 0
      slow.on("news", () => slowly++)
      const fast = yield* connect(url, { transports: ["websocket"] })
      let received = 0
      fast.on("news", () => received++)
      const all = yield* Effect.provideContext(SocketIoServer.namespace("/"), server)
      const news = "n".repeat(100_000)
      let sent = 0
      // Until the slow one is given up: what the kernel's buffers take is not ours to say.
      while (ends.length === 0 && sent < 1_000) {
        yield* all.emit("news", news)
        sent++
        assert.strictEqual(yield* call(fast, "echo", sent), sent)
      }
      yield* ended
      assert.deepStrictEqual(
        ends.map(({ reason }) => reason),
        ["outbox overflow"]
      )
      assert.strictEqual(received, sent)
      assert.isBelow(slowly, sent)
    })
  )
})
