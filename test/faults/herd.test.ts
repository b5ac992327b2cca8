/**
 * When clients come back that have lost their connections at once: in a world in which nothing but their own pauses takes time.
 */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Stream } from "effect"

import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

const CLIENTS = 1_000

const world = SocketIoServer.layerNamespace("/", () => Effect.void).pipe(
  Layer.provideMerge(Simulation.layer({ latency: [1, 1] }))
)

/** When each came back, in milliseconds from the loss on. */
const returns = Effect.gen(function* () {
  const clients = yield* Effect.forEach(Array.from({ length: CLIENTS }), () => TestSocketIo.makeClient())
  const sockets = yield* Effect.forEach(clients, ({ connect }) => connect("/"), { concurrency: "unbounded" })
  const waiting = yield* Effect.forEach(sockets, (socket) =>
    Stream.runHead(Stream.filter(Stream.drop(socket.status, 1), ({ _tag }) => _tag === "Connected")).pipe(
      Effect.andThen(Clock.currentTimeMillis),
      Effect.forkChild({ startImmediately: true })
    )
  )
  const lost = yield* Clock.currentTimeMillis
  yield* Effect.forEach(clients, ({ network }) => network.drop, { discard: true })
  return (yield* Fiber.joinAll(waiting)).map((at) => at - lost)
}).pipe(Effect.provide(world))

it.live("a thousand clients come back all over their first pause, and not as a herd", () =>
  Effect.gen(function* () {
    for (const seed of [1, 2, 3]) {
      const { exit } = yield* Simulation.run({ seed }, returns)
      if (!Exit.isSuccess(exit)) return assert.fail(String(exit))
      const perTenth = new Map<number, number>()
      for (const at of exit.value) {
        // A second, half of it more or less, and the few round trips of a connection.
        assert.isAtLeast(at, 500)
        assert.isAtMost(at, 1_510)
        const tenth = Math.floor(at / 100)
        perTenth.set(tenth, (perTenth.get(tenth) ?? 0) + 1)
      }
      // A tenth of them in each, give or take.
      assert.isAtLeast(perTenth.size, 10)
      assert.isBelow(Math.max(...perTenth.values()), (CLIENTS / 10) * 1.5)
    }
  })
)
