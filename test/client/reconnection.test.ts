/**
 * Schedules of reconnection, under a clock that the test moves.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Duration, Effect, Layer, Queue, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"

import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import * as Reconnection from "../../src/client/Reconnection.ts"
import * as SocketIoClient from "../../src/client/SocketIoClient.ts"
import { ClientPlatform } from "../../src/engine/ClientPlatform.ts"
import { fakeSocket } from "../support/fakeClient.ts"
import { makeFakePlatform } from "../support/fakeClientPlatform.ts"

/** Lets the client in, over the connection that it opened last. */
const admit = Effect.fnUntraced(function* ({ last }: Effect.Success<ReturnType<typeof fakeSocket>>) {
  last().accept()
  yield* Effect.yieldNow
  last().events.onText('40{"sid":"id"}')
  yield* Effect.yieldNow
})

/** The pauses between attempts that all fail, in milliseconds. */
const pauses = Effect.fnUntraced(function* (count: number, options: Partial<ClientOptions> = {}) {
  const { last, platform } = yield* fakeSocket(options)
  const found: Array<number> = []
  for (let i = 0; i < count; i++) {
    const attempts = platform.sockets.length
    const before = yield* Clock.currentTimeMillis
    last().fail()
    while (platform.sockets.length === attempts) yield* TestClock.adjust(1)
    found.push((yield* Clock.currentTimeMillis) - before)
  }
  return found
})

/** The first delays of a schedule by itself, in milliseconds. */
const delaysOf = Effect.fnUntraced(function* (
  schedule: Schedule.Schedule<unknown, Reconnection.Outage>,
  count: number
) {
  const step = yield* Schedule.toStep(schedule)
  const found: Array<number> = []
  for (let attempt = 0; attempt < count; attempt++) {
    const error = { reason: "transport error" } as const
    const [, delay] = yield* step(0, { reason: error.reason, attempt, error, elapsed: 0 })
    found.push(Duration.toMillis(delay))
  }
  return found
})

describe("the default schedule of reconnection", () => {
  it.effect("is the backoff of the official client, with the random numbers of its context", () =>
    Effect.gen(function* () {
      const random = yield* Effect.forEach([0, 1, 2, 3, 4], () => Random.next).pipe(Random.withSeed("a seed"))
      const bounds = [
        [500, 1_500],
        [1_000, 3_000],
        [2_000, 5_000],
        [2_500, 5_000],
        [2_500, 5_000]
      ] as const
      assert.deepStrictEqual(
        yield* delaysOf(Reconnection.default, 5).pipe(Random.withSeed("a seed")),
        random.map((random, attempt) => {
          const [low, high] = bounds[attempt]!
          return Math.round(low + random * (high - low))
        })
      )
    })
  )

  it.effect("doubles up to the maximum, spread by half, and stays spread there", () =>
    Effect.gen(function* () {
      const at = (random: number) =>
        Effect.provideService(delaysOf(Reconnection.default, 5_000), Random.Random, {
          nextDoubleUnsafe: () => random,
          nextIntUnsafe: () => 0
        })
      const [shortest, longest] = [yield* at(0), yield* at(1)]
      assert.deepStrictEqual(shortest.slice(0, 5), [500, 1_000, 2_000, 2_500, 2_500])
      assert.deepStrictEqual(longest.slice(0, 5), [1_500, 3_000, 5_000, 5_000, 5_000])
      assert.deepStrictEqual([shortest.at(-1), longest.at(-1)], [2_500, 5_000])
      const steady = Reconnection.exponential({ min: 100, max: 1_000, jitter: 0 })
      assert.deepStrictEqual(yield* delaysOf(steady, 6), [100, 200, 400, 800, 1_000, 1_000])
    })
  )

  it.effect("is what a client runs, and the same again under the same seed", () =>
    Effect.gen(function* () {
      const first = yield* pauses(5).pipe(Random.withSeed("replayed"))
      assert.deepStrictEqual(yield* pauses(5).pipe(Random.withSeed("replayed")), first)
      assert.deepStrictEqual(
        yield* pauses(5, { reconnection: Reconnection.default }).pipe(Random.withSeed("replayed")),
        first
      )
      assert.notDeepEqual(yield* pauses(5).pipe(Random.withSeed("another")), first)
    })
  )
})

describe("a composed schedule of reconnection", () => {
  it.effect("gives up after a time, which every outage has for itself", () =>
    Effect.gen(function* () {
      const test = yield* fakeSocket({
        reconnection: Reconnection.default.pipe(Schedule.while(({ input }) => input.elapsed < 20_000))
      })
      const { last, platform, socket } = test
      for (let round = 0; round < 2; round++) {
        yield* admit(test)
        const lostAt = yield* Clock.currentTimeMillis
        last().fail("gone")
        let attempts = 0
        while (attempts !== platform.sockets.length) {
          attempts = platform.sockets.length
          yield* TestClock.adjust("5 seconds")
          if (platform.sockets.length > attempts) last().fail("refused")
        }
        const took = (yield* Clock.currentTimeMillis) - lostAt
        assert.isAtLeast(took, 20_000)
        assert.isAtMost(took, 40_000)
        const connecting = yield* Effect.forkChild(Effect.exit(socket.reconnect()), { startImmediately: true })
        assert.lengthOf(platform.sockets, attempts + 1)
        yield* Effect.yieldNow
        assert.isUndefined(connecting.pollUnsafe())
      }
    })
  )

  it.effect("branches on the reason, and on what the platform tells", () =>
    Effect.gen(function* () {
      const outages: Array<Reconnection.Outage> = []
      const reconnection = Schedule.spaced("1 second").pipe(
        Schedule.setInputType<Reconnection.Outage>(),
        Schedule.while(({ input }) => {
          outages.push(input)
          return input.reason === "transport close" || input.error.closeCode === 1013
        })
      )
      const test = yield* fakeSocket({ reconnection })
      const { last, platform } = test
      yield* admit(test)
      // The server says goodbye.
      last().events.onClose(undefined, { closeCode: 1000 })
      yield* TestClock.adjust("1 second")
      assert.lengthOf(platform.sockets, 2)
      yield* TestClock.adjust("500 millis")
      last().events.onClose("try again later", { closeCode: 1013 })
      yield* TestClock.adjust("1 second")
      assert.lengthOf(platform.sockets, 3)
      last().fail("nobody there")
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(platform.sockets, 3)
      assert.deepStrictEqual(
        outages.map(({ attempt, elapsed, error, reason }) => [attempt, elapsed, reason, error.description]),
        [
          [0, 0, "transport close", "closed by the server"],
          [1, 1_500, "transport error", "try again later"],
          [2, 2_500, "transport error", "nobody there"]
        ]
      )
    })
  )

  it.effect("may wait in its steps, with a service that the layer requires", () =>
    Effect.gen(function* () {
      class Network extends Context.Service<Network, { readonly back: Effect.Effect<void> }>()("Network") {}
      const back = yield* Queue.unbounded<void>()
      const reconnection = Schedule.spaced("1 second").pipe(
        Schedule.tap(() => Effect.flatMap(Network, ({ back }) => back))
      )
      const layer: Layer.Layer<SocketIoClient.SocketIoClient, unknown, Network> = SocketIoClient.layer({
        url: "http://test",
        reconnection
      })
      assert.isTrue(Layer.isLayer(layer))
      const { last, platform } = yield* fakeSocket({ reconnection }).pipe(
        Effect.provideService(Network, { back: Queue.take(back) })
      )
      last().fail("offline")
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(platform.sockets, 1)
      yield* Queue.offer(back, undefined)
      yield* TestClock.adjust("1 second")
      assert.lengthOf(platform.sockets, 2)
    })
  )

  it.effect("that dies is one that has ended", () =>
    Effect.gen(function* () {
      const { last, platform, socket } = yield* fakeSocket({
        reconnection: Schedule.spaced(1).pipe(Schedule.tap(() => Effect.die("a bug")))
      })
      last().fail("offline")
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(platform.sockets, 1)
      assert.strictEqual(yield* socket.disconnected, "transport error")
    })
  )
})

describe("the end of a client", () => {
  it.effect("ends the wait for a connection that is between two attempts", () =>
    Effect.gen(function* () {
      const platform = makeFakePlatform()
      const waiting = yield* Effect.scoped(
        Effect.gen(function* () {
          const client = yield* SocketIoClient.make({ url: "http://test", transports: ["websocket"] })
          const connecting = yield* SocketIoClient.connect("/").pipe(
            Effect.provideService(SocketIoClient.SocketIoClient, client),
            Effect.scoped,
            Effect.flip,
            Effect.forkDetach({ startImmediately: true })
          )
          platform.sockets.at(-1)!.fail("offline")
          yield* Effect.yieldNow
          return connecting
        })
      ).pipe(Effect.provideService(ClientPlatform, platform))
      yield* Effect.yieldNow
      const exit = waiting.pollUnsafe()
      assert.deepInclude(exit?._tag === "Success" ? exit.value : undefined, {
        _tag: "ConnectError",
        reason: { _tag: "Disconnected", reason: "forced close" },
        willRetry: false
      })
    })
  )
})
