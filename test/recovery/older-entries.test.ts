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

/** Where the server is. */
const here = place(24)

/** Takes the entries of numbers, of which every third belongs to another namespace. */
const take = (recent: RecentEntries, from: number, { upTo = 24, skip = 0, end = true } = {}) => {
  const refill = recent.refill(place(from), here, 500)!
  assert.deepStrictEqual(refill.upTo, here)
  for (let index = from + 1; index <= upTo; index++) {
    if (index !== skip) refill.take(at(index), index % 3 === 0 ? undefined : message(index), 10)
  }
  refill.end(end)
}

describe("the entries of before those that a server remembers", () => {
  it("are remembered when they lead to where it is", () => {
    const { after, budget, recent } = make()
    assert.isUndefined(after(10))
    take(recent, 10)
    assert.deepStrictEqual(after(10), [11, 13, 14, 16, 17, 19, 20, 21, 24])
    assert.deepStrictEqual(after(19), [20, 21, 24])
    assert.isUndefined(after(9))
    // Once more, for a client that was away for longer.
    take(recent, 5)
    assert.deepStrictEqual(after(5), [7, 8, 10, 11, 13, 14, 16, 17, 19, 20, 21, 24])
    assert.strictEqual(budget.size, 12)
    // New ones come after them.
    recent.add(place(25), message(25), 10, 500)
    assert.deepStrictEqual(after(23), [24])
  })

  it("are remembered by a server that has read nothing yet, from where it is on", () => {
    const recent = new RecentEntries(new LogBudget({ maxEvents: 100, maxBytes: 1e6, retention: 1_000 }), 24)
    take(recent, 20)
    recent.add(place(26), message(26), 10, 500)
    const numbers: Array<unknown> = []
    assert.isTrue(recent.has(place(20), place(26)))
    recent.read(place(20), at(26), 100, (_, __, ___, index) => numbers.push(index))
    assert.deepStrictEqual(numbers, [22, 23, 26])
  })

  it("are not, if the last of them is remembered already", () => {
    const recent = new RecentEntries(new LogBudget({ maxEvents: 100, maxBytes: 1e6, retention: 1_000 }), 24)
    recent.add(here, message(24), 10, 500)
    take(recent, 20)
    assert.isFalse(recent.has(place(20), here))
    assert.isTrue(recent.has(here, here))
  })

  it("are not, if one is missing, or if they were not read to the end", () => {
    for (const options of [{ skip: 15 }, { skip: 24 }, { upTo: 23 }, { end: false }]) {
      const { after, budget, recent } = make()
      take(recent, 10, options)
      assert.isUndefined(after(10))
      assert.strictEqual(budget.size, 2)
      // The next one may have more luck.
      take(recent, 10)
      assert.lengthOf(after(10)!, 9)
    }
  })

  it("are not, if the first one that was remembered has been dropped meanwhile", () => {
    const { budget, recent } = make({ maxEvents: 4 })
    const refill = recent.refill(place(19), here, 500)!
    for (let index = 20; index <= 24; index++) refill.take(at(index), message(index), 10)
    for (let index = 25; index < 28; index++) recent.add(place(index), message(index), 10, 500)
    refill.end(true)
    assert.strictEqual(budget.size, 4)
    assert.isFalse(recent.has(place(19), place(27)))
    assert.isTrue(recent.has(place(24), place(27)))
  })

  it("are collected for one client at a time, and for none whose place is unknown or remembered", () => {
    const { recent } = make()
    assert.isUndefined(recent.refill({ position: at(10) }, here, 500))
    assert.isUndefined(recent.refill(place(20), here, 500))
    assert.isUndefined(recent.refill(place(10), place(19), 500))
    const refill = recent.refill(place(10), here, 500)!
    assert.isUndefined(recent.refill(place(10), here, 500))
    refill.end(false)
    assert.isDefined(recent.refill(place(10), here, 500))
  })

  it("are the last ones for which there is room, and displace nothing", () => {
    for (const bounds of [{ maxEvents: 5 }, { maxBytes: 5 * MEMORY }]) {
      const { after, budget, recent } = make(bounds)
      take(recent, 10)
      assert.isUndefined(after(15))
      assert.deepStrictEqual(after(16), [17, 19, 20, 21, 24])
      assert.strictEqual(budget.size, 5)
      // Another one finds no room at all.
      take(recent, 5)
      assert.isUndefined(after(15))
      assert.deepStrictEqual(after(16), [17, 19, 20, 21, 24])
    }
  })

  it("count while they are collected, for all namespaces together", () => {
    const { budget, recent } = make({ maxBytes: 6 * MEMORY })
    const other = new RecentEntries(budget, 20)
    const one = recent.refill(place(10), here, 500)!
    const two = other.refill(place(10), here, 500)!
    for (let index = 11; index <= 20; index++) one.take(at(index), message(index), 10)
    for (let index = 11; index <= 20; index++) two.take(at(index), message(index), 10)
    for (let index = 21; index <= 24; index++) for (const refill of [one, two]) refill.take(at(index), undefined, 10)
    two.end(true)
    one.end(true)
    assert.isFalse(other.has(place(19), here))
    assert.isTrue(recent.has(place(16), here))
    assert.isFalse(recent.has(place(15), here))
    assert.strictEqual(budget.size, 6)
  })

  it("are dropped when they are too old", () => {
    const { after, budget, recent } = make({ retention: 1_000 })
    const refill = recent.refill({ position: "1699999999000-0", index: 18 }, here, 500)!
    refill.take("1699999999500-0", message(19), 10)
    refill.take("1699999999999-0", message(20), 10)
    for (let index = 21; index <= 24; index++) refill.take(at(index), undefined, 10)
    refill.end(true)
    assert.strictEqual(budget.size, 4)
    // The first one is half a second older than those of the time 500.
    budget.trim(1_001)
    assert.strictEqual(budget.size, 3)
    assert.isUndefined(after(18))
    assert.isTrue(recent.has({ position: "1699999999500-0", index: 19 }, here))
  })
})
