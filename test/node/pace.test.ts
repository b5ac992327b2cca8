import { assert, describe, it } from "@effect/vitest"

import { Pace, speak, TURN_MESSAGES } from "../../src/node/internal/pace.ts"

/** The messages that a connection is given in so many milliseconds, if it always has more; each of them takes `cost` milliseconds. */
const given = (pace: Pace, millis: number, cost: number, meanwhile: (now: number) => void = () => {}) => {
  let messages = 0
  for (let now = 0; now < millis;) {
    pace.beginTurn()
    for (let n = 0; n < TURN_MESSAGES && !pace.isOver; n++) {
      pace.took(cost)
      now += cost
      messages++
    }
    meanwhile(now)
    now += pace.next(now)
  }
  return messages
}

const [one, another] = [{}, {}]

/** Both talk. */
const talk = () => {
  speak(another)
  speak(one)
}

describe("the pace of a connection that sends more than others leave room for", () => {
  it("is its own while nobody else talks", () => {
    speak(one)
    const pace = new Pace()
    assert.isAtLeast(
      given(pace, 100, 0.01, () => speak(one)),
      9_900
    )
  })

  it("is a quarter of the time beside others, beyond a burst, whatever its messages cost", () => {
    for (const cost of [0.02, 0.1, 1, 5]) {
      const time = given(new Pace(), 10_000, cost, talk) * cost
      assert.isAtLeast(time, 2_450)
      assert.isAtMost(time, 2_550)
    }
  })

  it("is 12.5 messages per millisecond beside others, however little they cost", () => {
    const messages = given(new Pace(), 10_000, 0.001, talk)
    assert.isAtLeast(messages, 122_500)
    assert.isAtMost(messages, 127_500)
  })

  it("is no more than 25 ms of pause for a message that takes very long", () => {
    const pace = new Pace()
    talk()
    pace.next(0)
    talk()
    pace.took(1_000)
    assert.strictEqual(pace.next(1_000), 25)
    assert.strictEqual(pace.next(1_025), 0)
  })

  it("has turns of a quarter of a millisecond, and of one message at the least", () => {
    const turn = (cost: number) => {
      const pace = new Pace()
      pace.beginTurn()
      let messages = 0
      do pace.took(cost)
      while (++messages < 1_000 && !pace.isOver)
      return messages
    }
    assert.strictEqual(turn(0.1), 3)
    assert.strictEqual(turn(10), 1)
  })

  it("has no pause in a burst of a millisecond", () => {
    const pace = new Pace()
    talk()
    assert.strictEqual(pace.next(0), 0)
    for (let taken = 0; taken < 4; taken++) {
      pace.took(0.25)
      assert.strictEqual(pace.next(0), 0)
    }
    pace.took(0.1)
    assert.isAtLeast(pace.next(0), 1)
  })

  it("is its own again when the others have been silent for 50 ms, without having saved anything", () => {
    const pace = new Pace()
    const busy = (now: number) => {
      pace.took(0.1)
      return pace.next(now)
    }
    for (let now = 0; now < 100; now += 0.1) {
      talk()
      busy(now)
    }
    const pauses = []
    for (let now = 100; now < 160; now += 0.1) if (busy(now) > 0) pauses.push(now)
    assert.isAtLeast(pauses.length, 1)
    assert.isAtMost(pauses.at(-1)!, 150.2)
    talk()
    assert.isAbove(busy(160), 0)
  })
})
