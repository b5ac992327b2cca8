/**
 * Peers of calls through Socket.IO: a cluster's entity, atoms, and a client in Python that knows nothing of Effect.
 */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"
import { Entity, EntityProxy, EntityProxyServer, TestRunner } from "effect/cluster"
import { AtomRegistry, AtomRpc } from "effect/reactivity"
import { Rpc, RpcClient, RpcGroup, RpcServer } from "effect/rpc"

import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as NodeClientPlatform from "../../src/node/NodeClientPlatform.ts"
import * as SocketIoRpcClient from "../../src/rpc/SocketIoRpcClient.ts"
import * as SocketIoRpcServer from "../../src/rpc/SocketIoRpcServer.ts"
import { python, requires } from "../support/peers.ts"
import { serve } from "../support/serve.ts"
import { libraryServer } from "./library.ts"

describe("a cluster's entity", () => {
  class Full extends Schema.TaggedError<Full>()("Full", { at: Schema.Int }) {}

  const Counter = Entity.make("Counter", [
    Rpc.make("Increment", { payload: { by: Schema.Int }, success: Schema.Int, error: Full })
  ])

  const CounterLive = Counter.toLayer(
    Effect.sync(() => {
      let count = 0
      return {
        Increment: ({ payload: { by } }) =>
          count + by > 10 ? Effect.fail(new Full({ at: count })) : Effect.sync(() => (count += by))
      }
    })
  )

  class Counters extends EntityProxy.toRpcGroup(Counter) {}

  it.live("is called through Socket.IO, each by its id", () =>
    Effect.gen(function* () {
      const cluster = CounterLive.pipe(Layer.provideMerge(TestRunner.layer))
      const { url } = yield* serve(
        RpcServer.layer(Counters).pipe(
          Layer.provide(EntityProxyServer.layerRpcHandlers(Counter)),
          Layer.provide(cluster),
          Layer.provide(SocketIoRpcServer.layerProtocol("/counters"))
        )
      )
      const protocol = yield* Layer.build(
        SocketIoRpcClient.layerProtocol("/counters").pipe(
          Layer.provide(SocketIoClient.layer({ url })),
          Layer.provide(NodeClientPlatform.layer)
        )
      )
      const counters = yield* RpcClient.make(Counters).pipe(Effect.provide(protocol))
      const increment = (entityId: string, by: number) => counters["Counter.Increment"]({ entityId, payload: { by } })
      assert.strictEqual(yield* increment("a", 3), 3)
      assert.strictEqual(yield* increment("b", 1), 1)
      assert.strictEqual(yield* increment("a", 4), 7)
      const error = yield* Effect.flip(increment("a", 4))
      assert.deepStrictEqual(error, new Full({ at: 7 }))
    }).pipe(Effect.scoped)
  )
})

describe("atoms", () => {
  it.live("call and stream through Socket.IO", () =>
    Effect.gen(function* () {
      const { url } = yield* serve(
        RpcServer.layer(Shelf).pipe(
          Layer.provide(
            Shelf.toLayer({
              Title: ({ id }) => Effect.succeed(`Title of ${id}`),
              Pages: () => Stream.range(1, 3)
            })
          ),
          Layer.provide(SocketIoRpcServer.layerProtocol("/shelf"))
        )
      )
      class Atoms extends AtomRpc.Service<Atoms>()("rpc/Atoms", {
        group: Shelf,
        protocol: SocketIoRpcClient.layerProtocol("/shelf").pipe(
          Layer.provide(SocketIoClient.layer({ url })),
          Layer.provide(NodeClientPlatform.layer)
        )
      }) {}
      const registry = yield* Effect.acquireRelease(
        Effect.sync(() => AtomRegistry.make()),
        (registry) => Effect.sync(() => registry.dispose())
      )
      const title = Atoms.query("Title", { id: "7" })
      assert.strictEqual(yield* AtomRegistry.getResult(registry, title), "Title of 7")
      const { items } = yield* AtomRegistry.getResult(registry, Atoms.query("Pages", undefined))
      assert.deepStrictEqual(items, [1, 2, 3])
    }).pipe(Effect.scoped)
  )

  class Shelf extends RpcGroup.make(
    Rpc.make("Title", { payload: { id: Schema.String }, success: Schema.String }),
    Rpc.make("Pages", { success: Schema.Int, stream: true })
  ) {}
})

describe("a client in Python", requires("python-socketio"), () => {
  const script = fileURLToPath(new URL("python_rpc.py", import.meta.url))

  for (const transports of ["websocket", "polling", "polling,websocket"]) {
    it.live(`calls an Rpc and reads a stream, by hand, over ${transports}`, () =>
      Effect.gen(function* () {
        const { url } = yield* serve(libraryServer().pipe(Layer.provide(SocketIoRpcServer.layerProtocol("/library"))))
        const { stdout } = yield* Effect.promise(() =>
          promisify(execFile)(python, [script, url, transports], { timeout: 40_000 })
        )
        const [found, numbers, end] = stdout
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line))
        assert.deepStrictEqual(found, {
          _tag: "Exit",
          requestId: 1,
          exit: { _tag: "Success", value: { id: "7", title: "Title of 7", at: "1970-01-01T00:00:00.000Z" } }
        })
        assert.deepStrictEqual(
          numbers,
          Array.from({ length: 40 }, (_, i) => i + 1)
        )
        assert.deepStrictEqual(end, { _tag: "Exit", requestId: 2, exit: { _tag: "Success", value: null } })
      }).pipe(Effect.scoped)
    )
  }
})
