/**
 * Servers and clients as in production, over a bus in memory and networks that are simulated.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result, Stream } from "effect"

import type { Factory } from "../../src/adapter/Adapter.ts"
import { AdapterFactory } from "../../src/adapter/AdapterFactory.ts"
import * as DistributedAdapter from "../../src/adapter/DistributedAdapter.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { Seeded } from "../../src/testing/internal/seeded.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { count } from "../support/extent.ts"
import * as Bus from "../support/memoryBus.ts"

const start = Effect.fnUntraced(function* (bus: Bus.MemoryBus, name: string) {
  const server = bus.server(name)
  const factory: Factory = (host) => DistributedAdapter.make(host, server.open, server.monitor)
  const main = SocketIoServer.layerNamespace("/", (socket) =>
    socket.on("join", (room) => Effect.as(socket.join(String(room)), "joined"))
  )
  const context = yield* Layer.build(
    main.pipe(Layer.provideMerge(Simulation.layer()), Layer.provide(Layer.succeed(AdapterFactory, factory)))
  )
  const io = yield* Effect.provideContext(SocketIoServer.namespace("/"), context)
  const connect = Effect.gen(function* () {
    const client = yield* TestSocketIo.makeClient()
    const socket = yield* client.connect("/")
    const heard: Array<readonly [from: string, n: number]> = []
    yield* socket.onAny((event, args) => Effect.sync(() => event === "n" && heard.push(args as [string, number])))
    yield* socket.respond("ask", (n) => Effect.succeed(Number(n) + 1))
    return { socket, heard }
  }).pipe(Effect.provideContext(context))
  return { name, server, io, connect }
})

const scenario = Effect.gen(function* () {
  const { seed } = yield* Simulation.Simulation
  const random = new Seeded(seed, 12)
  const bus = yield* Bus.make({ seed, latency: [1, 20] })
  const servers = [yield* start(bus, "a"), yield* start(bus, "b"), yield* start(bus, "c")]
  const clients = yield* Effect.forEach(servers, ({ connect, server }) =>
    Effect.map(connect, (client) => ({ ...client, server }))
  )
  for (const { socket } of clients) assert.deepStrictEqual(yield* socket.emitWithAck("join", "red"), ["joined"])

  // Broadcasts of all, while the bus is in trouble.
  const sent = new Map<string, number>()
  for (let step = 0; step < 40; step++) {
    const { io, name, server } = servers[random.below(3)]!
    yield* Effect.sleep(1 + random.below(100))
    if (random.below(10) === 0) {
      if (random.below(2) === 0) server.cut()
      else
        bus.partition(
          [server],
          servers.flatMap((other) => (other.server === server ? [] : [other.server]))
        )
      bus.at(bus.now + random.below(1_000), () => {
        server.restore()
        bus.heal()
      })
    } else {
      const n = sent.get(name) ?? 0
      sent.set(name, n + 1)
      yield* io.to("red").emit("n", name, n)
    }
  }
  yield* Effect.sleep("5 seconds")

  for (const { heard, server } of clients) {
    for (const from of servers) {
      const numbers = heard.filter(([name]) => name === from.name).map(([, n]) => n)
      assert.deepStrictEqual(
        numbers,
        Array.from(new Set(numbers)).toSorted((a, b) => a - b),
        "in order, once each"
      )
      const missed = (sent.get(from.name) ?? 0) - numbers.length
      assert.strictEqual(
        missed,
        from.server === server ? 0 : server.lostFrom(from.server),
        "what was missed was counted"
      )
    }
  }

  // The line is up again: all are there.
  const { io } = servers[random.below(3)]!
  const ids = clients.map(({ socket }) => socket.id).toSorted()
  assert.deepStrictEqual((yield* io.to("red").fetchSockets).map(({ id }) => id).toSorted(), ids)
  const answers = yield* Stream.runCollect(io.to("red").emitWithAck("ask", 1))
  assert.deepStrictEqual(answers.map(({ sid }) => sid).toSorted(), ids)
  for (const { response } of answers) assert.deepStrictEqual(Result.getOrThrow(response), [2])
  yield* io.to("red").socketsJoin("blue")
  yield* Effect.sleep("1 second")
  assert.strictEqual(yield* io.to("blue").size, 3)
})

describe("servers as in production, over a bus in trouble", () => {
  const seeds = count(50, 10)
  it.live(`seeds 0 to ${seeds - 1}`, () => Simulation.check({ seeds }, scenario), 60_000)
})
