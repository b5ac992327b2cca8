/**
 * Answers that survive the process, over `effect/persistence`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Layer, Scope } from "effect"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Persistence from "effect/persistence/Persistence"
import { TestClock } from "effect/testing"

import { Idempotency } from "../../src/idempotency/Idempotency.ts"
import * as PersistedIdempotency from "../../src/idempotency/PersistedIdempotency.ts"
import { answerOf, handle, messagesOf } from "../support/idempotency.ts"

const message = messagesOf(60_000)

/** A key-value store, and the service over it as each process makes it. */
const setup = Effect.gen(function* () {
  const store = yield* Layer.build(KeyValueStore.layerMemory)
  const kvs = Effect.provideContext(KeyValueStore.KeyValueStore, store)
  const persistence = Persistence.layerKvs.pipe(Layer.provide(Layer.succeedContext(store)))
  const process = (options?: PersistedIdempotency.PersistedIdempotencyOptions) =>
    Effect.map(
      Layer.build(Layer.fresh(PersistedIdempotency.layer(options).pipe(Layer.provide(persistence)))),
      (context) => Effect.provideContext(Idempotency, context)
    ).pipe(Effect.flatten)
  return { kvs: yield* kvs, process }
})

describe("answers that are persisted", () => {
  it.effect("are there for the next process, for their window", () =>
    Effect.gen(function* () {
      const { kvs, process } = yield* setup
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(process(), scope)
      yield* handle(first, message("a"), "answer")
      yield* Scope.close(scope, Exit.void)
      const second = yield* process()
      assert.strictEqual(yield* answerOf(second, message("a")), "answer")
      assert.strictEqual(yield* answerOf(second, message("b")), undefined)
      // Neither ids nor owners can be read from the keys.
      assert.match((yield* kvs.keys)[0]!, /^socketio_once:[0-9a-f]{64}$/)
      yield* TestClock.adjust(Duration.minutes(1))
      assert.strictEqual(yield* answerOf(second, message("a")), undefined)
    })
  )

  it.effect("are no claims: two processes that get a message at the same time both handle it", () =>
    Effect.gen(function* () {
      const { process } = yield* setup
      const [first, second] = [yield* process(), yield* process()]
      const claims = yield* Effect.forEach([first, second], (service) => service.claim(message("a")))
      assert.deepStrictEqual(
        claims.map(({ _tag }) => _tag),
        ["Claimed", "Claimed"]
      )
    }).pipe(Effect.scoped)
  )

  it.effect("are removed where there are too many", () =>
    Effect.gen(function* () {
      const { kvs, process } = yield* setup
      const service = yield* process({ maxEntries: 3, storeId: "few" })
      for (let i = 0; i < 10; i++) yield* handle(service, message(`${i}`), `${i}`)
      assert.strictEqual(yield* kvs.size, 3)
      assert.strictEqual(yield* answerOf(service, message("6")), undefined)
      assert.strictEqual(yield* answerOf(service, message("7")), "7")
    })
  )

  it.effect("end with their window, and stay if another process has given them again", () =>
    Effect.gen(function* () {
      const { kvs, process } = yield* setup
      const [first, second] = [yield* process(), yield* process()]
      for (const id of ["a", "b"]) yield* handle(first, message(id, { window: 30_000 }), "before")
      yield* TestClock.adjust(Duration.seconds(30))
      yield* handle(second, message("a"), "after")
      yield* handle(first, message("c"), "c")
      assert.strictEqual(yield* answerOf(first, message("a")), "after")
      assert.strictEqual(yield* kvs.size, 2)
      yield* TestClock.adjust(Duration.minutes(2))
      assert.strictEqual(yield* kvs.size, 0)
    })
  )

  it.effect("that are too large are remembered without their text", () =>
    Effect.gen(function* () {
      const { process } = yield* setup
      const service = yield* process({ maxBytesPerClient: 2_000 })
      yield* handle(service, message("large"), "x".repeat(3_000))
      assert.strictEqual(yield* answerOf(service, message("large")), "")
    })
  )

  it.effect("cannot be claimed while the store fails, and a damaged record is a message that was handled", () =>
    Effect.gen(function* () {
      const { kvs, process } = yield* setup
      const service = yield* process()
      yield* handle(service, message("a"), "answer")
      const [key] = yield* kvs.keys
      yield* kvs.set(key!, '[{"_tag":"Success"},null]')
      assert.strictEqual(yield* answerOf(service, message("a")), "")
      yield* kvs.set(key!, "{")
      const error = yield* Effect.flip(answerOf(service, message("a")))
      assert.strictEqual(error.reason._tag, "Unavailable")
      // The claim was given back.
      yield* kvs.remove(key!)
      yield* handle(service, message("a"), "again")
    })
  )
})
