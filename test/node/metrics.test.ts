/**
 * The engine's counts of real connections.
 */
import type { Socket as NetSocket } from "node:net"

import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Metric } from "effect"
import { WebSocket } from "ws"

import type * as Namespace from "../../src/Namespace.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { read } from "../support/metrics.ts"
import { engineUrl, Inbox, request, within } from "../support/RawClient.ts"
import { connect, serve } from "../support/serve.ts"

describe("metrics of a server on a real port", () => {
  const setup = Effect.fnUntraced(function* (registry: Map<string, any>, maxOutbox = 200_000_000) {
    const sockets: Array<ServerSocket<Namespace.Untyped>> = []
    const ended = yield* Deferred.make<string>()
    const { url } = yield* serve(
      SocketIoServer.layerNamespace("/", (socket) =>
        Effect.gen(function* () {
          sockets.push(socket)
          yield* socket.on("echo", (...args) => Effect.succeed(args))
          yield* Effect.forkScoped(
            Effect.flatMap(socket.disconnected, (reason) => Deferred.succeed(ended, reason)),
            { startImmediately: true, uninterruptible: true }
          )
        })
      ),
      { limits: { maxOutbox }, drainTimeout: "50 millis" }
    ).pipe(Effect.provideService(Metric.MetricRegistry, registry))
    const now = Effect.provideService(read, Metric.MetricRegistry, registry)
    return { url, sockets, now, ended: Deferred.await(ended) }
  })

  /** A WebSocket in the default namespace. */
  const open = Effect.fnUntraced(function* (url: string) {
    const inbox = new Inbox<string>()
    const target = engineUrl(url, { EIO: "4", transport: "websocket" }).replace("http", "ws")
    const ws = yield* Effect.acquireRelease(
      Effect.sync(() => new WebSocket(target)),
      (ws) => Effect.sync(() => ws.terminate())
    )
    ws.on("message", (data: Buffer) => inbox.push(data.toString()))
    yield* Effect.promise(() => within("open WebSocket", new Promise((resolve) => ws.once("open", resolve))))
    const { _socket: connection } = ws as unknown as { readonly _socket: NetSocket }
    const next = Effect.promise(() => inbox.next("WebSocket message"))
    ws.send("40")
    yield* next
    yield* next
    return { ws, next, connection }
  })

  it.live("the bytes of a WebSocket are what its connection carries, frames included", () =>
    Effect.gen(function* () {
      const { now, url } = yield* setup(new Map())
      const { connection, next, ws } = yield* open(url)
      const before = yield* now
      const { bytesRead, bytesWritten } = connection
      for (const size of [1, 1_000, 100_000]) {
        ws.send(`421["echo","${"x".repeat(size)}"]`)
        assert.match(yield* next, /^431\[\["x/)
      }
      const after = yield* now
      const grown = (name: string) => after[name]! - before[name]!
      assert.strictEqual(grown("bytes_sent{websocket}"), connection.bytesRead - bytesRead)
      assert.strictEqual(grown("bytes_received{websocket}"), connection.bytesWritten - bytesWritten)
      assert.deepStrictEqual([grown("packets_sent"), grown("packets_received")], [3, 3])
      // From its beginning on, without the handshake: the open packet and the reply to CONNECT are below 300 bytes.
      assert.isBelow(before["bytes_sent{websocket}"]!, 300)
      assert.strictEqual(before["bytes_received{websocket}"], "40".length + 2 + 4)
    })
  )

  it.live("the bytes of long-polling are those of bodies, before compression", () =>
    Effect.gen(function* () {
      const { now, sockets, url } = yield* setup(new Map())
      const open = yield* Effect.promise(() => request(engineUrl(url, { EIO: "4", transport: "polling" })))
      const { sid } = JSON.parse(open.body.slice(1))
      const target = engineUrl(url, { EIO: "4", transport: "polling", sid })
      yield* Effect.promise(() => request(target, { method: "POST", body: "40" }))
      const connected = yield* Effect.promise(() => request(target))
      yield* sockets[0]!.emit("text", "ä".repeat(10_000))
      const compressed = yield* Effect.promise(() => request(target, { headers: { "accept-encoding": "gzip" } }))
      assert.isBelow(compressed.bytes.length, 1_000)
      const { "bytes_received{polling}": received, "bytes_sent{polling}": sent } = yield* now
      assert.strictEqual(received, 2)
      assert.strictEqual(sent, open.bytes.length + connected.bytes.length + '42["text",""]'.length + 20_000)
    })
  )

  it.live("the outbox rises for a client that does not read, and falls when it goes", () =>
    Effect.gen(function* () {
      const { ended, now, sockets, url } = yield* setup(new Map())
      const { connection, ws } = yield* open(url)
      connection.pause()
      const mebibyte = "x".repeat(1024 * 1024)
      // More than the buffers of the operating system take.
      for (let i = 0; i < 64; i++) yield* sockets[0]!.emit("text", mebibyte)
      assert.isAbove((yield* now).outbox_bytes!, 32 * 1024 * 1024)
      ws.terminate()
      yield* ended
      // Its session is gone within the turn in which its end was noticed.
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.notProperty(yield* now, "outbox_bytes")
      assert.notProperty(yield* now, "connections{websocket}")
    })
  )

  it.live("official clients are counted from their first request to the end of the server", () =>
    Effect.gen(function* () {
      const registry = new Map()
      const now = Effect.provideService(read, Metric.MetricRegistry, registry)
      const counted = yield* Effect.scoped(
        Effect.gen(function* () {
          const { url } = yield* setup(registry)
          const upgraded = (yield* connect(url, { transports: ["polling", "websocket"] })).io.engine
          yield* connect(url, { transports: ["polling"] })
          yield* connect(url, { transports: ["websocket"] })
          if (upgraded.transport.name === "polling") {
            yield* Effect.promise(() =>
              within("upgrade", new Promise<void>((resolve) => upgraded.once("upgrade", () => resolve())))
            )
          }
          yield* Effect.promise(() => request(engineUrl(url, { EIO: "4", transport: "pigeon" })))
          return yield* now
        })
      )
      assert.include(counted, {
        connections_opened: 3,
        "connections{polling}": 1,
        "handshake_refusals{0}": 1
      })
      const after = yield* now
      assert.isTrue(Object.keys(after).every((name) => !/^(connections\{|outbox)/.test(name)))
      for (const name of ["packets_sent", "packets_received", "bytes_sent{polling}", "bytes_sent{websocket}"]) {
        assert.isAtLeast(after[name]!, counted[name]!)
      }
    })
  )
})
