/**
 * Recovery says that nothing is missing only if that is so: the moments in which this is hard.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Queue } from "effect"

import { settle, world } from "./raw.ts"

const names = (events: ReadonlyArray<ReadonlyArray<unknown>>) => events.map(([name]) => name)

/** The offset that an event has brought. */
const offsetOf = (event: ReadonlyArray<unknown>): string => String(event.at(-1))

describe("a client that comes back", () => {
  it.effect(
    "is told so before it gets what it has missed: clients keep events for later until then, and would hear them twice",
    () =>
      Effect.gen(function* () {
        const { namespace, next, open } = yield* world()
        const first = yield* open
        const { pid } = yield* first.connect()
        yield* next
        yield* first.close
        yield* settle
        yield* namespace.emit("one")
        yield* namespace.emit("two")
        const second = yield* open
        yield* second.send(`40${JSON.stringify({ pid })}`)
        yield* next
        yield* namespace.emit("three")
        yield* settle
        const packets = (yield* second.received).map(String)
        assert.match(packets[0]!, /^40\{/)
        assert.deepStrictEqual(
          packets.slice(1).map((packet) => JSON.parse(packet.slice(2))[0]),
          ["one", "two", "three"]
        )
      })
  )

  it.effect("is not there any more if its connection ends with what it has missed", () =>
    Effect.gen(function* () {
      let isHeld = false
      const { another, ends, namespace, next, open } = yield* world({
        limits: { maxOutbox: 2_000 },
        deliver: ({ arrive, direction }, later) => {
          if (!isHeld || direction === "to server") later(arrive)
        }
      })
      const first = yield* open
      const { pid, sid } = yield* first.connect()
      yield* next
      yield* first.close
      yield* settle
      yield* namespace.emit("one", "x".repeat(200))
      const second = yield* open
      yield* second.connect({}, "/other")
      isHeld = true
      // More than it may be behind, but for this turn.
      yield* another.emit("flood", "x".repeat(4_000))
      yield* second.send(`40${JSON.stringify({ pid })}`)
      yield* settle
      assert.deepStrictEqual(yield* Queue.take(ends), { sid, reason: "kicked" })
      assert.deepStrictEqual(yield* namespace.fetchSockets, [])
      assert.isUndefined(yield* Effect.timeoutOption(next, 0).pipe(Effect.map(Option.getOrUndefined)))
    })
  )
})
