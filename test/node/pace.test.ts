import { assert, describe, it } from "@effect/vitest"

import { Pace, speak, TURN_MESSAGES } from "../../src/node/internal/pace.ts"

/** The messages that a connection is given in so many milliseconds, if it always has more; each turn takes a tenth of one. */
const given = (pace: Pace, millis: number, meanwhile: (now: number) => void = () => {}) => {
  let messages = 0
  for (let now = 0; now < millis;) {
    messages += TURN_MESSAGES
    now += 0.1
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
      given(pace, 100, () => speak(one)),
      TURN_MESSAGES * 990
    )
  })

  it("is a turn's messages per millisecond beside others, beyond a burst", () => {
    const messages = given(new Pace(), 1_000, talk)
    assert.isAtLeast(messages, TURN_MESSAGES * 1_000)
    assert.isAtMost(messages, TURN_MESSAGES * 1_000 + 256 + TURN_MESSAGES)
  })

  it("has no pause in a burst", () => {
    const pace = new Pace()
    talk()
    for (let taken = TURN_MESSAGES; taken <= 256; taken += TURN_MESSAGES) assert.strictEqual(pace.next(0), 0)
    assert.isAbove(pace.next(0), 0)
  })

  it("is its own again when the others have been silent for 50 ms, without having saved anything", () => {
    const pace = new Pace()
    for (let now = 0; now < 100; now += 0.1) {
      talk()
      pace.next(now)
    }
    const pauses = []
    for (let now = 100; now < 160; now += 0.1) if (pace.next(now) > 0) pauses.push(now)
    assert.isAtLeast(pauses.length, 1)
    assert.isAtMost(pauses.at(-1)!, 150.2)
    talk()
    assert.isAbove(pace.next(160), 0)
  })
})
