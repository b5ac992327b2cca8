/**
 * The flow of streams over a long way: 20 milliseconds in each direction, in the time of a simulated world.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Queue, Schema, Stream } from "effect"
import { Rpc, RpcClient, RpcGroup, RpcServer } from "effect/rpc"

import * as SocketIoRpcClient from "../../src/rpc/SocketIoRpcClient.ts"
import * as SocketIoRpcServer from "../../src/rpc/SocketIoRpcServer.ts"
import * as Simulation from "../../src/testing/Simulation.ts"

class Group extends RpcGroup.make(
  Rpc.make("Ping", { success: Schema.String }),
  Rpc.make("Numbers", { success: Schema.Int, stream: true })
) {}

const LATENCY = 20
const ROUND_TRIP = 2 * LATENCY

/** Runs an effect with a client, in a world of its own. */
const far = <A>(
  options: SocketIoRpcServer.ServerOptions,
  test: (client: RpcClient.FromGroup<typeof Group, any>, seen: { produced: number }) => Effect.Effect<A, any, any>
) =>
  Effect.gen(function* () {
    const seen = { produced: 0 }
    const handlers = Group.toLayer({
      Ping: () => Effect.succeed("pong"),
      Numbers: () =>
        Stream.range(1, 100_000).pipe(
          Stream.rechunk(1),
          Stream.tap(() => Effect.sync(() => seen.produced++))
        )
    })
    const world = RpcServer.layer(Group).pipe(
      Layer.provide(handlers),
      Layer.provide(SocketIoRpcServer.layerProtocol("/rpc", options)),
      Layer.provideMerge(Simulation.layer({ latency: [LATENCY, LATENCY] }))
    )
    const report = yield* Simulation.run(
      { seed: 1 },
      Effect.gen(function* () {
        const client = yield* RpcClient.make(Group)
        yield* client.Ping()
        return yield* test(client, seen)
      }).pipe(
        Effect.scoped,
        Effect.provide(SocketIoRpcClient.layerProtocol("/rpc")),
        Effect.provide(world)
      ) as Effect.Effect<A, any>
    )
    assert.deepStrictEqual(report.leaks, [])
    return yield* report.exit
  })

/** The time that an effect takes, in milliseconds. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const began = yield* Clock.currentTimeMillis
    yield* effect
    return (yield* Clock.currentTimeMillis) - began
  })

describe("a stream over a round trip of 40 ms", () => {
  const timeOf = (window: number) =>
    far({ window }, (client) => timed(Stream.runDrain(Stream.take(client.Numbers(), 320))))

  it.live("takes an eighth of the time with a window of 16, or less", () =>
    Effect.gen(function* () {
      const [one, sixteen] = [yield* timeOf(1), yield* timeOf(16)]
      assert.isAtLeast(one, 319 * ROUND_TRIP)
      assert.isAtLeast(one / sixteen, 8)
    })
  )

  it.live("is as fast by default as with a window of 16", () =>
    Effect.gen(function* () {
      const byDefault = yield* far({}, (client) => timed(Stream.runDrain(Stream.take(client.Numbers(), 320))))
      assert.strictEqual(byDefault, yield* timeOf(16))
    })
  )

  for (const window of [1, 16]) {
    it.live(`that nobody reads does not delay a call, and its handler waits (window ${window})`, () =>
      far({ window }, (client, seen) =>
        Effect.gen(function* () {
          const unread: Queue.Dequeue<number, unknown> = yield* client.Numbers(undefined, {
            asQueue: true,
            streamBufferSize: 2
          })
          yield* Effect.sleep("1 minute")
          const { produced } = seen
          // Two were taken into the buffer, and `window` are not acknowledged.
          assert.strictEqual(produced, 2 + window)
          const time = yield* timed(client.Ping())
          assert.isAtMost(time, 2 * ROUND_TRIP)
          yield* Effect.sleep("1 minute")
          assert.strictEqual(seen.produced, produced)
          assert.strictEqual(yield* Queue.take(unread), 1)
          yield* Effect.sleep("1 minute")
          assert.strictEqual(seen.produced, produced + 1)
        })
      )
    )
  }

  it.live("do not delay a call, a hundred of them, unread", () =>
    far({}, (client) =>
      Effect.gen(function* () {
        for (let n = 0; n < 100; n++) yield* client.Numbers(undefined, { asQueue: true })
        yield* Effect.sleep("1 minute")
        assert.isAtMost(yield* timed(client.Ping()), 2 * ROUND_TRIP)
      })
    )
  )
})
