/**
 * Recovery says that nothing is missing only if that is so: the moments in which this is hard.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Queue } from "effect"

import { TestClock } from "effect/testing"

import { settle, world } from "./raw.ts"

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

  it.effect(
    "may ask again while middleware still decides on its last attempt, of which nobody knows that it is lost",
    () =>
      Effect.gen(function* () {
        let isSlow = false
        const decide = Effect.suspend(() => (isSlow ? Effect.never : Effect.void))
        const { next, open } = yield* world({ decide })
        const first = yield* open
        const { pid, sid } = yield* first.connect()
        yield* next
        yield* first.close
        yield* settle
        isSlow = true
        const second = yield* open
        yield* second.send(`40${JSON.stringify({ pid })}`)
        yield* settle
        isSlow = false
        const third = yield* open
        assert.deepStrictEqual(yield* third.connect({ pid }), { sid, pid })
        assert.isTrue((yield* next).recovered)
        assert.strictEqual(yield* second.closed, "closed")
      })
  )

  it.effect("comes in time, or too late: the server need not have looked", () =>
    Effect.gen(function* () {
      const { ends, namespace, next, open } = yield* world({ recovery: { maxDisconnection: "1 second" } })
      // The log is looked at now and then, more rarely than once in a second.
      const other = yield* open
      yield* other.connect()
      yield* next
      yield* namespace.emit("one")
      const asked = Effect.fnUntraced(function* (millis: number) {
        const first = yield* open
        const { pid, sid } = yield* first.connect()
        yield* next
        yield* first.close
        yield* settle
        yield* TestClock.adjust(millis)
        const second = yield* open
        const answer = yield* second.connect({ pid })
        return { isBack: answer.sid === sid, sid, socket: yield* next }
      })
      const early = yield* asked(999)
      assert.isTrue(early.isBack)
      const late = yield* asked(1_000)
      assert.isFalse(late.isBack)
      assert.isFalse(late.socket.recovered)
      assert.deepStrictEqual(yield* Queue.take(ends), { sid: late.sid, reason: "expired" })
    })
  )

  it.effect("waits as long again if its connection is lost while middleware decides", () =>
    Effect.gen(function* () {
      let isSlow = false
      const decide = Effect.suspend(() => (isSlow ? Effect.never : Effect.void))
      const { ends, next, open } = yield* world({ decide, recovery: { maxDisconnection: "10 seconds" } })
      const connect = Effect.fnUntraced(function* () {
        const peer = yield* open
        const answer = yield* peer.connect()
        yield* next
        return { ...answer, peer }
      })
      const one = yield* connect()
      yield* one.peer.close
      yield* settle
      yield* TestClock.adjust("9 seconds")
      isSlow = true
      const second = yield* open
      yield* second.send(`40${JSON.stringify({ pid: one.pid })}`)
      yield* settle
      isSlow = false
      const two = yield* connect()
      yield* two.peer.close
      yield* second.close
      yield* settle
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(yield* Queue.size(ends), 0)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(
        (yield* Queue.takeAll(ends)).map(({ reason, sid }) => [sid, reason]),
        [
          [two.sid, "expired"],
          [one.sid, "expired"]
        ]
      )
    })
  )
})

describe("what handlers send while another event is being delivered", () => {
  it.effect("comes after that event, to all: a client that has one has what was before it", () =>
    Effect.gen(function* () {
      const { namespace, next, open } = yield* world({
        build: (socket, namespace) =>
          socket.onAnyOutgoing((event) => {
            if (event !== "broadcast" && event !== "direct") return Effect.void
            return Effect.andThen(socket.emit(`own ${event}`), namespace.emit(`all ${event}`))
          })
      })
      const peers = yield* Effect.replicateEffect(
        Effect.gen(function* () {
          const peer = yield* open
          yield* peer.connect()
          return { peer, socket: yield* next }
        }),
        3
      )
      yield* namespace.emit("broadcast")
      yield* peers[1]!.socket.emit("direct")
      for (const { peer } of peers) {
        const events = yield* peer.events
        const names = events.map(([name]) => name)
        assert.strictEqual(names[0], "broadcast")
        assert.strictEqual(names.filter((name) => name === "all broadcast").length, 3)
        if (peer === peers[1]!.peer) assert.deepStrictEqual(names.slice(-3), ["direct", "own direct", "all direct"])
        else assert.strictEqual(names.at(-1), "all direct")
        const positions = events.map((event) => Number.parseInt(String(event.at(-1)).split(".")[1]!, 36))
        assert.deepStrictEqual(
          positions,
          positions.toSorted((a, b) => a - b)
        )
      }
    })
  )

  it.effect("comes after it, too, when that has ended a connection, and changes of rooms do", () =>
    Effect.gen(function* () {
      let held = -1
      const { namespace, next, open } = yield* world({
        limits: { maxOutbox: 1_000 },
        deliver: ({ arrive, direction, link }, later) => {
          if (link !== held || direction === "to server") later(arrive)
        },
        build: (socket, namespace) =>
          socket.onDisconnecting(() =>
            Effect.gen(function* () {
              yield* namespace.emit("left")
              yield* namespace.to("red").socketsLeave("red")
              yield* namespace.except("blue").socketsJoin("blue")
            })
          )
      })
      const join = Effect.gen(function* () {
        const peer = yield* open
        yield* peer.connect()
        const socket = yield* next
        yield* socket.join("red")
        return { peer, socket }
      })
      yield* join
      held = 0
      const others = [yield* join, yield* join]
      // It is behind by more than it may be.
      yield* others[0]!.socket.emit("before")
      yield* namespace.emit("flood", "x".repeat(3_000))
      yield* settle
      yield* namespace.to(["red", "blue"]).except("green").emit("last", "x".repeat(3_000))
      for (const { peer } of others) {
        const names = (yield* peer.events).map(([name]) => name)
        assert.deepStrictEqual(names.slice(-3), ["flood", "last", "left"])
      }
    })
  )
})
