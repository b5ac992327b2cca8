/**
 * Entries of a shared log that a server has not read itself: those of before its start, which one client's return has it read.
 */
import { assert, describe, it } from "@effect/vitest"

import { LogBudget } from "../../src/recovery/MessageLog.ts"
import { memoryOf, RecentEntries } from "../../src/recovery/RecentEntries.ts"
import type { SharedMessage } from "../../src/adapter/SharedLog.ts"

const at = (index: number): string => `1700000000000-${index}`

const place = (index: number) => ({ position: at(index), index })

const message = (n: number): SharedMessage => ({ _tag: "Taken", sid: "sid", by: String(n) })

/** Each entry has ten bytes. */
const MEMORY = memoryOf(10)

const make = ({ maxEvents = 100, maxBytes = 1e6, retention = 1_000 } = {}) => {
  const budget = new LogBudget({ maxEvents, maxBytes, retention })
  const recent = new RecentEntries(budget, 20)
  for (const index of [21, 24]) recent.add(place(index), message(index), 10, 500)
  const now = place(24)
  return {
    budget,
    recent,
    /** The numbers after a place, or nothing if they are not all here. */
    after: (index: number): ReadonlyArray<unknown> | undefined => {
      if (!recent.has(place(index), now)) return undefined
      const numbers: Array<unknown> = []
      recent.read(place(index), at(24), 100, (position, _, __, index) => {
        assert.strictEqual(position, at(index!))
        numbers.push(index)
      })
      return numbers
    }
  }
}

/** Takes the entries of numbers, of which every third belongs to another namespace. */
const take = (recent: RecentEntries, from: number, upTo: number, { skip = 0, end = true } = {}) => {
  const refill = recent.refill(place(from))!
  for (let index = from + 1; index <= upTo; index++) {
    if (index !== skip) refill.take(at(index), index % 3 === 0 ? undefined : message(index), 10)
  }
  refill.end(end)
}

describe("the entries of before those that a server remembers", () => {
  it("are remembered when they lead to these", () => {
    const { after, budget, recent } = make()
    assert.isUndefined(after(10))
    take(recent, 10, 24)
    assert.deepStrictEqual(after(10), [11, 13, 14, 16, 17, 19, 20, 21, 24])
    assert.deepStrictEqual(after(19), [20, 21, 24])
    assert.isUndefined(after(9))
    // Once more, for a client that was away for longer.
    take(recent, 5, 23)
    assert.deepStrictEqual(after(5), [7, 8, 10, 11, 13, 14, 16, 17, 19, 20, 21, 24])
    assert.strictEqual(budget.size, 12)
    // New ones come after them.
    recent.add(place(25), message(25), 10, 500)
    assert.deepStrictEqual(after(23), [24])
  })

  it("are not, if one is missing, or if they were not read to the end", () => {
    for (const options of [{ skip: 15 }, { skip: 21 }, { end: false }]) {
      const { after, budget, recent } = make()
      take(recent, 10, 24, options)
      assert.isUndefined(after(10))
      assert.strictEqual(budget.size, 2)
      // The next one may have more luck.
      take(recent, 10, 24)
      assert.lengthOf(after(10)!, 9)
    }
  })

  it("are not, if they do not come as far, or if the first one has been dropped meanwhile", () => {
    const short = make()
    take(short.recent, 10, 20)
    assert.isUndefined(short.after(10))

    const { budget, recent } = make({ maxEvents: 3 })
    const refill = recent.refill(place(19))!
    for (let index = 20; index <= 24; index++) refill.take(at(index), message(index), 10)
    for (let index = 25; index < 28; index++) recent.add(place(index), message(index), 10, 500)
    refill.end(true)
    assert.strictEqual(budget.size, 3)
    assert.isFalse(recent.has(place(19), place(27)))
    assert.isTrue(recent.has(place(24), place(27)))
  })

  it("are collected for one client at a time, and for none whose place is unknown or remembered", () => {
    const { recent } = make()
    assert.isUndefined(recent.refill({ position: at(10) }))
    assert.isUndefined(recent.refill(place(20)))
    const refill = recent.refill(place(10))!
    assert.isUndefined(recent.refill(place(10)))
    refill.end(false)
    assert.isDefined(recent.refill(place(10)))
  })

  it("are remembered as far as there is room, and displace nothing", () => {
    const few = make({ maxEvents: 5 })
    take(few.recent, 10, 24)
    assert.isUndefined(few.after(15))
    assert.deepStrictEqual(few.after(16), [17, 19, 20, 21, 24])
    assert.strictEqual(few.budget.size, 5)
    assert.isUndefined(few.recent.refill(place(10)))

    // Those that take more memory than there is are dropped at once: they do not wait in it.
    const small = make({ maxBytes: 5 * MEMORY })
    take(small.recent, 10, 24)
    assert.isUndefined(small.after(19))
    take(small.recent, 17, 24)
    assert.deepStrictEqual(small.after(17), [19, 20, 21, 24])
  })

  it("are dropped when they are too old", () => {
    const { after, budget, recent } = make({ retention: 1_000 })
    const refill = recent.refill({ position: "1699999999000-0", index: 18 })!
    refill.take("1699999999500-0", message(19), 10)
    refill.take("1699999999999-0", message(20), 10)
    refill.take(at(21), message(21), 10)
    refill.end(true)
    assert.strictEqual(budget.size, 4)
    // The first one is half a second older than those of the time 500.
    budget.trim(1_001)
    assert.strictEqual(budget.size, 3)
    assert.isUndefined(after(18))
    assert.isTrue(recent.has({ position: "1699999999500-0", index: 19 }, place(24)))
  })
})
