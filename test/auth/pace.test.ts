/**
 * Many ends at once: clients come back at the pace that the server sets.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import { settle, world } from "./raw.ts"

const SECOND = 1_000

/** The most events within any span of that many milliseconds. */
const densest = (times: ReadonlyArray<number>, span: number): number => {
  let most = 0
  for (let from = 0, to = 0; to < times.length; to++) {
    while (times[to]! - times[from]! >= span) from++
    most = Math.max(most, to - from + 1)
  }
  return most
}

describe("many ends at once", () => {
  for (const [name, clients, rate, seconds] of [
    ["at the default pace", 5_000, undefined, 10],
    ["at a slow pace", 50, 5, 10],
    ["at a fast pace", 1_000, 10_000, 1]
  ] as const) {
    it.effect(
      `${clients} clients whose tokens end in one second come back ${name}`,
      () =>
        Effect.gen(function* () {
          const { connection } = yield* world(rate === undefined ? {} : { auth: { rate } })
          const back: Array<number> = []
          for (let i = 0; i < clients; i++) {
            const peer = yield* connection()
            yield* peer.connect({ name: `${i}`, in: 10 * SECOND + (i * SECOND) / clients })
            yield* Effect.forkScoped(
              Effect.gen(function* () {
                yield* peer.closed
                const again = yield* connection()
                const { isError } = yield* again.connect({ name: `${i}`, in: 3_600 * SECOND })
                if (!isError) back.push(yield* Clock.currentTimeMillis)
              })
            )
          }
          yield* settle
          yield* TestClock.adjust(10 * SECOND - 1)
          assert.lengthOf(back, 0)
          const most = rate ?? 500
          for (let step = 0; step < (seconds + 2) * 10; step++) {
            yield* TestClock.adjust(SECOND / 10)
            for (let i = 0; i < 3; i++) yield* settle
          }
          assert.lengthOf(back, clients)
          back.sort((a, b) => a - b)
          // A step of the pace, and one of this test, may fall into the same second.
          assert.isAtMost(densest(back, SECOND), most * 1.2 + 1)
          const took = (back.at(-1)! - back[0]!) / SECOND
          if (clients > most) assert.isAtLeast(took, (clients / most) * 0.9)
          assert.isAtMost(took, Math.max(clients / most, 1) * 1.2)
        }),
      60_000
    )
  }

  it.effect("a single end waits for nobody", () =>
    Effect.gen(function* () {
      const { join } = yield* world({ auth: { rate: 0.01 } })
      // The second one comes when the first one is long over.
      for (const after of [SECOND, 3_600 * SECOND]) {
        const { peer } = yield* join({ name: "ada", in: after, notice: 0 })
        yield* TestClock.adjust(after)
        yield* settle
        assert.isTrue(yield* peer.isClosed)
      }
    })
  )

  it.effect("clients that leave while they wait make place for others", () =>
    Effect.gen(function* () {
      const { join } = yield* world({ auth: { rate: 1 } })
      const peers = []
      for (let i = 0; i < 10; i++) peers.push((yield* join({ name: `${i}`, in: SECOND, notice: 0 })).peer)
      yield* TestClock.adjust(SECOND)
      for (const peer of peers.slice(1, 9)) yield* peer.close
      yield* settle
      yield* TestClock.adjust(SECOND)
      yield* settle
      assert.isTrue(yield* peers[9]!.isClosed)
    })
  )

  it.effect("a drain takes those that wait, and closes each once", () =>
    Effect.gen(function* () {
      const { context, join } = yield* world({ auth: { rate: 1 } })
      const sockets = []
      for (let i = 0; i < 20; i++) {
        sockets.push((yield* join({ name: `${i}`, in: SECOND, notice: 0 })).socket)
      }
      const reasons = yield* Effect.forkChild(Effect.all(sockets.map(({ disconnected }) => disconnected)), {
        startImmediately: true
      })
      yield* TestClock.adjust(3 * SECOND)
      const server = Context.get(context, SocketIoServer.SocketIoServer)
      const draining = yield* Effect.forkChild(server.drain({ notice: 0, over: SECOND }), { startImmediately: true })
      for (let i = 0; i < 40; i++) {
        yield* TestClock.adjust(100)
        yield* settle
      }
      const seen = yield* Fiber.join(reasons)
      const report = yield* Fiber.join(draining)
      const expired = seen.filter((reason) => reason === "auth expired").length
      // One at once, and one for each second.
      assert.isAtLeast(expired, 3)
      assert.isAtMost(expired, 5)
      assert.strictEqual(seen.filter((reason) => reason === "server shutting down").length, 20 - expired)
      assert.strictEqual(report.moved + report.cut, 20 - expired)
    })
  )

  it.effect("a client that waits for its turn keeps its rights, and cannot refresh them any more", () =>
    Effect.gen(function* () {
      const { join } = yield* world({ auth: { rate: 0.01 } })
      yield* join({ name: "ada", in: SECOND, notice: 0 })
      const { peer } = yield* join({ name: "bob", rooms: ["b"], in: SECOND, notice: 0 })
      yield* TestClock.adjust(SECOND)
      yield* settle
      assert.strictEqual(yield* peer.answer("whoami"), "bob of b")
      assert.strictEqual((yield* peer.refresh({ name: "bob" })).error.message, "Auth expired")
    })
  )
})
