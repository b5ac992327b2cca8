/**
 * The parts of recovery against models that keep everything, and look through all of it.
 */
import { assert, describe, it } from "@effect/vitest"

import { AwaySession, AwaySessions } from "../../src/recovery/AwaySessions.ts"
import { Memberships } from "../../src/recovery/Memberships.ts"
import { type LogBounds, LogBudget, MessageLog } from "../../src/recovery/MessageLog.ts"
import { type DirectBudget, RecoverySession, type SessionBounds } from "../../src/recovery/RecoverySession.ts"
import { Seeded } from "../../src/testing/internal/seeded.ts"
import { count } from "../support/extent.ts"

const ROOMS = ["red", "green", "blue"]

const makeRandom = (seed: number, stream: number) => {
  const random = new Seeded(seed, stream)
  return {
    below: (bound: number) => random.below(bound),
    oneOf: <A>(items: ReadonlyArray<A>): A => items[random.below(items.length)]!
  }
}

const unbounded: LogBounds = { maxEvents: Infinity, maxBytes: Infinity, retention: Infinity }

describe("the rooms of a client over time", () => {
  /** All that has happened, in its order. */
  class Naive {
    readonly changes: Array<{ readonly room: string; readonly isIn: boolean; readonly position: number }> = []

    /** A change after the message at a position counts from the next message on. */
    wasIn(room: string, position: number): boolean {
      return this.changes.findLast((change) => change.room === room && change.position < position)?.isIn === true
    }
  }

  it("are those of the model", () => {
    for (let seed = 0; seed < count(150, 50); seed++) {
      const { below, oneOf } = makeRandom(seed, 31)
      const memberships = new Memberships()
      const naive = new Naive()
      const joined = new Set<string>()
      let head = 0
      let confirmed = 0
      const mostOf = oneOf([1, 4, 100])
      for (let step = 0; step < 400; step++) {
        const room = oneOf(ROOMS)
        if (below(mostOf) === 0) head++
        if (below(100) === 0) {
          confirmed = confirmed + below(head - confirmed + 1)
          memberships.confirm(confirmed)
        } else if (below(2) === 0) {
          memberships.join(room, head)
          joined.add(room)
          naive.changes.push({ room, isIn: true, position: head })
        } else {
          memberships.leave(room, head)
          joined.delete(room)
          naive.changes.push({ room, isIn: false, position: head })
        }
      }
      assert.deepStrictEqual(new Set(memberships.rooms), joined)
      for (const room of ROOMS) {
        for (let position = Math.max(confirmed, memberships.floor) + 1; position <= head + 1; position++) {
          if (memberships.wasIn(room, position) === naive.wasIn(room, position)) continue
          assert.fail(`seed ${seed}: ${room} at ${position}`)
        }
      }
    }
  })

  it("take bounded memory: the earlier stays are forgotten, and it is known from where on", () => {
    const memberships = new Memberships()
    let position = 0
    for (let i = 0; i < 100_000; i++) {
      memberships.join(`room ${i}`, position++)
      memberships.leave(`room ${i}`, position)
    }
    const { past } = memberships as unknown as { readonly past: ReadonlyMap<string, unknown> | undefined }
    assert.isAtMost(past?.size ?? 0, 256)
    assert.isAbove(memberships.floor, position - 300)
    memberships.confirm(position)
    assert.isUndefined((memberships as unknown as { readonly past: unknown }).past)
  })

  it("take bounded memory also where the names of rooms are long", () => {
    const memberships = new Memberships()
    for (let i = 1; i <= 100; i++) {
      memberships.join(`${i} ${"x".repeat(50_000)}`, 2 * i)
      memberships.leave(`${i} ${"x".repeat(50_000)}`, 2 * i + 1)
      const { past } = memberships as unknown as { readonly past: ReadonlyMap<string, unknown> | undefined }
      let characters = 0
      for (const room of past?.keys() ?? []) characters += room.length
      assert.isAtMost(characters, 512 * 256)
    }
    // What is known is right, and it is known from where on.
    assert.isAbove(memberships.floor, 0)
    const last = `100 ${"x".repeat(50_000)}`
    if (memberships.floor < 201) assert.isTrue(memberships.wasIn(last, 201))
    memberships.confirm(300)
    assert.strictEqual(memberships.pastWeight, 0)
  })
})

describe("the sessions of absent clients", () => {
  const away = (name: string, rooms: ReadonlyArray<string>) => {
    const session = { pid: name, sid: name, memberships: new Memberships(), dispose: () => {} }
    const waiting = new AwaySession<any>({} as any, session as any, {}, 0)
    waiting.joined = new Set(rooms)
    return waiting
  }
  const roomsOf = (count: number, length = 5) => Array.from({ length: count }, (_, i) => `${i} ${"x".repeat(length)}`)

  it("are bounded by their rooms, too: those that have waited longest leave", () => {
    const sessions = new AwaySessions<any>(10)
    // Two hundred rooms, of any sessions.
    for (let i = 0; i < 5; i++) assert.deepStrictEqual(sessions.add(away(`small ${i}`, roomsOf(2)), 1), [])
    assert.deepStrictEqual(sessions.add(away("large", roomsOf(190)), 1), [])
    const left = sessions.add(away("next", roomsOf(6)), 1).map(({ session }) => session.pid)
    assert.deepStrictEqual(left, ["small 0", "small 1", "small 2"])
    // A long name counts as several.
    const others = sessions.add(away("long", roomsOf(10, 3_000)), 1).map(({ session }) => session.pid)
    assert.deepStrictEqual(others, ["small 3", "small 4", "large"])
    assert.strictEqual(sessions.size, 2)
  })

  it("are bounded by their number, and the last one stays in any case", () => {
    const sessions = new AwaySessions<any>(2)
    const first = away("first", [])
    sessions.add(first, 1)
    sessions.add(away("second", []), 1)
    assert.deepStrictEqual(sessions.add(away("third", []), 1), [first])
    assert.strictEqual(sessions.add(away("huge", roomsOf(1_000)), 1).length, 2)
    assert.strictEqual(sessions.size, 1)
    assert.strictEqual(sessions.takeExpired(1).length, 1)
    assert.deepStrictEqual(sessions.add(away("one more", roomsOf(40)), 1), [])
  })
})

describe("the logs of a server", () => {
  it("are those of the model, and share their bounds", () => {
    for (let seed = 0; seed < count(150, 50); seed++) {
      const { below, oneOf } = makeRandom(seed, 32)
      const bounds = {
        maxEvents: oneOf([0, 1, 40, 1_000]),
        maxBytes: oneOf([0, 500, 5_000, 1e6]),
        retention: oneOf([10, 300, 1e6])
      }
      const budget = new LogBudget(bounds)
      const logs = [new MessageLog<number>(budget), new MessageLog<number>(budget), new MessageLog<number>(budget)]
      const floors = logs.map(() => 0)
      let all: Array<{ readonly log: number; readonly position: number; readonly bytes: number; readonly at: number }> =
        []
      let now = 0
      for (let step = 0; step < 150; step++) {
        now += below(10)
        const log = below(3)
        if (below(5) === 0) logs[log]!.next()
        else if (below(20) === 0) budget.trim((now += below(500)))
        else {
          const bytes = below(300)
          logs[log]!.append(step, { rooms: [], except: [] }, bytes, now)
          all.push({ log, position: logs[log]!.head, bytes, at: now })
        }
        const isTooMuch = () =>
          all.length > bounds.maxEvents ||
          all.reduce((sum, { bytes }) => sum + bytes, 0) > bounds.maxBytes ||
          now - all[0]!.at > bounds.retention
        // The model is looked at whenever the logs are.
        if (all.at(-1)?.at === now || step % 20 === 19) {
          budget.trim(now)
          while (all.length > 0 && isTooMuch()) {
            const { log, position } = all.shift()!
            floors[log] = position
          }
        }
        const after = below(logs[log]!.head + 1)
        const limit = below(5)
        const seen: Array<number> = []
        logs[log]!.forEachAfter(after, ({ position }) => seen.push(position) < limit)
        const expected = all
          .filter((entry) => entry.log === log && entry.position > after)
          .map(({ position }) => position)
        if (all.at(-1)?.at === now || step % 20 === 19) {
          const label = `seed ${seed}, step ${step}`
          assert.strictEqual(seen.join(), expected.slice(0, Math.max(1, limit)).join(), label)
          assert.strictEqual(logs[log]!.floor, floors[log])
          assert.strictEqual(budget.size, all.length)
          for (const { position } of all.filter((entry) => entry.log === log).slice(0, 3)) {
            assert.strictEqual(logs[log]!.get(position)?.position, position)
          }
          assert.isUndefined(logs[log]!.get(logs[log]!.head + 1))
          assert.isUndefined(logs[log]!.get(logs[log]!.floor))
        }
      }
      all = []
    }
  })

  it("count the names of rooms: clients may have chosen them", () => {
    const budget = new LogBudget({ ...unbounded, maxBytes: 1_000_000 })
    const log = new MessageLog<number>(budget)
    const rooms = Array.from({ length: 100 }, (_, i) => `${i}${"x".repeat(500)}`)
    for (let i = 0; i < 100; i++) log.append(i, { rooms, except: rooms }, 100, 0)
    assert.isBelow(budget.size, 10)
  })
})

describe("the session of a client", () => {
  interface Message {
    readonly memory: number
    readonly position: number
  }
  interface Sent extends Message {
    readonly isMine: boolean
  }

  /** A session in a log, with all that has been sent. */
  const run = (seed: number, bounds: SessionBounds, logBounds: LogBounds, budget: DirectBudget, isTight: boolean) => {
    const { below, oneOf } = makeRandom(seed, 33)
    const log = new MessageLog<Message>(new LogBudget(logBounds))
    log.head = below(3)
    const start = log.head
    const session = new RecoverySession<Message>("pid", "sid", start, 0, bounds, budget)
    const rooms = new Set<string>()
    const sent: Array<Sent> = []
    const pings: Array<{ readonly ping: number; readonly head: number }> = []
    let ping = 0
    let received = start
    let now = 0
    const label = `seed ${seed}`
    for (let step = 0; step < 120; step++) {
      now += below(20)
      const memory = 50 + below(100)
      switch (below(10)) {
        case 0:
        case 1:
        case 2: {
          const names = [...ROOMS, "sid"]
          const to = Array.from({ length: below(3) }, () => oneOf(names))
          const except = Array.from({ length: below(4) === 0 ? 1 : 0 }, () => oneOf(names))
          const isIn = (room: string) => room === "sid" || rooms.has(room)
          log.append({ memory, position: log.head + 1 }, { rooms: to, except }, memory, now)
          sent.push({ memory, position: log.head, isMine: (to.length === 0 || to.some(isIn)) && !except.some(isIn) })
          break
        }
        case 3: {
          const position = log.next()
          session.keep(position, { memory, position })
          sent.push({ memory, position, isMine: true })
          break
        }
        case 4: {
          const room = oneOf(ROOMS)
          if (below(2) === 0) {
            session.memberships.join(room, log.head)
            rooms.add(room)
          } else {
            session.memberships.leave(room, log.head)
            rooms.delete(room)
          }
          break
        }
        case 5: {
          pings.push({ ping: ++ping, head: log.head })
          session.onPing(ping, log.head)
          break
        }
        case 6: {
          const answered = pings.shift()
          if (answered === undefined) break
          session.onPong(answered.ping)
          received = Math.max(received, answered.head)
          break
        }
        case 7: {
          // The client has received some more, and says so with its next event, or does not.
          received += below(log.head - received + 1)
          break
        }
        case 8: {
          // It is back.
          pings.length = 0
          session.onDisconnected()
          const missed = session.missed(log, received)
          const expected = sent.filter(({ isMine, position }) => isMine && position > received)
          if (typeof missed === "string") {
            assert.isTrue(isTight, `${label}, step ${step}: ${missed}`)
            session.dispose()
            return missed
          }
          const positions = missed.map(({ position }) => position).join()
          assert.strictEqual(positions, expected.map(({ position }) => position).join(), `${label}, step ${step}`)
          break
        }
        case 9:
          log.next()
          break
      }
      if (budget.bytes < 0 || (isTight && budget.bytes > budget.maxBytes + 150))
        assert.fail(`${label}: ${budget.bytes}`)
    }
    session.dispose()
    return "recovered"
  }

  it("has missed what the model says", () => {
    const budget = { bytes: 0, maxBytes: 1e9 }
    const bounds = { maxReplay: 1_000, maxReplayBytes: 1e6, dropsMessages: false }
    for (let seed = 0; seed < count(800, 200); seed++) run(seed, bounds, unbounded, budget, false)
    assert.strictEqual(budget.bytes, 0)
  })

  it("has missed what the model says, or says that it does not know, within any bounds", () => {
    const results = new Map<string, number>()
    for (let seed = 0; seed < count(800, 200); seed++) {
      const { oneOf } = makeRandom(seed, 34)
      const bounds = { maxReplay: oneOf([0, 3, 20, 1_000]), maxReplayBytes: oneOf([0, 500, 1e6]), dropsMessages: false }
      const logBounds = {
        maxEvents: oneOf([0, 5, 1e3]),
        maxBytes: oneOf([0, 1_000, 1e6]),
        retention: oneOf([100, 1e6])
      }
      const budget = { bytes: 0, maxBytes: oneOf([0, 300, 1e6]) }
      const result = run(seed, bounds, logBounds, budget, true)
      results.set(result, (results.get(result) ?? 0) + 1)
      assert.strictEqual(budget.bytes, 0, `seed ${seed}`)
    }
    assert.deepStrictEqual(Array.from(results.keys()).toSorted(), ["overflow", "recovered", "trimmed"])
  })
})
