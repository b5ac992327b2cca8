/**
 * Namespaces that the application knows by their names, whether they are served or not.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Queue, Schema, Stream } from "effect"

import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import * as InMemoryAdapter from "../../src/adapter/InMemoryAdapter.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import * as Event from "../../src/Event.ts"
import * as Namespace from "../../src/Namespace.ts"
import { SocketIoServer as Server } from "../../src/server/SocketIoServer.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { memoryInUse } from "../support/memory.ts"
import { open } from "../support/serve.ts"

class News extends Namespace.make("/news", {
  serverToClient: [Event.make("news", { payload: Schema.Int })]
}) {}

const news = SocketIoServer.layerNamespace(News, () => Effect.succeed(News.of({})))

const inMemory = Effect.provide(TestSocketIo.layer())

describe("the handle of a namespace that nobody serves", () => {
  it.effect(
    "leaves nothing, whatever is done with it and however many there are",
    () =>
      Effect.gen(function* () {
        const use = Effect.fnUntraced(function* (from: number, to: number) {
          for (let i = from; i < to; i++) {
            const handle = yield* SocketIoServer.namespace(`/user/${i}/${"x".repeat(100)}`)
            yield* handle.to("room").emit("event", i)
            if (i % 100 > 0) continue
            assert.deepStrictEqual(yield* handle.fetchSockets, [])
            assert.deepStrictEqual(yield* handle.sockets, [])
            yield* handle.serverSideEmit("event", i)
            const reading = yield* Effect.forkChild(Stream.runDrain(handle.connections()), { startImmediately: true })
            yield* Effect.scoped(handle.onServerSide("event", () => Effect.void))
            yield* Fiber.interrupt(reading)
          }
        })
        yield* use(0, 1_000)
        const before = memoryInUse()
        yield* use(1_000, 101_000)
        // One name alone is more than a hundred bytes.
        assert.isBelow(memoryInUse() - before, 3_000_000)
      }).pipe(inMemory),
    120_000
  )

  it.effect("leads to the namespace when it is served, closed, and served again", () =>
    Effect.gen(function* () {
      const server = yield* Effect.context<Server>()
      const typed = yield* SocketIoServer.namespace(News)
      const plain = yield* SocketIoServer.namespace("/news")
      const seen = yield* Queue.unbounded<string>()
      for (const connections of [typed.connections(), plain.connections()]) {
        yield* Effect.forkChild(
          Stream.runForEach(connections as Stream.Stream<{ readonly id: string }, unknown>, ({ id }) =>
            Queue.offer(seen, id)
          ),
          { startImmediately: true }
        )
      }
      for (let life = 0; life < 2; life++) {
        const close = yield* open(server, news)
        yield* Effect.scoped(
          Effect.gen(function* () {
            const client = yield* (yield* TestSocketIo.makeClient()).connect(News)
            const received = yield* Effect.forkChild(Stream.runCollect(Stream.take(client.stream("news"), 2)), {
              startImmediately: true
            })
            yield* typed.emit("news", 1)
            yield* plain.emit("news", 2)
            assert.deepStrictEqual(yield* Fiber.join(received), [1, 2])
            const ids = (yield* typed.sockets).map(({ id }) => id)
            assert.lengthOf(ids, 1)
            assert.deepStrictEqual([yield* Queue.take(seen), yield* Queue.take(seen)], [ids[0], ids[0]])
          })
        )
        yield* close
      }
    }).pipe(inMemory)
  )

  it.effect("keeps its streams when a dynamic namespace of its name closes", () =>
    Effect.gen(function* () {
      class Room extends Namespace.dynamic("/room/:id") {}
      const server = yield* Effect.context<Server>()
      yield* open(
        server,
        SocketIoServer.layerDynamicNamespace(Room, () => Effect.succeed(() => Effect.succeed(Room.of({}))), {
          idleTimeToLive: 0,
          maxIdle: 0
        })
      )
      const namespace = yield* SocketIoServer.namespace("/room/1")
      const seen = yield* Queue.unbounded<string>()
      yield* Effect.forkChild(
        Stream.runForEach(namespace.connections(), ({ id }) => Queue.offer(seen, id)),
        { startImmediately: true }
      )
      for (let life = 0; life < 2; life++) {
        const raw = yield* TestSocketIo.rawClient()
        yield* raw.send("40/room/1,")
        yield* Queue.take(seen)
        yield* raw.close
        yield* raw.closed
      }
    }).pipe(inMemory)
  )

  it.effect("is in the cluster while it is used, and stays from the first layer that serves it on", () => {
    const there = new Set<string>()
    const factory = Layer.succeed(AdapterFactory, (host) =>
      Effect.andThen(
        Effect.acquireRelease(
          Effect.sync(() => there.add(host.namespace)),
          () => Effect.sync(() => there.delete(host.namespace))
        ),
        InMemoryAdapter.make(host)
      )
    )
    return Effect.gen(function* () {
      const server = yield* Effect.context<Server>()
      const handle = yield* SocketIoServer.namespace(News)
      yield* handle.emit("news", 1)
      assert.deepStrictEqual(Array.from(there), [])
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* (yield* SocketIoServer.namespace("/chatter")).onServerSide("said", () => Effect.void)
          assert.deepStrictEqual(Array.from(there), ["/chatter"])
        })
      )
      assert.deepStrictEqual(Array.from(there), [])
      const close = yield* open(server, news)
      yield* SocketIoClient.connect(News)
      yield* close
      assert.deepStrictEqual(Array.from(there), ["/news"])
    }).pipe(Effect.provide(Layer.provide(TestSocketIo.layer(), factory)))
  })
})
