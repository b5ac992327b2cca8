/**
 * The buffer between a source and the readers of a stream, with each of its policies.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"

import { makeStreamBuffer, makeSuspendingBuffer } from "../../src/internal/streamBuffer.ts"
import { CAPACITY } from "../../src/internal/streamCapacity.ts"
import { type Overflow, type StreamOptions, StreamOverflow } from "../../src/StreamOptions.ts"

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

const open = <const O extends Exclude<Overflow, "suspend"> = "fail">(options?: StreamOptions<O>) => {
  const buffer = makeStreamBuffer<number, O>("test", options)
  return { ...buffer, stream: Stream.fromPull(Effect.succeed(buffer.pull)) }
}

/** A buffer whose source can wait, and what that was told. */
const openSuspending = (options: StreamOptions<"suspend"> = {}) => {
  const told: Array<"pause" | "resume"> = []
  const source = { pause: () => void told.push("pause"), resume: () => void told.push("resume") }
  const buffer = makeSuspendingBuffer<number>("test", options, source)
  return { ...buffer, told, stream: Stream.fromPull(Effect.succeed(buffer.pull)) }
}

describe("a stream's buffer", () => {
  it.effect("gives what came before it is read, what comes meanwhile, and then ends", () =>
    Effect.gen(function* () {
      const buffer = open()
      buffer.offer(1)
      buffer.offer(2)
      const reading = yield* fork(Stream.runCollect(buffer.stream))
      buffer.offer(3)
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      buffer.offer(4)
      buffer.end()
      buffer.offer(5)
      assert.deepStrictEqual(yield* Fiber.join(reading), [1, 2, 3, 4])
      assert.deepStrictEqual(yield* Stream.runCollect(buffer.stream), [])
    })
  )

  it.effect("does not run its reader within the turn of who offers", () =>
    Effect.gen(function* () {
      const buffer = open()
      const read: Array<number> = []
      yield* fork(Stream.runForEach(buffer.stream, (n) => Effect.sync(() => read.push(n))))
      buffer.offer(1)
      assert.deepStrictEqual(read, [])
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(read, [1])
    })
  )

  it.effect("gives each value to one of several readers, and forgets those that do not wait any more", () =>
    Effect.gen(function* () {
      const buffer = open()
      for (let i = 0; i < 100; i++) {
        const waiting = yield* fork(Stream.runHead(buffer.stream))
        yield* Fiber.interrupt(waiting)
      }
      const read: Array<number> = []
      const readers = yield* Effect.forEach([1, 2], () =>
        fork(Stream.runForEach(buffer.stream, (n) => Effect.sync(() => read.push(n))))
      )
      for (let n = 0; n < 10; n++) {
        buffer.offer(n)
        if (n % 3 === 0) yield* TestClock.adjust(0)
      }
      buffer.end()
      yield* Effect.forEach(readers, Fiber.join)
      assert.deepStrictEqual(
        read,
        Array.from({ length: 10 }, (_, n) => n)
      )
    })
  )

  it.effect("fails by default when more than 10,000 values wait, once they are read", () =>
    Effect.gen(function* () {
      const buffer = open()
      for (let n = 0; n <= CAPACITY; n++) buffer.offer(n)
      buffer.offer(-1)
      buffer.end()
      let count = 0
      const error = yield* Effect.flip(Stream.runForEach(buffer.stream, () => Effect.sync(() => count++)))
      assert.strictEqual(count, CAPACITY)
      assert.deepStrictEqual(error, new StreamOverflow({ stream: "test", capacity: 10_000 }))
      assert.include(error.message, `"test" has more than 10000 values waiting`)
    })
  )

  it.effect("fails a reader that waits no more than one that comes later", () =>
    Effect.gen(function* () {
      const buffer = open({ capacity: 2, overflow: "fail" })
      const reading = yield* fork(Effect.exit(Stream.runCollect(buffer.stream)))
      for (let n = 0; n < 3; n++) buffer.offer(n)
      assert.strictEqual((yield* Fiber.join(reading))._tag, "Failure")
      const error: StreamOverflow = yield* Effect.flip(Stream.runCollect(buffer.stream))
      assert.strictEqual(error.capacity, 2)
    })
  )

  for (const [overflow, kept] of [
    ["dropNewest", [0, 1, 2]],
    ["dropOldest", [5, 6, 7]]
  ] as const) {
    it.effect(
      `keeps ${kept} of eight values with room for three and the policy ${overflow}, and goes on after it`,
      () =>
        Effect.gen(function* () {
          const { end, offer, stream } = open({ capacity: 3, overflow })
          for (let n = 0; n < 8; n++) offer(n)
          const read: Array<number> = []
          // There is no error in its type.
          const reading: Fiber.Fiber<void> = yield* fork(
            Stream.runForEach(stream, (n) => Effect.sync(() => read.push(n)))
          )
          yield* TestClock.adjust(0)
          assert.deepStrictEqual(read, [...kept])
          offer(8)
          offer(9)
          end()
          yield* Fiber.join(reading)
          assert.deepStrictEqual(read, [...kept, 8, 9])
        })
    )
  }

  it.effect("pauses its source when it is full, takes what still comes, and resumes it when that is read", () =>
    Effect.gen(function* () {
      const { offer, pull, told } = openSuspending({ capacity: 2 })
      offer(0)
      assert.deepStrictEqual(told, [])
      offer(1)
      assert.deepStrictEqual(told, ["pause"])
      offer(2)
      assert.deepStrictEqual(told, ["pause"])
      assert.deepStrictEqual(yield* pull, [0, 1, 2])
      assert.deepStrictEqual(told, ["pause", "resume"])
      offer(3)
      assert.deepStrictEqual(yield* pull, [3])
      assert.deepStrictEqual(told, ["pause", "resume"])
    })
  )

  it.effect("resumes its source when it ends", () =>
    Effect.gen(function* () {
      const { end, offer, stream, told } = openSuspending({ capacity: 1 })
      offer(0)
      end()
      assert.deepStrictEqual(told, ["pause", "resume"])
      const values: Effect.Effect<Array<number>> = Stream.runCollect(stream)
      assert.deepStrictEqual(yield* values, [0])
      assert.deepStrictEqual(told, ["pause", "resume"])
    })
  )

  it.effect("has room for nothing if its capacity is no positive number", () =>
    Effect.gen(function* () {
      for (const capacity of [0, -1, Number.NaN]) {
        const { offer, stream } = open({ capacity })
        offer(0)
        assert.instanceOf(yield* Effect.flip(Stream.runCollect(stream)), StreamOverflow)
      }
    })
  )
})
