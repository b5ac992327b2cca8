/**
 * Connections that leave a server that is drained, packet by packet, under a clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

import { makeFleet } from "../support/fleet.ts"
import { type AnySocket, draining, join, makeApplication, MOVE, settle } from "./application.ts"

describe("a connection that departs", () => {
  it.effect("of an official client, is closed at once if nothing is under way, without any other packet", () =>
    Effect.gen(function* () {
      const { drain, log, raw } = yield* draining()
      const peer = yield* join(yield* raw())
      const draining_ = yield* drain
      assert.deepStrictEqual(yield* peer.received, [])
      assert.strictEqual(yield* peer.closed, "closed")
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(draining_), { moved: 1, cut: 0, inFlight: 0 })
      assert.deepStrictEqual(log, ["first: server shutting down"])
    })
  )

  it.effect("waits for handlers to answer, for a second at most", () =>
    Effect.gen(function* () {
      const { drain, log, raw } = yield* draining({ over: "100 millis" })
      const quick = yield* join(yield* raw())
      const slow = yield* join(yield* raw())
      yield* quick.send('421["work",500]')
      yield* slow.send('421["work",1400]')
      yield* settle
      const fiber = yield* drain
      yield* TestClock.adjust("450 millis")
      assert.deepStrictEqual(yield* quick.received, [])
      yield* TestClock.adjust("100 millis")
      yield* settle
      assert.deepStrictEqual(yield* quick.received, ['431["first"]'])
      assert.strictEqual(yield* quick.closed, "closed")
      // The slow one has its time, but cannot be answered any more.
      yield* TestClock.adjust("700 millis")
      yield* settle
      assert.strictEqual(yield* slow.closed, "closed")
      assert.deepStrictEqual(log, ["first: worked", "first: server shutting down"])
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(yield* slow.received, [])
      assert.deepStrictEqual(log.slice(2), ["first: worked", "first: server shutting down"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(fiber), { moved: 2, cut: 0, inFlight: 0 })
    })
  )

  it.effect("handles what was on its way, and gives handlers the rest of the time, and at least a second", () =>
    Effect.gen(function* () {
      const { drain, log, raw } = yield* draining()
      const peer = yield* join(yield* raw())
      yield* peer.send('42["note","before"]')
      yield* settle
      // In the same turn as the close frame leaves the other side.
      const fiber = yield* Effect.forkChild(Effect.flatMap(drain, Fiber.join), { startImmediately: true })
      yield* peer.send('42["note","on its way"]')
      yield* peer.send('421["work",900]')
      yield* peer.send('422["work",60000]')
      yield* settle
      assert.strictEqual(yield* peer.closed, "closed")
      assert.deepStrictEqual(log, ["first: before", "first: on its way"])
      yield* TestClock.adjust("950 millis")
      assert.deepStrictEqual(log.slice(2), ["first: worked"])
      yield* TestClock.adjust("2 seconds")
      assert.sameMembers(log.slice(3), ["first: interrupted", "first: server shutting down"])
      assert.deepStrictEqual(yield* Fiber.join(fiber), { moved: 1, cut: 0, inFlight: 1 })
    })
  )

  it.effect("fails the acknowledgements that its client owes when it has left", () =>
    Effect.gen(function* () {
      const { drain, raw, sockets } = yield* draining()
      const peer = yield* join(yield* raw())
      const asked = yield* Effect.forkChild(Effect.flip(sockets[0]!.emitWithAck("question")), {
        startImmediately: true
      })
      yield* drain
      yield* TestClock.adjust("1100 millis")
      yield* settle
      assert.strictEqual(yield* peer.closed, "closed")
      assert.strictEqual((yield* Fiber.join(asked)).reason._tag, "Disconnected")
      assert.strictEqual((yield* Effect.flip(sockets[0]!.emitWithAck("question"))).reason._tag, "Disconnected")
    })
  )

  it.effect("sends nothing after its close, also where sends wait for capacity", () =>
    Effect.gen(function* () {
      const application = makeApplication()
      const fleet = yield* makeFleet(application.namespaces, { limits: { outboxOverflow: "suspend", maxOutbox: 100 } })
      const first = yield* fleet.start("first")
      const peer = yield* join(yield* fleet.raw())
      yield* peer.send('421["work",60000]')
      yield* settle
      const sending = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3], (i) => application.sockets[0]!.emit("news", i, "x".repeat(1_000))),
        { startImmediately: true }
      )
      yield* Effect.forkChild(first.shape.drain({ notice: 0, over: 0 }), { startImmediately: true })
      yield* TestClock.adjust("1100 millis")
      yield* settle
      assert.isDefined(sending.pollUnsafe())
      yield* application.sockets[0]!.emit("late")
      yield* settle
      assert.isFalse((yield* peer.received).includes('42["late"]'))
    })
  )
})

describe("a client that understands it", () => {
  it.effect(
    "is asked to move, gets nothing but acknowledgements after it was told to, and is closed when they are given",
    () =>
      Effect.gen(function* () {
        const { drain, first, log, raw, sockets } = yield* draining({ over: "5 seconds" })
        const peer = yield* join(yield* raw("&fx=1"))
        yield* peer.send('421["work",3000]')
        yield* peer.send('422["work",60000]')
        yield* settle
        const fiber = yield* drain
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* peer.receive, '431["first"]')
        const asked = MOVE.exec(String(yield* peer.receive))
        assert.closeTo(Number(asked?.[1]), 2_000, 100)
        const [news] = sockets as [AnySocket]
        yield* news.emit("news", 1)
        assert.strictEqual(yield* peer.receive, '42["news",1]')
        yield* peer.send('423["ask","the last one"]')
        yield* peer.send("432147483647[]")
        yield* settle
        assert.strictEqual(yield* peer.receive, '433["first"]')
        // One handler still runs: a second is enough.
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.strictEqual(yield* peer.receive, '422147483647["~fx:moved"]')
        yield* news.emit("news", 2)
        const everybody = yield* first.shape.namespace("/")
        yield* everybody.emit("news", 3)
        assert.strictEqual((yield* Effect.flip(news.emitWithAck("question"))).reason._tag, "Disconnected")
        yield* settle
        assert.deepStrictEqual(yield* peer.received, [])
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.strictEqual(yield* peer.closed, "closed")
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* Fiber.join(fiber), { moved: 1, cut: 0, inFlight: 1 })
        assert.sameMembers(log, [
          "first: worked",
          "first: the last one",
          "first: interrupted",
          "first: server shutting down"
        ])
      })
  )

  it.effect("is closed as others are if it does not move", () =>
    Effect.gen(function* () {
      const { drain, raw } = yield* draining()
      const peer = yield* join(yield* raw("&fx=1"))
      const fiber = yield* drain
      assert.match(String(yield* peer.receive), MOVE)
      yield* TestClock.adjust("1900 millis")
      assert.deepStrictEqual(yield* peer.received, [])
      yield* TestClock.adjust("200 millis")
      yield* settle
      assert.strictEqual(yield* peer.closed, "closed")
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(fiber), { moved: 1, cut: 0, inFlight: 0 })
    })
  )

  it.effect("may say anything else with the number of the move", () =>
    Effect.gen(function* () {
      const { drain, raw } = yield* draining()
      const peer = yield* join(yield* raw("&fx=1"))
      // Before it was asked, and in another namespace, it is an acknowledgement like any other.
      yield* peer.send("432147483647[]")
      yield* drain
      assert.match(String(yield* peer.receive), MOVE)
      yield* peer.send("431[]")
      yield* peer.send("432147483647[]")
      yield* settle
      assert.strictEqual(yield* peer.receive, '422147483647["~fx:moved"]')
      // Again, it means nothing.
      yield* peer.send("432147483647[]")
      yield* settle
      assert.strictEqual(yield* peer.closed, "closed")
    })
  )

  it.effect("joins no more namespaces after it was told to move", () =>
    Effect.gen(function* () {
      const { drain, raw, sockets } = yield* draining()
      const peer = yield* raw("&fx=1")
      yield* peer.receive
      yield* drain
      assert.match(String(yield* peer.receive), MOVE)
      yield* peer.send("40")
      assert.match(String(yield* peer.receive), /^40\{/)
      yield* peer.send("432147483647[]")
      yield* peer.send('42["work",500]')
      yield* peer.send("41")
      yield* peer.send("40")
      yield* settle
      assert.lengthOf(sockets, 1)
    })
  )
})
