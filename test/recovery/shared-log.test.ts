/**
 * The decisions of recovery over a log that servers share: they need no Redis.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as fc from "fast-check"

import { CatchUp, type CatchUpBounds } from "../../src/recovery/CatchUp.ts"
import * as LogPosition from "../../src/adapter/LogPosition.ts"
import { type Beginning, LaterEntries } from "../../src/recovery/LaterEntries.ts"
import { memoryOf } from "../../src/recovery/RecentEntries.ts"
import { LogBudget } from "../../src/recovery/MessageLog.ts"
import { ReadAllowance } from "../../src/recovery/ReadAllowance.ts"
import { RecentEntries } from "../../src/recovery/RecentEntries.ts"
import type { OnEntry, SharedMessage } from "../../src/adapter/SharedLog.ts"
import { SharedSession } from "../../src/recovery/SharedSession.ts"
import * as StoredSession from "../../src/adapter/StoredSession.ts"
import { StreamPlace } from "../../src/redis/internal/streamPlace.ts"

const at = (index: number): string => `1700000000000-${index}`

const place = (index: number) => ({ position: at(index), index })

const broadcast = (n: unknown, rooms: ReadonlyArray<string> = [], except: ReadonlyArray<string> = []) =>
  ({
    _tag: "Broadcast",
    data: ["e", n],
    mayHaveBinary: false,
    selection: { rooms, except },
    flags: { volatile: false, compress: true }
  }) satisfies SharedMessage

const session: StoredSession.StoredSession = {
  pid: "secret-of-a-session",
  namespace: "/",
  sid: "sid",
  rooms: ["now"],
  data: {},
  checkpoint: { ...place(10), rooms: ["room"] },
  former: StoredSession.NO_OFFSET,
  at: 0
}

const wide: CatchUpBounds = { maxReplay: 1_000, maxReplayBytes: 1e6, maxScan: 1_000 }

describe("positions of a log", () => {
  it("are compared as pairs of numbers of 64 bits", () => {
    const number = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })
    const compare = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0)
    fc.assert(
      fc.property(number, number, number, number, fc.boolean(), (a, b, c, d, isSame) => {
        const second = isSame ? a : c
        const expected = compare(a, second) || compare(b, d)
        assert.strictEqual(Math.sign(LogPosition.compare(`${a}-${b}`, `${second}-${d}`)), expected)
        const [millis, sequence] = LogPosition.before(`${a}-${b}`).split("-").map(BigInt)
        const value = (a << 64n) + b
        assert.strictEqual((millis! << 64n) + sequence!, value === 0n ? 0n : value - 1n)
      })
    )
  })

  it("are nothing else", () => {
    for (const text of [
      "",
      "1",
      "1-",
      "-1",
      "01-1",
      "1-01",
      "1-1-1",
      "1e3-0",
      "$",
      " 1-1",
      "1-1\n",
      "9".repeat(21) + "-0"
    ]) {
      assert.isFalse(LogPosition.isPosition(text), text)
    }
    assert.isFalse(LogPosition.isPosition(1))
    assert.isTrue(LogPosition.isPosition("18446744073709551615-18446744073709551615"))
  })
})

describe("a stored session", () => {
  it("comes back as it was", () => {
    const value = JSON.parse(JSON.stringify(StoredSession.toValue(session)))
    assert.deepStrictEqual(StoredSession.fromValue(value, session.pid), session)
  })

  it("may be anything, and then is none, or one of the secret that was asked for", () => {
    const values = fc.oneof(
      fc.anything(),
      fc.record(
        {
          pid: fc.oneof(fc.constant(session.pid), fc.anything()),
          sid: fc.oneof(fc.string(), fc.anything()),
          rooms: fc.oneof(fc.array(fc.string()), fc.anything()),
          data: fc.anything(),
          x: fc.oneof(
            fc.anything(),
            fc.record({ p: fc.oneof(fc.constant(at(1)), fc.anything()), i: fc.anything(), r: fc.anything() })
          )
        },
        { requiredKeys: [] }
      )
    )
    fc.assert(
      fc.property(values, (value) => {
        const read = StoredSession.fromValue(value, session.pid)
        if (read === undefined) return
        assert.strictEqual(read.pid, session.pid)
        assert.isString(read.sid)
        assert.isTrue(read.rooms.every((room) => typeof room === "string"))
        if (read.checkpoint !== undefined) assert.isTrue(LogPosition.isPosition(read.checkpoint.position))
      })
    )
  })
})

describe("a client that catches up", () => {
  const catchUp = (offset?: string, bounds: Partial<CatchUpBounds> = {}, start = 14, of = session) =>
    new CatchUp(of, offset, place(start), { ...wide, ...bounds })
  const numbers = (result: ReturnType<CatchUp["finish"]>) =>
    typeof result === "string" ? result : result.missed.map(({ message }) => message.data[1])

  it("gets what was for the rooms that it was in then, and those that it is in now", () => {
    const client = catchUp()
    client.take(at(11), broadcast(1, ["room"]), 10)
    client.take(at(12), { _tag: "Exit", sid: "sid", rooms: ["room"] }, 10)
    client.take(at(13), broadcast("not for it", ["room"]), 10)
    client.take(at(14), { _tag: "Join", selection: { rooms: ["sid"], except: [] }, rooms: ["new"] }, 10)
    client.hold(at(15), broadcast(2, ["new"]), 10)
    client.hold(at(16), broadcast("not for it", [], ["new"]), 10)
    client.onRead(false)
    const result = client.finish()
    assert.deepStrictEqual(numbers(result), [1, 2])
    if (typeof result === "string") return
    assert.deepStrictEqual(result.rooms, ["new"])
    assert.deepStrictEqual(result.checkpoint, { ...place(10), rooms: ["room"] })
  })

  it("stands by its word, and its session begins there", () => {
    const client = catchUp(at(12))
    client.take(at(11), { _tag: "Enter", sid: "sid", rooms: ["new"] }, 10)
    client.take(at(12), broadcast("it has that"), 10)
    client.take(at(13), undefined, 10)
    client.take(at(14), broadcast(1), 10)
    client.onRead(false)
    const result = client.finish()
    assert.deepStrictEqual(numbers(result), [1])
    assert.deepStrictEqual(typeof result === "string" ? undefined : result.checkpoint, {
      ...place(12),
      rooms: ["room", "new"]
    })
  })

  it("is refused if an entry is missing, or there is one too many", () => {
    for (const indices of [[11, 12, 13], [12, 13, 14], [], [11, 12, 13, 14, 15]]) {
      const client = catchUp()
      for (const index of indices) client.take(at(index), undefined, 10)
      client.onRead(false)
      assert.strictEqual(client.finish(), "trimmed")
    }
  })

  it("is refused if it has missed too much", () => {
    for (const bounds of [{ maxReplay: 3 }, { maxReplayBytes: 35 }]) {
      const client = catchUp(undefined, bounds)
      for (const index of [11, 12, 13, 14]) client.take(at(index), broadcast(index), 10)
      client.onRead(false)
      assert.strictEqual(client.finish(), "overflow")
    }
    const client = catchUp(undefined, { maxScan: 2 })
    for (const index of [15, 16, 17]) client.hold(at(index), undefined, 10)
    client.onRead(true)
    assert.strictEqual(client.finish(), "overflow")
  })

  it("is refused if it was kicked", () => {
    const client = catchUp()
    client.hold(at(15), { _tag: "Disconnect", selection: { rooms: ["room"], except: [] }, close: false }, 10)
    client.onRead(true)
    assert.strictEqual(client.finish(), "refused")
  })

  it("comes from an official server only with the entry of its offset", () => {
    const official = { ...session, checkpoint: undefined }
    const kept = catchUp(at(12), {}, 14, official)
    for (const index of [12, 13, 14]) kept.take(at(index), broadcast(index, ["now"]), 10)
    kept.onRead(false)
    const result = kept.finish()
    assert.deepStrictEqual(numbers(result), [13, 14])
    assert.deepStrictEqual(typeof result === "string" ? undefined : result.checkpoint, { ...place(12), rooms: ["now"] })
    const trimmed = catchUp(at(12), {}, 14, official)
    for (const index of [13, 14]) trimmed.take(at(index), broadcast(index, ["now"]), 10)
    trimmed.onRead(false)
    assert.strictEqual(trimmed.finish(), "trimmed")
    // The offset of an event of another namespace, or of something that is no event.
    for (const message of [undefined, { _tag: "Taken", sid: "sid", by: "g" } as const]) {
      const forged = catchUp(at(12), {}, 14, official)
      forged.take(at(12), message, 10)
      forged.onRead(false)
      assert.strictEqual(forged.finish(), "trimmed")
    }
    assert.strictEqual(catchUp(undefined, {}, 14, official).finish(), "unknown")
  })
})

describe("what a client may make a server read", () => {
  it("is four times the most of one return, and as much again in ten seconds", () => {
    let now = 0
    const reads = new ReadAllowance(100, () => now)
    const come = (read: number): boolean => {
      const may = reads.reserve("a")
      if (may) reads.settle("a", read)
      return may
    }
    assert.deepStrictEqual([100, 100, 100, 100, 0].map(come), [true, true, true, true, false])
    assert.isTrue(reads.reserve("b"))
    now = 9_900
    assert.isFalse(come(0))
    now = 10_000
    assert.deepStrictEqual([100, 0].map(come), [true, false])
    now = 100_000
    // Those that read little may come back often.
    for (let i = 0; i < 300; i++) assert.isTrue(come(1), `${i}`)
  })

  it("is that of all reads at the same time, too", () => {
    const reads = new ReadAllowance(100, () => 0)
    assert.deepStrictEqual(
      Array.from({ length: 6 }, () => reads.reserve("a")),
      [true, true, true, true, false, false]
    )
    reads.settle("a", 10)
    assert.isFalse(reads.reserve("a"))
    for (let i = 0; i < 3; i++) reads.settle("a", 10)
    assert.isTrue(reads.reserve("a"))
  })

  it("is remembered of 10,000 clients", () => {
    let now = 0
    const reads = new ReadAllowance(100, () => now)
    for (let i = 0; i < 20_000; i++) reads.reserve(`${i}`)
    assert.strictEqual(reads.size, 10_000)
    now = 10_000
    reads.reserve("another one")
    assert.strictEqual(reads.size, 1)
  })

  it("is nothing where nothing may be read", () => {
    const reads = new ReadAllowance(0, () => 0)
    for (let i = 0; i < 10; i++) {
      assert.isTrue(reads.reserve("a"))
      reads.settle("a", 0)
    }
    assert.strictEqual(reads.size, 0)
  })
})

describe("a log that another server has taken over", () => {
  const { checkpoint } = session
  const of = (era: string | undefined, now: string | undefined) => {
    const stored = { ...session, checkpoint: { ...checkpoint!, ...(era !== undefined && { era }) } }
    const start = { ...place(12), ...(now !== undefined && { era: now }) }
    const client = new CatchUp(stored, undefined, start, wide)
    for (const index of [11, 12]) client.take(at(index), broadcast(index), 1)
    client.onRead(false)
    return client.finish()
  }

  it("recovers nobody of before, though the numbers are right", () => {
    for (const [era, now] of [
      ["a", "b"],
      ["a", undefined],
      [undefined, "b"]
    ] as const) {
      assert.strictEqual(of(era, now), "trimmed")
    }
    for (const era of ["a", undefined]) {
      const result = of(era, era)
      if (typeof result === "string") assert.fail(result)
      assert.lengthOf(result.missed, 2)
      assert.strictEqual(result.checkpoint.era, era)
    }
  })

  it("is told by the session that is stored", () => {
    const stored = { ...session, checkpoint: { ...checkpoint!, era: "a" } }
    const read = StoredSession.fromValue(JSON.parse(JSON.stringify(StoredSession.toValue(stored))), session.pid)
    assert.deepStrictEqual(read, stored)
  })
})

describe("entries that come while clients catch up", () => {
  it("are kept once for all of them, each from its beginning, and only while they are needed", () => {
    let onEntry: OnEntry | undefined
    const later = new LaterEntries((f) => {
      onEntry = f
      return () => (onEntry = undefined)
    }, Infinity)
    const begin = () => later.begin(() => assert.fail("there is no bound"))
    let index = 0
    const come = (times: number) => {
      for (let i = 0; i < times; i++) onEntry?.(at(++index), undefined, 1)
    }
    const since = (beginning: Beginning): number => {
      const positions: Array<string> = []
      later.passOn(beginning, (position) => positions.push(position))
      assert.deepStrictEqual(
        positions,
        Array.from({ length: positions.length }, (_, i) => at(index - positions.length + 1 + i))
      )
      return positions.length
    }
    const first = begin()
    come(10)
    const clients = Array.from({ length: 1_000 }, () => begin())
    come(100)
    assert.strictEqual(later.size, 110)
    assert.deepStrictEqual([since(first), since(clients[0]!), since(clients[999]!)], [110, 100, 100])
    const last = begin()
    come(5)
    later.end(first)
    later.end(first)
    assert.strictEqual(since(clients[7]!), 105)
    for (const client of clients) later.end(client)
    assert.strictEqual(later.size, 5)
    assert.strictEqual(since(last), 5)
    later.end(last)
    assert.deepStrictEqual([later.size, onEntry], [0, undefined])
    come(3)
    const again = begin()
    come(2)
    assert.strictEqual(since(again), 2)
  })

  it("are bounded in bytes for each client: one that waits for too long waits no more, and they are dropped", () => {
    let onEntry: OnEntry | undefined
    const later = new LaterEntries(
      (f) => {
        onEntry = f
        return () => (onEntry = undefined)
      },
      10 * memoryOf(100)
    )
    let index = 0
    const come = (times: number) => {
      for (let i = 0; i < times; i++) onEntry?.(at(++index), undefined, 100)
    }
    const full: Array<string> = []
    const begin = (name: string) => later.begin(() => full.push(name))
    const since = (beginning: Beginning): number => {
      let count = 0
      later.passOn(beginning, () => count++)
      return count
    }
    const first = begin("first")
    come(6)
    const second = begin("second")
    come(4)
    assert.deepStrictEqual([full, since(first), since(second)], [[], 10, 4])
    come(1)
    assert.deepStrictEqual([full, since(first), since(second)], [["first"], 0, 5])
    later.end(first)
    assert.isAtMost(later.size, 10)
    come(5)
    assert.deepStrictEqual([full, since(second)], [["first"], 10])
    onEntry!(at(++index), undefined, 1_000)
    assert.deepStrictEqual([full, since(second), later.size, onEntry], [["first", "second"], 0, 0, undefined])
    const third = begin("third")
    come(10)
    assert.strictEqual(since(third), 10)
  })
})

describe("the session of a connected client", () => {
  it("is confirmed by a pong, up to its ping, with the rooms of then", () => {
    const live = new SharedSession(session, "g", { ...place(1), rooms: [] }, false)
    live.onPing(1, place(5), new Set(["room"]))
    live.onRoomChange()
    live.onPing(2, place(8), new Set(["room", "later"]))
    live.onPong(1)
    assert.deepStrictEqual(live.checkpoint, { ...place(5), rooms: ["room"] })
    // The second ping was not noted: its answer says nothing.
    live.onPong(2)
    assert.deepStrictEqual(live.checkpoint, { ...place(5), rooms: ["room"] })
    live.onPing(3, place(9), new Set(["room", "later"]))
    live.onPong(3)
    assert.deepStrictEqual(live.checkpoint, { ...place(9), rooms: ["room", "later"] })
  })
})

describe("the place of a reader", () => {
  const reader = () => {
    const stream = new StreamPlace()
    let gaps = 0
    stream.gapListeners.add(() => gaps++)
    const state = (added: number, length: number, last = added) => stream.onState({ added, length, last: at(last) }, 0)
    return { stream, state, gaps: () => gaps }
  }

  it("is known from the state of the stream on", () => {
    const { gaps, state, stream } = reader()
    assert.isUndefined(stream.place)
    state(7, 7)
    assert.deepStrictEqual(stream.place, place(7))
    stream.advance(at(8))
    assert.deepStrictEqual(stream.place, place(8))
    state(9, 2)
    stream.advance(at(9))
    state(9, 1)
    assert.strictEqual(gaps(), 0)
  })

  it("shows what was trimmed before it was read", () => {
    const { gaps, state, stream } = reader()
    state(7, 7)
    state(12, 3)
    assert.strictEqual(gaps(), 1)
    assert.isUndefined(stream.place)
    // It is known again when an entry comes whose number is known.
    for (const index of [10, 11, 12]) stream.advance(at(index))
    assert.deepStrictEqual(stream.place, place(12))
  })

  it("shows a stream that has begun anew, with lower numbers or with fewer entries", () => {
    for (const last of [3, 20]) {
      const { gaps, state } = reader()
      state(7, 7)
      state(3, 3, last)
      assert.strictEqual(gaps(), 1, `${last}`)
    }
  })

  it("shows that another server has taken over, also one that seems to have everything, before the next entry", () => {
    const stream = new StreamPlace()
    const gaps: Array<StreamPlace["place"]> = []
    stream.gapListeners.add(() => gaps.push(stream.place))
    const state = (added: number, era?: string) => stream.onState({ added, length: added, last: at(added), era }, 0)
    state(7, "a")
    assert.deepStrictEqual(stream.place, { ...place(7), era: "a" })
    state(8, "a")
    stream.advance(at(8))
    state(8, undefined)
    assert.deepStrictEqual([stream.place, gaps], [{ ...place(8), era: "a" }, []])
    state(8, "b")
    assert.deepStrictEqual([stream.place, gaps], [{ ...place(8), era: "b" }, [undefined]])
    // It lacks an entry, and has another one instead.
    state(9, "c")
    assert.lengthOf(gaps, 2)
    assert.isUndefined(stream.place)
    stream.advance(at(9))
    assert.deepStrictEqual(stream.place, { ...place(9), era: "c" })
  })

  it("shows an entry that has never come", () => {
    const { gaps, state, stream } = reader()
    state(7, 7)
    state(9, 9)
    stream.advance(at(9))
    assert.strictEqual(gaps(), 1)
    const other = reader()
    other.state(7, 7)
    other.state(9, 9)
    other.stream.advance(at(10))
    assert.strictEqual(other.gaps(), 1)
  })

  it.effect("is waited for by as many as want to, each until its position", () =>
    Effect.gen(function* () {
      const { state, stream } = reader()
      state(0, 0)
      const reached: Array<number> = []
      const positions = [5, 3, 9, 3, 1, 7, 0, 9]
      const fibers = []
      for (const index of positions) {
        const waits = Effect.map(stream.reach(at(index)), () => reached.push(index))
        fibers.push(yield* Effect.forkChild(waits, { startImmediately: true }))
      }
      yield* Fiber.interrupt(fibers[5]!)
      yield* Fiber.interrupt(fibers[1]!)
      for (let index = 1; index <= 8; index++) {
        stream.advance(at(index))
        stream.settle()
        yield* Effect.yieldNow
        const expected = [0, 1, 3, 5].filter((position) => position <= index)
        assert.deepStrictEqual(reached, expected, `${index}`)
      }
      stream.advance(at(9))
      stream.settle()
      yield* Effect.yieldNow
      assert.deepStrictEqual(reached, [0, 1, 3, 5, 9, 9])
    })
  )

  it("is compared with Redis once in a second, and sooner where much has come", () => {
    const { state, stream } = reader()
    assert.isTrue(stream.isDue(0, false))
    state(7, 7)
    assert.isFalse(stream.isDue(999, false))
    assert.isTrue(stream.isDue(999, true))
    assert.isTrue(stream.isDue(1_000, false))
  })

  it("is not known of a Redis that does not count", () => {
    const { gaps, state, stream } = reader()
    state(-1, 7, 7)
    stream.advance(at(8))
    state(-1, 8, 8)
    assert.isUndefined(stream.place)
    assert.strictEqual(gaps(), 0)
  })
})

describe("the entries that a server has read last", () => {
  const entries = (maxEvents = 100) => {
    const recent = new RecentEntries(new LogBudget({ maxEvents, maxBytes: 1e6, retention: 1e6 }), 10)
    for (const index of [12, 13, 17]) recent.add(place(index), broadcast(index), 10, 0)
    return recent
  }

  it("are passed on after a place, with their numbers", () => {
    const heard: Array<unknown> = []
    const recent = entries()
    assert.isTrue(recent.has(place(12), place(20)))
    const result = recent.read(place(12), at(17), 10, (position, _, __, index) => heard.push([position, index]))
    assert.strictEqual(result, "whole")
    assert.deepStrictEqual(heard, [
      [at(13), 13],
      [at(17), 17]
    ])
    assert.strictEqual(
      recent.read(place(10), at(17), 2, () => {}),
      "overflow"
    )
  })

  it("are not what a place asks for that cannot be", () => {
    const recent = entries()
    const now = place(20)
    for (const index of [10, 11, 12, 13, 15, 17, 18, 20]) assert.isTrue(recent.has(place(index), now), `${index}`)
    const wrong = [
      { position: at(12), index: undefined },
      { position: at(9), index: 9 },
      { position: at(21), index: 21 },
      { position: at(13), index: 12 },
      { position: at(12), index: 13 },
      { position: at(12), index: 15 },
      { position: at(17), index: 15 },
      { position: at(16), index: 18 },
      { position: "0-0", index: 12 }
    ]
    for (const from of wrong) assert.isFalse(recent.has(from, now), JSON.stringify(from))
  })

  it("are dropped beyond the bounds of the server", () => {
    const recent = entries(2)
    assert.isFalse(recent.has(place(11), place(20)))
    assert.isTrue(recent.has(place(12), place(20)))
  })
})
