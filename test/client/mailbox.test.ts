/**
 * What stands between a client's socket and the readers of its streams.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"

import { CAPACITY, makeMailbox } from "../../src/client/internal/mailbox.ts"

const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

const open = () => {
  const [offer, end, pull] = makeMailbox<number>()
  return { offer, end, stream: Stream.fromPull(Effect.succeed(pull)) }
}

describe("a mailbox", () => {
  it.effect("gives what came before it is read, what comes meanwhile, and then ends", () =>
    Effect.gen(function* () {
      const mailbox = open()
      mailbox.offer(1)
      mailbox.offer(2)
      const reading = yield* fork(Stream.runCollect(mailbox.stream))
      mailbox.offer(3)
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      mailbox.offer(4)
      mailbox.end()
      mailbox.offer(5)
      assert.deepStrictEqual(yield* Fiber.join(reading), [1, 2, 3, 4])
      assert.deepStrictEqual(yield* Stream.runCollect(mailbox.stream), [])
    })
  )

  it.effect("does not run its reader within the turn of who offers", () =>
    Effect.gen(function* () {
      const mailbox = open()
      const read: Array<number> = []
      yield* fork(Stream.runForEach(mailbox.stream, (n) => Effect.sync(() => read.push(n))))
      mailbox.offer(1)
      assert.deepStrictEqual(read, [])
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(read, [1])
    })
  )

  it.effect("gives each value to one of several readers, and forgets those that do not wait any more", () =>
    Effect.gen(function* () {
      const mailbox = open()
      for (let i = 0; i < 100; i++) {
        const waiting = yield* fork(Stream.runHead(mailbox.stream))
        yield* Fiber.interrupt(waiting)
      }
      const read: Array<number> = []
      const readers = yield* Effect.forEach([1, 2], () =>
        fork(Stream.runForEach(mailbox.stream, (n) => Effect.sync(() => read.push(n))))
      )
      for (let n = 0; n < 10; n++) {
        mailbox.offer(n)
        if (n % 3 === 0) yield* TestClock.adjust(0)
      }
      mailbox.end()
      yield* Effect.forEach(readers, Fiber.join)
      assert.deepStrictEqual(
        read,
        Array.from({ length: 10 }, (_, n) => n)
      )
    })
  )

  it.effect("makes a reader that is too far behind die, once it has read what there is", () =>
    Effect.gen(function* () {
      const mailbox = open()
      for (let n = 0; n <= CAPACITY; n++) mailbox.offer(n)
      mailbox.offer(-1)
      mailbox.end()
      let count = 0
      const exit = yield* Effect.exit(Stream.runForEach(mailbox.stream, () => Effect.sync(() => count++)))
      assert.strictEqual(count, CAPACITY)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.include(String(exit), "behind by more than 10000")
    })
  )
})
