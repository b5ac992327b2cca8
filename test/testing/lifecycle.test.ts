/**
 * The end of a test's layer, while nobody moves the clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Metric, Queue, Scope } from "effect"
import type * as Namespace from "../../src/Namespace.ts"
import { type ServerSocket, SocketIoServer } from "effect-socket.io/server"
import { TestSocketIo } from "effect-socket.io/testing"

/** Counts the fibers that run and the sleeps that nobody has ended, of what is built with it. */
const census = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  let sleeps = 0
  let fibers = 0
  const counting: Clock.Clock = Object.assign(Object.create(clock), {
    sleep: (duration: Parameters<Clock.Clock["sleep"]>[0]) =>
      Effect.acquireUseRelease(
        Effect.sync(() => void sleeps++),
        () => clock.sleep(duration),
        () => Effect.sync(() => void sleeps--)
      )
  })
  const recording: Metric.FiberRuntimeMetricsService = {
    recordFiberStart: () => void fibers++,
    recordFiberEnd: () => void fibers--
  }
  const within = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(
      Effect.provideService(Clock.Clock, counting),
      Effect.provideService(Metric.FiberRuntimeMetrics, recording)
    )
  return { within, sleeps: () => sleeps, fibers: () => fibers }
})

/** A served namespace in a scope of its own, and what is left when that closes. */
const serving = Effect.fnUntraced(function* (options: TestSocketIo.TestOptions = {}) {
  const sockets = yield* Queue.unbounded<ServerSocket.ServerSocket<Namespace.Untyped>>()
  const log: Array<string> = []
  const Live = SocketIoServer.layerNamespace(
    "/",
    Effect.fnUntraced(function* (socket) {
      yield* socket.on("forget", () => Effect.never)
      // A finalizer that takes its turns is waited for.
      yield* Effect.addFinalizer(() =>
        Effect.andThen(
          Effect.repeat(Effect.yieldNow, { times: 30 }),
          Effect.sync(() => log.push("finalized"))
        )
      )
      yield* Queue.offer(sockets, socket)
    })
  )
  const { fibers, sleeps, within } = yield* census
  const scope = yield* Scope.make()
  const context = yield* within(Layer.buildWithScope(Layer.provideMerge(Live, TestSocketIo.layer(options)), scope))
  const here = Effect.provideContext(context)
  const close = within(Scope.close(scope, Exit.void))
  // The fiber that was waited for last ends in the turn behind.
  const left = Effect.map(Effect.yieldNow, () => ({ fibers: fibers(), sleeps: sleeps() }))
  return { here, log, sockets, close, left }
})

const nothing = { fibers: 0, sleeps: 0 }

describe("the end of a test's layer", () => {
  it.effect("leaves nothing behind of a server that nobody has used", () =>
    Effect.gen(function* () {
      const { close, left } = yield* serving()
      yield* close
      assert.deepStrictEqual(yield* left, nothing)
    })
  )

  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]] as const) {
    it.effect(`ends its clients and their handlers, over ${transports}`, () =>
      Effect.gen(function* () {
        const { close, here, left, log, sockets } = yield* serving()
        const scope = yield* Scope.make()
        const client = yield* here(TestSocketIo.makeClient({ transports, reconnection: false })).pipe(
          Scope.provide(scope)
        )
        const socket = yield* Scope.provide(client.connect("/"), scope)
        const asking = yield* Effect.forkChild(Effect.flip(socket.emitWithAck("forget")), { startImmediately: true })
        const server = yield* Queue.take(sockets)
        assert.isAbove((yield* left).fibers, 0)
        yield* close
        assert.strictEqual(yield* server.disconnected, "server shutting down")
        assert.strictEqual((yield* Fiber.join(asking)).reason._tag, "Disconnected")
        assert.deepStrictEqual(log, ["finalized"])
        assert.isFalse(socket.connected)
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* left, nothing)
      })
    )
  }

  it.effect("does not wait for connections that are half-open, or for clients that do not poll", () =>
    Effect.gen(function* () {
      const { close, here, log, sockets } = yield* serving()
      const client = yield* here(TestSocketIo.makeClient())
      yield* client.connect("/")
      yield* client.network.stall
      const polling = yield* here(TestSocketIo.makeClient({ transports: ["polling"] }))
      yield* polling.connect("/")
      yield* polling.network.stall
      yield* here(TestSocketIo.request())
      yield* here(TestSocketIo.rawClient())
      const [first, second] = yield* Queue.takeN(sockets, 2)
      yield* close
      const reasons = [yield* first!.disconnected, yield* second!.disconnected]
      assert.deepStrictEqual(reasons, ["server shutting down", "server shutting down"])
      assert.deepStrictEqual(log, ["finalized", "finalized"])
    })
  )

  it.effect("interrupts a client that waits for its next attempt, or for the network", () =>
    Effect.gen(function* () {
      const { close, here, left } = yield* serving({ client: { transports: ["polling"] } })
      const scope = yield* Scope.make()
      const { client } = yield* here(TestSocketIo.TestSocketIo)
      yield* Scope.provide(client.connect("/"), scope)
      yield* client.network.cut
      yield* close
      assert.deepStrictEqual(yield* left, nothing)
      yield* Scope.close(scope, Exit.void)
    })
  )

  it.effect("ends more connections than a server closes at once, and those behind them without the pause", () =>
    Effect.gen(function* () {
      const { close, here, left } = yield* serving()
      const clients = yield* here(Effect.all(Array.from({ length: 600 }, () => TestSocketIo.rawClient())))
      yield* close
      const endings = yield* Effect.forEach(clients, ({ closed }) => closed)
      assert.lengthOf(endings, 600)
      assert.deepStrictEqual(new Set(endings), new Set(["closed", "cut"]))
      assert.deepStrictEqual(yield* left, nothing)
    })
  )
})
