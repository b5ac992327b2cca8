/**
 * The memory for messages that were handled: claims, windows and bounds, under a clock that the test moves.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"

import { type Limits, makeMemory } from "../../src/idempotency/Idempotency.ts"
import { Ledger, type NewEntry } from "../../src/idempotency/internal/ledger.ts"
import { count } from "../support/extent.ts"
import { answerOf, claim, complete, handle, messagesOf } from "../support/idempotency.ts"

const message = messagesOf(600_000)

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

const yields = (times: number) => Effect.repeat(Effect.yieldNow, { times })

/** Counts the steps of fibers, which do not yield by themselves. */
class CountingScheduler extends Scheduler.MixedScheduler {
  steps = 0

  override shouldYield(): boolean {
    this.steps++
    return false
  }
}

/** Has fibers yield right after they were woken, before they do anything. */
class SlowScheduler extends Scheduler.MixedScheduler {
  private readonly yielded = new Set<unknown>()

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    if (fiber.currentOpCount > 1 || this.yielded.delete(fiber)) return false
    this.yielded.add(fiber)
    return true
  }
}

describe("a claim in memory", () => {
  it.effect("is one at a time, and those who wait get its answer", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory()
      const first = yield* claim(memory, message("a"))
      const waiting = yield* Effect.forEach([1, 2], () => fork(answerOf(memory, message("a"))))
      assert.strictEqual(yield* answerOf(memory, message("b")), undefined)
      yield* Effect.yieldNow
      assert.isTrue(waiting.every((fiber) => fiber.pollUnsafe() === undefined))
      yield* complete(first, "answer")
      for (const fiber of waiting) assert.strictEqual(yield* Fiber.join(fiber), "answer")
      yield* first.release
      assert.strictEqual(yield* answerOf(memory, message("a")), "answer")
    })
  )

  it.effect("answers many who wait a few at a time, and others have turns in between", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory()
      const first = yield* claim(memory, message("a"))
      let answered = 0
      const waiting = yield* Effect.forEach(Array.from({ length: 100 }), () =>
        fork(Effect.tap(answerOf(memory, message("a")), () => Effect.sync(() => void answered++)))
      )
      const gone = waiting[50]!
      yield* complete(first, "answer")
      const atOnce = answered
      assert.isAtMost(atOnce, 24)
      // A copy that comes meanwhile has the answer.
      assert.strictEqual(yield* answerOf(memory, message("a")), "answer")
      yield* Fiber.interrupt(gone)
      yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
      for (const fiber of waiting) if (fiber !== gone) assert.strictEqual(yield* Fiber.join(fiber), "answer")
      assert.strictEqual(answered, 99)
    })
  )

  it.effect("that is released goes to the one that waits the longest", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory()
      const first = yield* claim(memory, message("a"))
      const order: Array<number> = []
      const waiting = yield* Effect.forEach([1, 2, 3], (n) =>
        fork(
          Effect.scoped(
            Effect.flatMap(memory.claim(message("a")), (claimed) =>
              Effect.suspend(() => {
                order.push(n)
                return n < 3 ? Effect.void : complete(claimed, "third")
              })
            )
          )
        )
      )
      yield* first.release
      for (const fiber of waiting) yield* Fiber.join(fiber)
      assert.deepStrictEqual(order, [1, 2, 3])
      assert.strictEqual(yield* answerOf(memory, message("a")), "third")
    })
  )

  it.effect("is not taken by one that stopped waiting, and is not released by its scope after it is complete", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory()
      const first = yield* claim(memory, message("a"))
      const gone = yield* fork(claim(memory, message("a")))
      const waiting = yield* fork(claim(memory, message("a")))
      yield* Fiber.interrupt(gone)
      yield* first.release
      const second = yield* Fiber.join(waiting)
      yield* complete(second, "one")
      yield* complete(second, "two")
      yield* first.release
      yield* second.release
      assert.strictEqual(yield* answerOf(memory, message("a")), "one")
    })
  )

  it.effect(
    "goes to one of those that wait, and wakes no other: many copies of a message take as many steps each",
    () =>
      Effect.gen(function* () {
        /** The steps that so many copies of a message take in all, if none of their handlers gives an answer. */
        const stepsOf = Effect.fnUntraced(function* (copies: number, handler: Effect.Effect<void>) {
          const memory = yield* makeMemory()
          const scheduler = new CountingScheduler()
          let ran = 0
          const copy = memory
            .claim(message("a"))
            .pipe(
              Effect.andThen(Effect.sync(() => void ran++)),
              Effect.andThen(handler),
              Effect.scoped,
              Effect.provideService(Scheduler.Scheduler, scheduler)
            )
          const first = yield* claim(memory, message("a"))
          const fibers = yield* Effect.forEach(Array.from({ length: copies }), () => fork(copy))
          yield* first.release
          for (const fiber of fibers) yield* Fiber.join(fiber)
          assert.strictEqual(ran, copies)
          return scheduler.steps
        })
        for (const handler of [Effect.void, Effect.yieldNow]) {
          const few = yield* stepsOf(50, handler)
          const many = yield* stepsOf(500, handler)
          assert.isAtMost(many, few * 10.5)
        }
        // Handlers that end at once do not run within one another.
        yield* stepsOf(2_000, Effect.void)
      })
  )

  it.effect("is passed on by those whose turn it is when they stop waiting, wherever they are", () =>
    Effect.gen(function* () {
      for (let turns = 0; turns < 8; turns++) {
        const memory = yield* makeMemory()
        const slowly = Effect.provideService(answerOf(memory, message("a")), Scheduler.Scheduler, new SlowScheduler())
        const first = yield* claim(memory, message("a"))
        const stopped = [yield* fork(slowly), yield* fork(slowly)]
        const last = yield* fork(answerOf(memory, message("a")))
        yield* yields(8)
        assert.isTrue([...stopped, last].every((fiber) => fiber.pollUnsafe() === undefined))
        yield* first.release
        yield* yields(turns)
        for (const fiber of stopped) yield* Fiber.interrupt(fiber)
        assert.isUndefined(yield* Fiber.join(last))
        yield* handle(memory, message("a"), "handled")
        assert.strictEqual(yield* answerOf(memory, message("a")), "handled")
      }
    })
  )

  it.effect("belongs to a namespace, an event and an owner, however they are written", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory()
      const all = [
        message("a"),
        message("a", { namespace: "/other" }),
        message("a", { event: "other" }),
        message("a", { owner: "ada" }),
        message("a", { owner: "" }),
        message('a","b'),
        message("b", { owner: 'null,"a' }),
        message('ada","a', { owner: undefined })
      ]
      yield* Effect.forEach(all, (message, i) => handle(memory, message, `answer ${i}`))
      for (const [i, one] of all.entries()) assert.strictEqual(yield* answerOf(memory, one), `answer ${i}`)
    })
  )
})

describe("answers in memory", () => {
  it.effect("are kept for their window, from the end of the handler on", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory()
      const slow = yield* claim(memory, message("a", { window: 1_000 }))
      yield* TestClock.adjust("1 hour")
      yield* complete(slow, "slow")
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(yield* answerOf(memory, message("a")), "slow")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* answerOf(memory, message("a")), undefined)
      // An answer does not live longer because it is asked for.
      yield* handle(memory, message("a", { window: 1_000 }), "again")
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(yield* answerOf(memory, message("a", { window: 1_000 })), "again")
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(yield* answerOf(memory, message("a")), undefined)
    })
  )

  it.effect("that are the oldest go when there are too many, and messages that are being handled never do", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory({ maxEntries: 3 })
      const running = yield* claim(memory, message("running"))
      const waiting = yield* fork(answerOf(memory, message("running")))
      for (let i = 0; i < 10; i++) yield* handle(memory, message(`${i}`, { client: `${i}` }), `answer ${i}`)
      for (let i = 0; i < 10; i++) {
        assert.strictEqual(yield* answerOf(memory, message(`${i}`)), i < 7 ? undefined : `answer ${i}`)
      }
      yield* complete(running, "done")
      assert.strictEqual(yield* Fiber.join(waiting), "done")
      assert.strictEqual(yield* answerOf(memory, message("running")), "done")
      assert.strictEqual(yield* answerOf(memory, message("7")), undefined)
    })
  )

  it.effect("are refused a place while as many messages are handled as may be", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory({ maxRunning: 2 })
      const first = yield* claim(memory, message("1"))
      yield* claim(memory, message("2"))
      const error = yield* Effect.flip(claim(memory, message("3")))
      assert.strictEqual(error.reason._tag, "Full")
      yield* first.release
      yield* claim(memory, message("3"))
    })
  )

  it.effect("are refused a place to clients that have many, and the fewer places are free the sooner", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory({ maxRunning: 100 })
      let ids = 0
      /** Claims as many messages as a client may. */
      const claimAll = Effect.fnUntraced(function* (client: string) {
        const claims = []
        for (;;) {
          const exit = yield* Effect.exit(claim(memory, message(`${ids++}`, { client })))
          if (exit._tag === "Failure") return claims
          claims.push(exit.value)
        }
      })
      const numbers = []
      const claims = []
      for (const client of ["one", "two", "three", "four"]) {
        const own = yield* claimAll(client)
        claims.push(...own)
        numbers.push(own.length)
      }
      assert.deepStrictEqual(numbers, [39, 19, 11, 7])
      yield* Effect.forEach(claims, ({ release }) => release)
      assert.strictEqual((yield* claimAll("four")).length, 39)
    })
  )

  it.effect("are refused to one whose turn it is and whose client has no place, and the next one has the turn", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory({ maxRunning: 4 })
      const first = yield* claim(memory, message("a", { client: "first" }))
      const waiting = yield* fork(Effect.flip(claim(memory, message("a"))))
      const last = yield* fork(claim(memory, message("a", { client: "last" })))
      yield* claim(memory, message("b"))
      yield* claim(memory, message("c"))
      yield* claim(memory, message("d", { client: "another" }))
      yield* first.release
      assert.strictEqual((yield* Fiber.join(waiting)).reason._tag, "Full")
      yield* (yield* Fiber.join(last)).release
      yield* handle(memory, message("e", { client: "last" }), "answer")
    })
  )

  it.effect("of a client that invents ids displace its own, and not those of others", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory({ maxEntries: 1_000, maxEntriesPerClient: 10 })
      yield* handle(memory, message("honest"), "kept")
      for (let i = 0; i < 5_000; i++) yield* handle(memory, message(`invented ${i}`, { client: "hostile" }), "x")
      assert.strictEqual(yield* answerOf(memory, message("honest")), "kept")
      assert.strictEqual(yield* answerOf(memory, message("invented 4989")), undefined)
      assert.strictEqual(yield* answerOf(memory, message("invented 4990")), "x")
    })
  )

  it.effect("that are larger than a client's share are remembered without the answer", () =>
    Effect.gen(function* () {
      const memory = yield* makeMemory({ maxBytesPerClient: 2_048 })
      const first = yield* claim(memory, message("large"))
      const waiting = yield* fork(answerOf(memory, message("large")))
      yield* complete(first, "x".repeat(4_000))
      // The one that waits gets it: it is there still.
      assert.strictEqual((yield* Fiber.join(waiting))?.length, 4_000)
      assert.strictEqual(yield* answerOf(memory, message("large")), "")
    })
  )

  it.effect("fail on limits that make no sense", () =>
    Effect.gen(function* () {
      for (const limits of [
        { maxRunning: 0 },
        { maxEntries: 0 },
        { maxBytes: 1 },
        { maxEntriesPerClient: 0.5 },
        { maxBytesPerClient: Number.NaN }
      ] satisfies Array<Limits>) {
        const error = yield* Effect.flip(makeMemory(limits))
        assert.strictEqual(error.option, Object.keys(limits)[0])
      }
    })
  )
})

describe("the ledger of answers", () => {
  const limits = { maxEntries: 8, maxBytes: 6_000, maxEntriesPerClient: 4, maxBytesPerClient: 3_000 }

  /** The same, as simple as can be. */
  const makeModel = () => {
    let entries: Array<{ key: string; client: string; answer: string; endsAt: number; bytes: number }> = []
    const bytes = (of: typeof entries) => of.reduce((sum, entry) => sum + entry.bytes, 0)
    const dropFirst = (among: (entry: (typeof entries)[number]) => boolean) => {
      entries.splice(entries.findIndex(among), 1)
    }
    return {
      get: (key: string, now: number) => entries.find((entry) => entry.key === key && entry.endsAt > now)?.answer,
      size: () => entries.length,
      bytes: () => bytes(entries),
      add: ({ answer, client, key, window }: NewEntry, now: number, size: number) => {
        entries = entries.filter((entry) => entry.key !== key && entry.endsAt > now)
        entries.push({ key, client, answer, endsAt: now + window, bytes: size })
        const own = () => entries.filter((entry) => entry.client === client)
        while (own().length > limits.maxEntriesPerClient || bytes(own()) > limits.maxBytesPerClient) {
          dropFirst((entry) => entry.client === client)
        }
        while (entries.length > limits.maxEntries || bytes(entries) > limits.maxBytes) dropFirst(() => true)
      }
    }
  }

  it("keeps and drops what a simple list does, whatever comes", () => {
    const step = fc.record({
      key: fc.integer({ min: 0, max: 15 }),
      client: fc.integer({ min: 0, max: 3 }),
      length: fc.integer({ min: 0, max: 1_500 }),
      window: fc.constantFrom(10, 100, 1_000),
      pause: fc.integer({ min: 0, max: 60 })
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const ledger = new Ledger(limits)
        const model = makeModel()
        let now = 0
        for (const [i, { client, key, length, pause, window }] of steps.entries()) {
          now += pause
          const entry: NewEntry = {
            key: `key ${key}`,
            client: `client ${client}`,
            answer: `${i}${"x".repeat(length)}`,
            isElsewhere: false,
            window
          }
          const alone = new Ledger(limits)
          alone.add(entry, now)
          ledger.add(entry, now)
          model.add(entry, now, alone.bytes)
          assert.strictEqual(ledger.size, model.size())
          assert.strictEqual(ledger.bytes, model.bytes())
          for (let other = 0; other < 16; other++) {
            assert.strictEqual(ledger.get(`key ${other}`, now), model.get(`key ${other}`, now))
          }
        }
        ledger.purge(Infinity)
        assert.strictEqual(ledger.size, 0)
        assert.strictEqual(ledger.bytes, 0)
      }),
      { numRuns: count(300, 60) }
    )
  })

  it("counts the memory that its entries take, and finds the oldest one at once", () => {
    const large = new Ledger({
      maxEntries: 50_000,
      maxBytes: 1e9,
      maxEntriesPerClient: 50_000,
      maxBytesPerClient: 1e9
    })
    const add = (i: number) =>
      large.add(
        {
          key: `["/shop","order",null,"0f4c7d62-4e0f-4a43-9a0e-${i}"]`,
          client: `client ${i % 100}`,
          answer: `[[{"_tag":"Success","value":${i}}]]`,
          isElsewhere: false,
          window: 600_000
        },
        i
      )
    for (let i = 0; i < 50_000; i++) add(i)
    const started = performance.now()
    for (let i = 50_000; i < 100_000; i++) add(i)
    assert.strictEqual(large.size, 50_000)
    // It takes some 100 ms. Looking for the oldest one among those that have gone would take minutes.
    assert.isBelow(performance.now() - started, 5_000)
  })
})
