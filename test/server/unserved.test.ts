/**
 * Messages to namespaces that nobody serves, and handles with a contract that is not the layer's.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Schema, Stream } from "effect"
import { vi } from "vitest"

import type { Host } from "../../src/adapter/Adapter.ts"
import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import * as InMemoryAdapter from "../../src/adapter/InMemoryAdapter.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as NamespaceMiddleware from "../../src/NamespaceMiddleware.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { open } from "../support/serve.ts"

/** The namespaces for which an adapter in memory was made. */
const made = vi.hoisted(() => [] as Array<string>)

vi.mock("../../src/adapter/InMemoryAdapter.ts", async (original) => {
  const { make } = await original<typeof InMemoryAdapter>()
  return {
    make: (host: Host) => {
      made.push(host.namespace)
      return make(host)
    }
  }
})

class News extends Namespace.make("/news", {
  serverToClient: [Event.make("news", { payload: Schema.Int, ack: Schema.Int })],
  serverToServer: [Event.make("sync", { payload: Schema.Int, ack: Schema.Int })]
}) {}

/** Everything that can be said to a namespace. */
const useAll = (handle: Effect.Success<ReturnType<typeof SocketIoServer.namespace<typeof News>>>) =>
  Effect.gen(function* () {
    yield* handle.emit("news", 1)
    yield* handle.to("room").emit("news", 1)
    assert.deepStrictEqual(yield* Stream.runCollect(handle.emitWithAck("news", 1)), [])
    assert.deepStrictEqual(yield* handle.fetchSockets, [])
    assert.strictEqual(yield* handle.all.size, 0)
    yield* handle.socketsJoin("room")
    yield* handle.socketsLeave("room")
    yield* handle.disconnectSockets()
    yield* handle.serverSideEmit("sync", 1)
    assert.deepStrictEqual(yield* Stream.runCollect(handle.serverSideEmitWithAck("sync", 1)), [])
    yield* Effect.scoped(handle.onServerSide("sync", () => Effect.succeed(1)))
  })

describe("a namespace that nobody serves", () => {
  it.effect("has no adapter where there is one server, whatever is sent to it", () =>
    Effect.gen(function* () {
      made.length = 0
      yield* useAll(yield* SocketIoServer.namespace(News))
      assert.deepStrictEqual(made, [])
    }).pipe(Effect.provide(TestSocketIo.layer()))
  )

  it.effect("has one where there may be other servers, which may serve it", () =>
    Effect.gen(function* () {
      made.length = 0
      yield* useAll(yield* SocketIoServer.namespace(News))
      assert.isAbove(made.length, 0)
    }).pipe(
      Effect.provide(
        Layer.provide(
          TestSocketIo.layer(),
          Layer.succeed(AdapterFactory, (host) => InMemoryAdapter.make(host))
        )
      )
    )
  )

  it.effect("makes a payload that cannot be sent a defect all the same", () =>
    Effect.gen(function* () {
      const handle = yield* SocketIoServer.namespace("/nowhere")
      const circular: Array<unknown> = []
      circular.push(circular)
      for (const effect of [
        handle.emit("event", circular),
        handle.to("room").emit("event", 1n),
        Stream.runDrain(handle.emitWithAck("event", circular)),
        handle.emit("connect"),
        handle.emit("event", () => {})
      ]) {
        assert.isTrue(Exit.hasDies(yield* Effect.exit(effect)))
      }
    }).pipe(Effect.provide(TestSocketIo.layer()))
  )

  it.effect("shows what is sent to it to those that watch", () =>
    Effect.gen(function* () {
      const handle = yield* SocketIoServer.namespace(News)
      const seen: Array<unknown> = []
      yield* Effect.forkChild(
        Stream.runForEach(handle.broadcasts(), ({ payload }) => Effect.sync(() => seen.push(payload))),
        { startImmediately: true }
      )
      yield* handle.emit("news", 1)
      yield* Effect.yieldNow
      assert.deepStrictEqual(seen, [1])
    }).pipe(Effect.provide(TestSocketIo.layer()))
  )
})

describe("a contract with other events than those of the layer", () => {
  class Other extends Namespace.make("/news", { serverToClient: [Event.make("news", { payload: Schema.String })] }) {}
  const serveNews = Effect.gen(function* () {
    return yield* open(
      yield* Effect.context<SocketIoServer.SocketIoServer>(),
      SocketIoServer.layerNamespace(News, () => Effect.succeed(News.of({})))
    )
  })
  const message = /namespace "\/news" is used with a contract that is not its layer's: their events differ/

  it.effect("is a defect of the handle, when it is made", () =>
    Effect.gen(function* () {
      yield* serveNews
      const exit = yield* Effect.exit(SocketIoServer.namespace(Other))
      assert.isTrue(Exit.hasDies(exit))
      assert.match(String(exit), message)
    }).pipe(Effect.provide(TestSocketIo.layer()))
  )

  it.effect("is a defect when the handle is used, if it was made before the layer", () =>
    Effect.gen(function* () {
      const handle = yield* SocketIoServer.namespace(Other)
      yield* handle.emit("news", "nobody is there")
      yield* serveNews
      const exit = yield* Effect.exit(handle.emit("news", "text"))
      assert.isTrue(Exit.hasDies(exit))
      assert.match(String(exit), message)
    }).pipe(Effect.provide(TestSocketIo.layer()))
  )

  it.effect("is a defect of a dynamic namespace's handle, too", () => {
    class Room extends Namespace.dynamic("/room/:id", { serverToClient: [Event.make("a", { payload: Schema.Int })] }) {}
    class Copy extends Namespace.dynamic("/room/:id", { serverToClient: [Event.make("a", { payload: Schema.Int })] }) {}
    return Effect.gen(function* () {
      const raw = yield* TestSocketIo.rawClient()
      yield* raw.send("40/room/1,")
      yield* raw.receive
      assert.match(String(yield* raw.receive), /^40\/room\/1,/)
      const { get } = yield* SocketIoServer.dynamicNamespaces(Copy)
      const exit = yield* Effect.exit(get({ id: "1" }).emit("a", 1))
      assert.isTrue(Exit.hasDies(exit))
      assert.match(String(exit), /"\/room\/1" is used with a contract that is not its layer's/)
    }).pipe(
      Effect.provide(
        SocketIoServer.layerDynamicNamespace(Room, () => Effect.succeed(() => Effect.succeed(Room.of({})))).pipe(
          Layer.provideMerge(TestSocketIo.layer())
        )
      )
    )
  })

  it.effect("is none if it differs in middleware alone, or comes after the layer has closed", () => {
    class Guard extends NamespaceMiddleware.Service<Guard>()("test/Guard") {}
    class Guarded extends News.middleware(Guard) {}
    return Effect.gen(function* () {
      const close = yield* serveNews
      yield* (yield* SocketIoServer.namespace(Guarded)).emit("news", 1)
      yield* close
      yield* (yield* SocketIoServer.namespace(Other)).emit("news", "text")
    }).pipe(Effect.provide(TestSocketIo.layer()))
  })
})
