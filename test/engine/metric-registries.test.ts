/**
 * The registries that the engine counts in, and the servers that share one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Metric, Scope } from "effect"

import { OutboundMessage } from "../../src/engine/OutboundMessage.ts"
import { makeEngine } from "../support/engine.ts"
import { alone, read, readOnly } from "../support/metrics.ts"

type Engine = Effect.Success<ReturnType<typeof makeEngine>>

const poll = (engine: Engine): string => JSON.parse(engine.http({}).responses[0]!.body.slice(1)).sid

describe("metric registries", () => {
  it.effect("add up their servers; one that has ended leaves its totals, and nothing live", () =>
    alone(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const one = yield* Scope.provide(makeEngine(), scope)
        const two = yield* makeEngine()
        one.webSocket()
        const sid = poll(one)
        two.webSocket()
        one.http({ sid }, "POST", "4x")
        yield* one.sessions[1]!.send("waits")
        one.http({ transport: "pigeon" })
        two.http({ transport: "pigeon" })
        const { "bytes_sent{polling}": polled, "bytes_sent{websocket}": framed, ...before } = yield* read
        assert.deepStrictEqual(before, {
          connections_opened: 3,
          "connections{polling}": 1,
          "connections{websocket}": 2,
          packets_received: 1,
          packets_sent: 4,
          outbox_bytes: new OutboundMessage("4waits", undefined, false).waitingBytes,
          "bytes_received{polling}": 2,
          "handshake_refusals{0}": 2
        })
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* read, {
          connections_opened: 3,
          "connections{websocket}": 1,
          packets_received: 1,
          packets_sent: 4,
          "bytes_received{polling}": 2,
          "bytes_sent{polling}": polled!,
          "bytes_sent{websocket}": framed!,
          "handshake_refusals{0}": 2,
          "disconnects{server shutting down}": 2
        })
        // A third one goes on from there.
        poll(yield* makeEngine())
        assert.strictEqual((yield* read).connections_opened, 4)
      })
    )
  )

  it.effect("do not go back while connections of a server that has ended are still being cut", () =>
    alone(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const engine = yield* Scope.provide(makeEngine(), scope)
        const channel = engine.webSocket()
        // As of a real connection, its end is noticed later.
        channel.terminate = () => {}
        const before = yield* readOnly("bytes", "packets")
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* readOnly("bytes", "packets", "connections"), { ...before, connections_opened: 1 })
        channel.end()
        assert.deepStrictEqual(yield* readOnly("bytes", "packets"), before)
      })
    )
  )

  it.effect("of one's own are used where they are provided, and know nothing of each other", () =>
    Effect.gen(function* () {
      const [one, two] = [new Map(), new Map()]
      const inside = (registry: Map<string, any>) => Effect.provideService(Metric.MetricRegistry, registry)
      const before = yield* read
      const engines = [yield* makeEngine().pipe(inside(one)), yield* makeEngine().pipe(inside(two))]
      for (const _ of [1, 2, 3]) engines[0]!.webSocket()
      engines[1]!.webSocket()
      const connections = readOnly("connections{")
      assert.deepStrictEqual(yield* connections.pipe(inside(one)), { "connections{websocket}": 3 })
      assert.deepStrictEqual(yield* connections.pipe(inside(two)), { "connections{websocket}": 1 })
      // Where none is provided, there is the one of the process.
      const shared = yield* makeEngine()
      shared.webSocket()
      const key = "connections{websocket}"
      assert.strictEqual((yield* read)[key], (before[key] ?? 0) + 1)
    })
  )

  it.effect("a registry can be a layer", () =>
    Effect.gen(function* () {
      const registry = new Map()
      const Live = Layer.effectDiscard(
        Effect.gen(function* () {
          const engine = yield* makeEngine()
          engine.webSocket()
          assert.strictEqual((yield* read).connections_opened, 1)
        })
      )
      yield* Layer.build(Live.pipe(Layer.provide(Layer.succeed(Metric.MetricRegistry, registry))))
      assert.isAbove(registry.size, 0)
    })
  )
})
