/**
 * The server's service as an application's tests see it: made without a platform, wrapped, and mocked.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

class Shop extends Namespace.make("/shop", {
  serverToClient: [Event.make("shipped", { payload: Schema.String })]
}) {}

/** An application's service, which tells the clients of what it does. */
class Orders extends Context.Service<Orders, { readonly ship: (order: string) => Effect.Effect<void> }>()(
  "test/Orders"
) {
  static readonly layer = Layer.effect(
    Orders,
    Effect.map(SocketIoServer.namespace(Shop), (shop) => ({
      ship: (order: string) => shop.to(`order ${order}`).emit("shipped", order)
    }))
  )
}

describe("the server's service", () => {
  it.effect("is there without a platform, for tests of code that broadcasts", () =>
    Effect.gen(function* () {
      const shop = yield* SocketIoServer.namespace(Shop)
      const first = yield* Effect.forkChild(Stream.runHead(shop.broadcasts()), { startImmediately: true })
      const orders = yield* Orders
      yield* orders.ship("7")
      const broadcast = Option.getOrThrow(yield* Fiber.join(first))
      assert.deepStrictEqual({ ...broadcast }, { event: "shipped", payload: "7", rooms: ["order 7"], except: [] })
      const { connectionCount } = yield* SocketIoServer.SocketIoServer
      assert.strictEqual(yield* connectionCount, 0)
    }).pipe(Effect.provide(Orders.layer), Effect.provide(SocketIoServer.layer()))
  )

  it.effect("is mocked by the members that a test needs", () =>
    Effect.gen(function* () {
      const { connectionCount, drain } = yield* SocketIoServer.SocketIoServer
      assert.strictEqual(yield* connectionCount, 3)
      // A member that the mock does not have is a defect.
      assert.isTrue(Exit.hasDies(yield* Effect.exit(drain())))
    }).pipe(Effect.provide(Layer.mock(SocketIoServer.SocketIoServer)({ connectionCount: Effect.succeed(3) })))
  )

  it.effect("is wrapped by a value that has the same members, which the layers use", () =>
    Effect.gen(function* () {
      const served: Array<unknown> = []
      const Wrapped = Layer.effect(
        SocketIoServer.SocketIoServer,
        Effect.map(SocketIoServer.SocketIoServer, (server) => ({
          ...server,
          register: (namespace, build) => {
            served.push(namespace)
            return server.register(namespace, build)
          }
        }))
      )
      const Live = SocketIoServer.layerNamespace(Shop, () => Effect.succeed(Shop.of({}))).pipe(
        Layer.provide(Wrapped),
        Layer.provideMerge(TestSocketIo.layer())
      )
      yield* Effect.provide(
        Effect.gen(function* () {
          const client = yield* SocketIoClient.connect(Shop)
          assert.isTrue(client.connected)
          const { connectionCount } = yield* SocketIoServer.SocketIoServer
          assert.strictEqual(yield* connectionCount, 1)
        }),
        Live
      )
      assert.deepStrictEqual(served, [Shop])
    })
  )

  it.effect("drains: clients lose their connections, and finalizers are waited for", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const Live = SocketIoServer.layerNamespace(
        Shop,
        Effect.fnUntraced(function* () {
          yield* Effect.addFinalizer(() =>
            Effect.andThen(
              Effect.yieldNow,
              Effect.sync(() => log.push("left"))
            )
          )
          return Shop.of({})
        })
      ).pipe(Layer.provideMerge(TestSocketIo.layer({ client: { reconnection: false } })))
      const scope = yield* Effect.scope
      const context = yield* Layer.buildWithScope(Live, yield* Scope.fork(scope))
      yield* Effect.provideContext(
        Effect.gen(function* () {
          const client = yield* SocketIoClient.connect(Shop)
          const { connectionCount, drain } = yield* SocketIoServer.SocketIoServer
          const draining = yield* Effect.forkChild(drain({ notice: 0, over: 0 }), { startImmediately: true })
          yield* TestClock.adjust("5 seconds")
          assert.deepStrictEqual(yield* Fiber.join(draining), { moved: 1, cut: 0, inFlight: 0 })
          assert.deepStrictEqual(log, ["left"])
          assert.strictEqual(yield* connectionCount, 0)
          assert.strictEqual(yield* client.disconnected, "transport close")
        }),
        context
      )
    })
  )
})
