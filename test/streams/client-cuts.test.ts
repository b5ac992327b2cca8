/**
 * Streams read by this library's client over a network that is cut, dropped and stalled at any moment, with and without recovery.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

import * as SocketStream from "../../src/client/SocketStream.ts"
import * as Namespace from "../../src/Namespace.ts"
import * as SocketIoServer from "../../src/server/SocketIoServer.ts"
import * as StreamEvent from "../../src/StreamEvent.ts"
import * as StreamLog from "../../src/streams/StreamLog.ts"
import { Seeded } from "../../src/testing/internal/seeded.ts"
import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"
import { count } from "../support/extent.ts"

const Answer = StreamEvent.make("answer", {
  payload: { words: Schema.Int, pause: Schema.Int },
  item: Schema.Int,
  idle: "Infinity"
})

class Ai extends Namespace.make("/ai").add(Answer) {}

const AiLive = SocketIoServer.layerNamespace(Ai, () =>
  Effect.succeed(
    Ai.of({
      answer: ({ pause, words }) =>
        Stream.range(1, words).pipe(
          Stream.rechunk(1),
          Stream.tap(() => (pause === 0 ? Effect.yieldNow : Effect.sleep(pause)))
        )
    })
  )
)

const run = (seed: number) => {
  const random = new Seeded(seed, 0)
  const options = random.below(2) === 0 ? {} : { recovery: {} }
  const words = 1 + random.below(400)
  const pause = [0, 1, 20, 200][random.below(4)]!
  const window = [1, 2, 16, 256][random.below(4)]!
  return Effect.gen(function* () {
    const { client } = yield* TestSocketIo.TestSocketIo
    const { network } = client
    const socket = yield* client.connect(Ai)
    const answer = yield* SocketStream.start(socket, "answer", { words, pause })
    const reading = yield* Effect.forkChild(Stream.runCollect(answer.values({ window })), { startImmediately: true })
    const faults = 1 + random.below(6)
    for (let i = 0; i < faults; i++) {
      yield* TestClock.adjust(random.below(3_000))
      const fault = random.below(3)
      if (fault === 0) yield* network.drop
      else {
        yield* fault === 1 ? network.cut : network.stall
        yield* TestClock.adjust(random.below(60_000))
        yield* network.restore
      }
    }
    for (let i = 0; reading.pollUnsafe() === undefined; i++) {
      assert.isBelow(i, 1_000, `seed ${seed} hangs`)
      yield* TestClock.adjust("1 second")
    }
    const exit = reading.pollUnsafe()!
    assert.strictEqual(exit._tag, "Success", `seed ${seed}: ${exit._tag === "Failure" ? String(exit.cause) : ""}`)
    const expected = Array.from({ length: words }, (_, n) => n + 1)
    assert.deepStrictEqual(exit._tag === "Success" ? exit.value : [], expected, `seed ${seed}`)
  }).pipe(
    Effect.provide(
      AiLive.pipe(
        Layer.provideMerge(TestSocketIo.layer(options)),
        Layer.provide(StreamLog.layerMemory({ retain: "1 hour" })),
        Layer.provideMerge(Logger.layer([]))
      )
    )
  )
}

describe("SocketStream over a bad network", () => {
  it.effect(
    "gives every value once, in order",
    () =>
      Effect.forEach(
        Array.from({ length: count(500, 40) }, (_, i) => i + 1),
        run,
        { discard: true }
      ),
    170_000
  )
})
