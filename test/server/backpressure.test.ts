/**
 * Clients that send faster than their handlers are done: they are not read until these have caught up.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Metric, Queue } from "effect"
import type { Socket } from "socket.io-client"

import * as EngineMetrics from "../../src/engine/EngineMetrics.ts"
import type * as Namespace from "../../src/Namespace.ts"
import type { NodeOptions } from "../../src/node/NodeSocketIoServer.ts"
import type { ServerSocket } from "../../src/server/ServerSocket.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { openClient, transports } from "../support/RawClient.ts"
import { call, connect, next, serve } from "../support/serve.ts"
import { soon } from "../support/handshake.ts"
import { together } from "../support/options.ts"

/** Far away, so that no test passes because of it. */
const bounds: NodeOptions = {
  reading: { pauseAt: 10, resumeAt: 5, pauseTimeout: "1 hour" },
  limits: { maxPendingEvents: 20 }
}

/** A namespace without a contract whose sockets are prepared by the test. */
const plain = Effect.fnUntraced(function* (
  prepare: (socket: ServerSocket<Namespace.Untyped>) => Effect.Effect<unknown, never, any>,
  options: NodeOptions = {}
) {
  const sockets = yield* Queue.unbounded<ServerSocket<Namespace.Untyped>>()
  const registry = new Map()
  const serving = yield* serve(
    SocketIoServer.layerNamespace("/", (socket) =>
      Effect.asVoid(Effect.andThen(prepare(socket) as Effect.Effect<unknown>, Queue.offer(sockets, socket)))
    ),
    together({ drainTimeout: "50 millis", ...bounds }, options)
  ).pipe(Effect.provideService(Metric.MetricRegistry, registry))
  const pauses = Effect.map(
    Effect.provideService(Metric.value(EngineMetrics.readPauses), Metric.MetricRegistry, registry),
    ({ count }) => Number(count)
  )
  /** Waits until reading has been paused so often. */
  const paused = (times: number) =>
    soon("pause", Effect.repeat(Effect.andThen(Effect.sleep("1 millis"), pauses), { until: (count) => count >= times }))
  return { ...serving, socket: Queue.take(sockets), pauses, paused }
})

const range = (count: number) => Array.from({ length: count }, (_, i) => i)

const allow = (permits: Queue.Queue<void>, count: number) =>
  Queue.offerAll(
    permits,
    range(count).map(() => undefined)
  )

const flood = (socket: Socket, event: string, count: number) => {
  for (const i of range(count)) socket.emit(event, i)
}

for (const transport of transports) {
  const options = { transports: [transport] }

  describe(`a client whose handlers are behind, over ${transport}`, () => {
    it.live("is read no further than they may be, and loses nothing when they catch up", () =>
      Effect.gen(function* () {
        const permits = yield* Queue.unbounded<void>()
        const done = yield* Deferred.make<void>()
        const seen: Array<number> = []
        let running = 0
        let most = 0
        const { paused, socket, url } = yield* plain((socket) =>
          Effect.andThen(
            socket.on("echo", (n) => Effect.succeed(n)),
            socket.on("work", (n) =>
              Effect.suspend(() => {
                seen.push(Number(n))
                most = Math.max(most, ++running)
                return Queue.take(permits)
              }).pipe(
                Effect.tap(() => Effect.sync(() => running--)),
                Effect.tap(() => (n === 199 ? Deferred.succeed(done, undefined) : Effect.void))
              )
            )
          )
        )
        const official = yield* connect(url, options)
        const other = yield* connect(url)
        flood(official, "work", 200)
        yield* paused(1)
        assert.lengthOf(seen, 10)
        // Not one more before the lower mark.
        yield* allow(permits, 4)
        for (const n of range(5)) assert.strictEqual(yield* call(other, "echo", n), n)
        assert.deepStrictEqual([seen.length, running], [10, 6])
        yield* allow(permits, 6)
        yield* paused(2)
        assert.deepStrictEqual([seen.length, running], [20, 10])
        yield* allow(permits, 200)
        yield* soon("end of the work", Deferred.await(done))
        assert.deepStrictEqual(seen, range(200))
        assert.strictEqual(most, 10)
        assert.isTrue((yield* socket).connected)
      })
    )

    it.live("is read as long as an acknowledgement of it is awaited", () =>
      Effect.gen(function* () {
        const { url } = yield* plain(
          (socket) => socket.on("ask", (n) => Effect.map(socket.emitWithAck("question", n), ([answer]) => answer)),
          { limits: { maxPendingEvents: 1_000 } }
        )
        const official = yield* connect(url, options)
        official.on("question", (n, answer) => answer(n * 2))
        const answers = yield* Effect.forEach(range(100), (n) => call(official, "ask", n), { concurrency: "unbounded" })
        assert.deepStrictEqual(
          answers,
          range(100).map((n) => n * 2)
        )
      })
    )

    it.live("is read again as soon as one of them asks it for something", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { paused, url } = yield* plain((socket) =>
          socket.on("ask", () => Effect.andThen(Deferred.await(gate), socket.emitWithAck("question")))
        )
        const official = yield* connect(url, options)
        official.on("question", (answer: (text: string) => void) => answer("fine"))
        flood(official, "ask", 9)
        const last = call(official, "ask")
        const answer = yield* Effect.forkChild(last, { startImmediately: true })
        yield* paused(1)
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(yield* soon("answer", Fiber.join(answer)), ["fine"])
      })
    )

    it.live("is read again when no handler gets done for a while, as they may wait for what it sends", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { pauses, url } = yield* plain(
          (socket) =>
            Effect.andThen(
              socket.on("wait", () => Deferred.await(gate)),
              socket.on("go", () => Deferred.succeed(gate, undefined))
            ),
          { reading: { pauseTimeout: "50 millis" } }
        )
        const official = yield* connect(url, options)
        flood(official, "wait", 15)
        assert.isTrue(yield* call(official, "go"))
        assert.strictEqual(yield* pauses, 1)
      })
    )

    it.live("loses its connection when it sends beyond the bound all the same", () =>
      Effect.gen(function* () {
        const { socket, url } = yield* plain((socket) => socket.on("wait", () => Effect.never), {
          reading: { pauseTimeout: "50 millis" }
        })
        const official = yield* connect(url, options)
        const ours = yield* socket
        flood(official, "wait", 21)
        assert.strictEqual(yield* soon("end", ours.disconnected), "inbound overflow")
      })
    )

    it.live("is not taken for dead meanwhile", () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const { paused, socket, url } = yield* plain((socket) => socket.on("wait", () => Deferred.await(gate)), {
          heartbeat: { pingInterval: 200, pingTimeout: 600 }
        })
        const official = yield* connect(url, options)
        const ours = yield* socket
        flood(official, "wait", 15)
        yield* paused(1)
        // Several times as long as a client has for its pong: it would have been given up by then.
        yield* Effect.sleep("2 seconds")
        assert.isTrue(ours.connected)
        yield* Deferred.succeed(gate, undefined)
        yield* call(official, "wait")
        assert.isTrue(ours.connected && official.connected)
      })
    )

    it.live("is missed when its connection is gone", () =>
      Effect.gen(function* () {
        const { paused, socket, url } = yield* plain((socket) => socket.on("wait", () => Effect.never), {
          heartbeat: { pingInterval: 50, pingTimeout: 50 }
        })
        const raw = yield* Effect.promise(() => openClient(transport, url))
        yield* Effect.promise(() => raw.send("40"))
        const ours = yield* socket
        const sent = raw.send(...range(15).map((n) => `42["wait",${n}]`))
        sent.catch(() => {})
        yield* paused(1)
        if ("socket" in raw) (raw as unknown as { socket: { terminate(): void } }).socket.terminate()
        else void raw.close()
        assert.match(yield* soon("end", ours.disconnected), /^transport (close|error)$/)
      })
    )

    it.live("is told at once when the server closes its connection", () =>
      Effect.gen(function* () {
        const { paused, socket, url } = yield* plain((socket) => socket.on("wait", () => Effect.never))
        const official = yield* connect(url, options)
        const ours = yield* socket
        flood(official, "wait", 15)
        yield* paused(1)
        const gone = next(official, "disconnect")
        const closed = new Promise((resolve) => official.io.engine.once("close", resolve))
        yield* ours.disconnect({ close: true })
        yield* gone
        yield* soon(
          "close",
          Effect.promise(() => closed)
        )
      })
    )
  })
}
