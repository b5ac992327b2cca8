/**
 * Numbers on the messages between servers.
 */
import { assert, describe, it } from "@effect/vitest"

import { Sequences } from "../../src/adapter/Sequences.ts"

/** Numbers that a receiver takes on the lane "x" of the server "b". */
const heard = (...numbers: ReadonlyArray<number>): Sequences => {
  const sequences = new Sequences()
  for (const number of numbers) sequences.observe("b", "x", number)
  return sequences
}

describe("sequences", () => {
  it("count from 1 on each lane", () => {
    const sequences = new Sequences()
    assert.deepStrictEqual(
      ["x", "x", "y", "x"].map((lane) => sequences.next(lane)),
      [1, 2, 1, 3]
    )
    assert.deepStrictEqual(
      ["x", "y", "z"].map((lane) => sequences.last(lane)),
      [3, 1, 0]
    )
  })

  it("give the number of a message that cannot be encoded to the next one", () => {
    const sequences = new Sequences()
    const fail = () => {
      throw new Error("no value")
    }
    assert.throws(() => sequences.numbered("x", fail), "no value")
    assert.strictEqual(sequences.last("x"), 0)
    assert.strictEqual(
      sequences.numbered("x", (number) => number),
      1
    )
    sequences.next("y")
    assert.throws(() => sequences.numbered("x", fail), "no value")
    assert.throws(() => sequences.numbered("x", fail), "no value")
    assert.deepStrictEqual([sequences.next("x"), sequences.last("x"), sequences.next("y")], [2, 2, 2])
    // Encoding one message sends another: both have numbers of their own.
    const nested = () => {
      sequences.next("x")
      return fail()
    }
    assert.throws(() => sequences.numbered("x", nested), "no value")
    assert.strictEqual(sequences.next("x"), 5)
  })

  it("tell how many messages have not come", () => {
    const sequences = new Sequences()
    assert.deepStrictEqual(
      [7, 8, 11, 12].map((number) => sequences.observe("b", "x", number)),
      [0, 0, 2, 0]
    )
  })

  it("are those of one sender on one lane", () => {
    const sequences = heard(7)
    assert.strictEqual(sequences.observe("c", "x", 9), 0)
    assert.strictEqual(sequences.observe("b", "y", 9), 0)
    assert.strictEqual(sequences.observe("b", "x", 9), 1)
  })

  it("begin again where a sender has forgotten a lane, even if the first message is lost", () => {
    const sequences = heard(500)
    assert.strictEqual(sequences.observe("b", "x", 2), 0)
    assert.strictEqual(sequences.observe("b", "x", 4), 1)
  })

  it("tell by a beat what has not come after the last message", () => {
    const sequences = heard(5)
    assert.strictEqual(sequences.settle("b", "x", 5), 0)
    assert.strictEqual(sequences.settle("b", "x", 8), 3)
    assert.strictEqual(sequences.settle("b", "x", 8), 0)
    assert.strictEqual(sequences.observe("b", "x", 9), 0)
  })

  it("believe the first beat of a lane", () => {
    const sequences = new Sequences()
    assert.strictEqual(sequences.settle("b", "x", 8), 0)
    assert.strictEqual(sequences.observe("b", "x", 10), 1)
  })

  it("forget a lane, and a sender", () => {
    const sequences = heard(5)
    sequences.observe("c", "x", 5)
    sequences.forgetSender("b")
    assert.strictEqual(sequences.observe("b", "x", 9), 0)
    assert.strictEqual(sequences.observe("c", "x", 9), 3)
    sequences.forgetLane("x")
    assert.strictEqual(sequences.observe("c", "x", 20), 0)
  })

  it("remember 10,000 lanes of others, and their own", () => {
    const sequences = new Sequences()
    for (let i = 0; i <= 10_000; i++) {
      sequences.observe("b", `lane ${i}`, 5)
      sequences.next(`lane ${i}`)
    }
    assert.strictEqual(sequences.observe("b", "lane 0", 9), 0)
    assert.strictEqual(sequences.observe("b", "lane 9999", 9), 3)
    assert.strictEqual(sequences.last("lane 0"), 0)
    assert.strictEqual(sequences.last("lane 9999"), 1)
  })

  it("remember the lanes that are in use, and 10,000 senders of one lane", () => {
    const sequences = new Sequences()
    for (let i = 0; i <= 10_000; i++) {
      sequences.next("busy")
      sequences.next(`lane ${i}`)
      sequences.observe("b", "busy", i)
      sequences.observe("b", `lane ${i}`, 5)
    }
    assert.strictEqual(sequences.next("busy"), 10_002)
    assert.strictEqual(sequences.observe("b", "busy", 10_002), 1)
    for (let i = 0; i < 20_000; i++) sequences.observe(`server ${i}`, "one", 5)
    assert.strictEqual(sequences.observe("server 19999", "one", 9), 3)
    assert.strictEqual(sequences.observe("server 0", "one", 9), 0)
  })

  it("do not forget a sender that sends for a million that are made up, and forget those one by one", () => {
    const sequences = heard(1)
    let missed = 0
    for (let i = 0; i < 1_000_000; i++) {
      sequences.observe(`made up ${i}`, "x", 1)
      if (i % 1_000 === 0) missed += sequences.observe("b", "x", 3 + i / 500)
    }
    assert.strictEqual(missed, 1_000)
    const start = performance.now()
    for (let i = 0; i < 1_000_000; i++) sequences.forgetSender(`made up ${i}`)
    assert.isBelow(performance.now() - start, 5_000)
    assert.strictEqual(sequences.observe("b", "x", 3_000), 3_000 - 2_001 - 1)
  })
})
