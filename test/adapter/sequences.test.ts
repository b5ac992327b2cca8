/**
 * Numbers on messages between servers.
 */
import { assert, describe, it } from "@effect/vitest"

import { Sequences } from "../../src/adapter/Sequences.ts"

describe("numbers on messages between servers", () => {
  it("each lane is numbered from 1", () => {
    const sequences = new Sequences()
    assert.deepStrictEqual(
      ["x", "x", "y", "x"].map((lane) => sequences.next(lane)),
      [1, 2, 1, 3]
    )
    assert.deepStrictEqual([sequences.last("x"), sequences.last("z")], [3, 0])
  })

  it("gaps and repetitions are told, for each lane of each server", () => {
    const sequences = new Sequences()
    const seen = (uid: string, lane: string, number: number) => sequences.observe(uid, lane, number)
    assert.deepStrictEqual(seen("b", "x", 7), { _tag: "Next" })
    assert.deepStrictEqual(seen("b", "x", 8), { _tag: "Next" })
    assert.deepStrictEqual(seen("b", "y", 3), { _tag: "Next" })
    assert.deepStrictEqual(seen("c", "x", 1), { _tag: "Next" })
    assert.deepStrictEqual(seen("b", "x", 11), { _tag: "Gap", missed: 2 })
    assert.deepStrictEqual(seen("b", "x", 9), { _tag: "Repeated" })
    assert.deepStrictEqual(seen("b", "x", 12), { _tag: "Next" })
  })

  it("a beat tells what has not come since the last message", () => {
    const sequences = new Sequences()
    sequences.observe("b", "x", 5)
    assert.deepStrictEqual(
      [9, 9, 4, 10].map((last) => sequences.settle("b", "x", last)),
      [4, 0, 0, 1]
    )
    assert.deepStrictEqual(sequences.observe("b", "x", 11), { _tag: "Next" })
  })

  it("the first beat of a lane says where it is", () => {
    const sequences = new Sequences()
    assert.strictEqual(sequences.settle("b", "x", 0), 0)
    assert.deepStrictEqual(sequences.observe("b", "x", 3), { _tag: "Gap", missed: 2 })
  })

  it("a lane that was forgotten begins again", () => {
    const [from, to] = [new Sequences(), new Sequences()]
    const pass = () => to.observe("b", "x", from.next("x"))
    pass()
    pass()
    from.forget("x")
    assert.deepStrictEqual(pass(), { _tag: "Next" })
    from.next("x")
    assert.deepStrictEqual(pass(), { _tag: "Gap", missed: 1 })
  })

  it("a server that has left is forgotten", () => {
    const sequences = new Sequences()
    for (const uid of ["b", "bb"]) sequences.observe(uid, "x", 5)
    sequences.forgetSender("b")
    assert.deepStrictEqual(sequences.observe("b", "x", 9), { _tag: "Next" })
    assert.deepStrictEqual(sequences.observe("bb", "x", 9), { _tag: "Gap", missed: 3 })
  })

  it("lanes are bounded, at the sender and at the receiver", () => {
    const sequences = new Sequences()
    for (let i = 0; i < 10_001; i++) {
      sequences.next(`lane ${i}`)
      if (i % 2 === 0) sequences.observe("b", `lane ${i}`, 5)
      else sequences.settle("b", `lane ${i}`, 5)
    }
    assert.strictEqual(sequences.last("lane 0"), 0)
    assert.strictEqual(sequences.last("lane 1"), 1)
    assert.deepStrictEqual(sequences.observe("b", "lane 0", 9), { _tag: "Next" })
    assert.deepStrictEqual(sequences.observe("b", "lane 2", 9), { _tag: "Gap", missed: 3 })
  })
})
