/**
 * Rights that end, where clients recover their sessions.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"

import type { Token } from "./desk.ts"
import { settle, world } from "./raw.ts"

const MINUTE = 60_000

/** A server with recovery, and a client that loses its connection and comes back. */
const recovering = Effect.gen(function* () {
  const server = yield* world({ recovery: { maxDisconnection: "2 minutes" } })
  const { connection, join, namespace } = server
  /** Comes back with a token; gives the answer, and the news that were missed. */
  const back = Effect.fnUntraced(function* ({ pid }: { readonly pid: string }, claims: Token) {
    const peer = yield* connection(true)
    const answer = yield* peer.connect(claims, { pid })
    const missed = (yield* peer.received).map((packet) => /\["news","(\w+)"/.exec(packet)?.[1])
    return { peer, answer, missed }
  })
  const lose = Effect.fnUntraced(function* (claims: Token) {
    const { connected, peer } = yield* join(claims, true)
    yield* peer.close
    yield* settle
    yield* namespace.to("a").emit("news", "missed")
    return connected as { readonly sid: string; readonly pid: string }
  })
  return { ...server, back, lose }
})

describe("a session", () => {
  it.effect("whose connection was closed at the end of its rights waits, and nothing is lost", () =>
    Effect.gen(function* () {
      const { back, ends, join, namespace } = yield* recovering
      const { connected, peer } = yield* join({ name: "ada", rooms: ["a"], in: MINUTE, notice: 0 })
      yield* TestClock.adjust(MINUTE)
      assert.isTrue(yield* peer.isClosed)
      yield* namespace.to("a").emit("news", "missed")
      yield* TestClock.adjust(MINUTE)
      const { answer, missed } = yield* back(connected, { name: "ada", rooms: ["a"], in: MINUTE })
      assert.strictEqual(answer.sid, connected.sid)
      assert.deepStrictEqual(answer.fx.auth, { expiresIn: MINUTE })
      assert.deepStrictEqual(missed, ["missed"])
      assert.deepStrictEqual(ends, [])
    })
  )

  for (const then of ["reconnect", "leave"] as const) {
    it.effect(`ends with its rights while its client is away, with a reason (${then})`, () =>
      Effect.gen(function* () {
        const { back, ends, lose } = yield* recovering
        const lost = yield* lose({ name: "ada", rooms: ["a"], in: MINUTE, then })
        yield* TestClock.adjust(MINUTE - 1)
        assert.deepStrictEqual(ends, [])
        yield* TestClock.adjust(1)
        yield* settle
        assert.deepStrictEqual(ends, [[lost.sid, "auth expired"]])
        const { answer, missed } = yield* back(lost, { name: "ada", rooms: ["a"], in: MINUTE })
        assert.notStrictEqual(answer.sid, lost.sid)
        assert.deepStrictEqual(answer.fx.recovered, { reason: "unknown" })
        assert.deepStrictEqual(missed, [])
      })
    )
  }

  it.effect("that is lost after its end, before the server has noticed that, ends", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let ahead = 0
      const wall: Clock.Clock = Object.create(clock, {
        currentTimeMillisUnsafe: { value: () => clock.currentTimeMillisUnsafe() + ahead }
      })
      const { back, ends, join } = yield* recovering.pipe(Effect.provideService(Clock.Clock, wall))
      const { connected, peer } = yield* join({ name: "ada", rooms: ["a"], in: MINUTE }, true)
      ahead = MINUTE
      yield* peer.close
      yield* settle
      yield* TestClock.adjust(1)
      yield* settle
      assert.deepStrictEqual(ends, [[connected.sid, "auth expired"]])
      assert.notStrictEqual((yield* back(connected, { name: "ada" })).answer.sid, connected.sid)
    })
  )

  it.effect("that comes back in time has the end of its new rights, not of its former ones", () =>
    Effect.gen(function* () {
      const { back, ends, lose } = yield* recovering
      const lost = yield* lose({ name: "ada", rooms: ["a"], in: MINUTE })
      yield* TestClock.adjust(MINUTE - 1)
      const { answer, missed, peer } = yield* back(lost, { name: "ada", rooms: ["a"], in: 2 * MINUTE, notice: 0 })
      assert.strictEqual(answer.sid, lost.sid)
      assert.deepStrictEqual(missed, ["missed"])
      yield* TestClock.adjust(2 * MINUTE - 1)
      assert.deepStrictEqual(yield* peer.received, [])
      yield* TestClock.adjust(1)
      // This one says that it is a client of this library, and does not move.
      assert.include((yield* peer.received).join(), "~fx:move")
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(yield* peer.isClosed)
      assert.deepStrictEqual(ends, [])
    })
  )

  it.effect("whose client is being admitted when its rights end is not taken from it", () =>
    Effect.gen(function* () {
      const { connection, ends, lose } = yield* recovering
      const lost = yield* lose({ name: "ada", rooms: ["a"], in: MINUTE })
      yield* TestClock.adjust(MINUTE - 1)
      const peer = yield* connection(true)
      const asking = yield* Effect.forkChild(
        peer.connect({ name: "ada", rooms: ["a"], takes: 5_000 }, { pid: lost.pid }),
        { startImmediately: true }
      )
      yield* settle
      yield* TestClock.adjust(5_000)
      yield* settle
      assert.strictEqual((asking.pollUnsafe() as any).value.sid, lost.sid)
      assert.deepStrictEqual(ends, [])
    })
  )

  it.effect("whose client fails to be admitted meanwhile ends all the same", () =>
    Effect.gen(function* () {
      const { connection, ends, lose } = yield* recovering
      const lost = yield* lose({ name: "ada", rooms: ["a"], in: MINUTE })
      yield* TestClock.adjust(MINUTE - 1)
      const peer = yield* connection(true)
      yield* Effect.forkChild(peer.connect({ name: "ada", takes: 10_000 }, { pid: lost.pid }), {
        startImmediately: true
      })
      yield* settle
      yield* TestClock.adjust(5_000)
      assert.deepStrictEqual(ends, [])
      yield* peer.close
      yield* settle
      yield* TestClock.adjust(1_000)
      yield* settle
      assert.deepStrictEqual(ends, [[lost.sid, "auth expired"]])
    })
  )

  it.effect("is not given to another user, whoever has its secret", () =>
    Effect.gen(function* () {
      const { back, ends, lose } = yield* recovering
      const lost = yield* lose({ name: "ada", rooms: ["a"], in: MINUTE })
      const { answer, missed } = yield* back(lost, { name: "bob", in: MINUTE })
      assert.notStrictEqual(answer.sid, lost.sid)
      assert.deepStrictEqual(answer.fx.recovered, { reason: "refused" })
      assert.deepStrictEqual(missed, [])
      assert.deepStrictEqual(ends, [[lost.sid, "refused"]])
    })
  )

  it.effect("does not wait for a client that has refreshed with the credentials of another user", () =>
    Effect.gen(function* () {
      const { back, ends, join } = yield* recovering
      const { connected, peer } = yield* join({ name: "ada", rooms: ["a"], in: MINUTE })
      yield* peer.refresh({ name: "bob" })
      yield* settle
      assert.deepStrictEqual(ends, [[connected.sid, "kicked"]])
      assert.notStrictEqual((yield* back(connected, { name: "ada" })).answer.sid, connected.sid)
    })
  )
})
