import { assert, describe, it } from "@effect/vitest"

import { countMessage, LARGE_MESSAGE, LongMessages, Pace, TURN_MESSAGES } from "../../src/internal/pace.ts"

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
  countMessage(another, 50)
  countMessage(one, 50)
}

describe("the pace of a connection that sends more than others leave room for", () => {
  it("is its own while nobody else talks", () => {
    countMessage(one, 50)
    const pace = new Pace(new LongMessages())
    assert.isAtLeast(
      given(pace, 100, 0.01, () => countMessage(one, 50)),
      9_900
    )
  })

  it("is a quarter of the time beside others, beyond a burst, whatever its messages cost", () => {
    for (const cost of [0.02, 0.1, 1, 5]) {
      const time = given(new Pace(new LongMessages()), 10_000, cost, talk) * cost
      assert.isAtLeast(time, 2_450)
      assert.isAtMost(time, 2_550)
    }
  })

  it("is 12.5 messages per millisecond beside others, however little they cost", () => {
    const messages = given(new Pace(new LongMessages()), 10_000, 0.001, talk)
    assert.isAtLeast(messages, 122_500)
    assert.isAtMost(messages, 127_500)
  })

  it("is made up for by one pause when a message takes long, of five seconds at the most", () => {
    const pace = new Pace(new LongMessages())
    talk()
    pace.next(0)
    talk()
    pace.took(100)
    assert.closeTo(pace.next(100), 300, 5)
    talk()
    pace.took(2_000)
    assert.strictEqual(pace.next(2_400), 5_000)
    assert.strictEqual(pace.next(7_400), 0)
  })

  it("is no less beside others that cannot speak while a message takes long", () => {
    const pace = new Pace(new LongMessages())
    talk()
    pace.next(0)
    pace.took(200)
    assert.isAtLeast(pace.next(200), 500)
  })

  it("has turns of a quarter of a millisecond, and of one message at the least", () => {
    const turn = (cost: number) => {
      const pace = new Pace(new LongMessages())
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
    const pace = new Pace(new LongMessages())
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
    const pace = new Pace(new LongMessages())
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

describe("long messages of several connections", () => {
  const TIME = 100

  /** The parts of the time that so many have who always have another one; `meanwhile` is called before each. */
  const parts = (count: number, millis: number, meanwhile: () => void) => {
    const long = new LongMessages()
    const connections = Array.from({ length: count }, () => ({ pace: new Pace(long), next: 0, given: 0 }))
    for (let now = 0; now < millis;) {
      const connection = connections.reduce((first, other) => (other.next < first.next ? other : first))
      now = Math.max(now, connection.next)
      meanwhile()
      countMessage(connection, LARGE_MESSAGE)
      connection.pace.took(TIME, LARGE_MESSAGE)
      now += TIME
      connection.given += TIME
      connection.next = now + connection.pace.next(now)
    }
    return connections.map(({ given }) => given / millis)
  }

  it("have a quarter of the time together beside short ones, in turns", () => {
    for (const count of [1, 2, 4, 10]) {
      const given = parts(count, 100_000, talk)
      const together = given.reduce((sum, part) => sum + part, 0)
      assert.closeTo(together, 0.25, 0.02, String(count))
      for (const part of given) assert.closeTo(part, 0.25 / count, 0.02)
    }
  })

  it("have all of it where there are no short ones", () => {
    const given = parts(4, 100_000, () => {})
    assert.isAtLeast(
      given.reduce((sum, part) => sum + part, 0),
      0.95
    )
  })

  /** The part of the time that those get who open a connection for each of their messages. */
  const newcomers = (count: number, millis: number, meanwhile: () => void) => {
    const long = new LongMessages()
    const waiting: Array<{ pace: Pace; at: number }> = []
    let given = 0
    for (let now = 0; now < millis;) {
      while (waiting.length < count) waiting.push({ pace: Pace.amidOthers(now, long), at: now })
      waiting.sort((one, other) => one.at - other.at)
      const next = waiting[0]!
      now = Math.max(now, next.at)
      meanwhile()
      const pause = next.pace.entryPause(now)
      if (pause > 0) {
        next.at = now + pause
        continue
      }
      waiting.shift()
      next.pace.took(TIME, LARGE_MESSAGE)
      now += TIME
      given += TIME
      next.pace.next(now)
    }
    return given / millis
  }

  it("have no more on connections of their own, and come one at a time", () => {
    for (const count of [1, 2, 8]) assert.closeTo(newcomers(count, 100_000, talk), 0.25, 0.02, String(count))
    talk()
    assert.isAtLeast(
      newcomers(8, 100_000, () => {}),
      0.9
    )
  })

  it("come after five seconds, however many others there are", () => {
    const long = new LongMessages()
    long.add(60_000, 0)
    const pace = Pace.amidOthers(0, long)
    assert.strictEqual(pace.entryPause(0), 5_000)
    assert.isTrue(pace.isEntering)
    assert.strictEqual(pace.entryPause(4_000), 1_000)
    assert.strictEqual(pace.entryPause(5_000), 0)
    assert.isFalse(pace.isEntering)
  })
})
