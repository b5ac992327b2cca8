/**
 * Generated input over real connections, on a server with its default options: a hundred thousand requests, and some thousands of what
 * `generated.test.ts` has more of. In a short run it is a tenth of that.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

import { Attack, type Census } from "./attack.ts"
import { entrances } from "./entrances.ts"
import { featureEntrances } from "./featureEntrances.ts"
import { costly } from "../support/extent.ts"
import { visited } from "./visit.ts"

const REQUESTS = costly(100_000, 10_000, 2_000)
const GARBAGE = costly(500, 75, 50)
const INPUTS = costly(3_000, 400, 200)
const TIMES = costly(50, 15, 4)
const VISITS = costly(3_000, 500, 150)

describe("over real connections", () => {
  let attack: Attack
  let before: Census

  beforeAll(async () => {
    attack = await Attack.start(1)
    // Resources that are made once, and code that is compiled.
    await attack.bodies(300)
    await attack.messages(300)
    before = await attack.rest()
  }, 60_000)

  afterAll(() => attack.stop())

  it(
    `${REQUESTS} requests with generated queries, methods and headers are each answered`,
    { timeout: 180_000 },
    async () => {
      const statuses = await attack.queries(REQUESTS)
      assert.strictEqual(
        [...statuses.values()].reduce((sum, count) => sum + count, 0),
        REQUESTS
      )
      assert.isAbove(statuses.get(400)!, REQUESTS / 2)
      await attack.check()
    }
  )

  it("garbage in place of requests, and right after them, ends its connection", { timeout: 60_000 }, async () => {
    await attack.garbage(GARBAGE)
    await attack.check()
  })

  it(`${INPUTS} generated bodies of requests end their session, or do not`, { timeout: 60_000 }, async () => {
    assert.isAbove(await attack.bodies(INPUTS), INPUTS / 6)
    await attack.check()
  })

  it(`${INPUTS} generated messages end their connection, or do not`, { timeout: 60_000 }, async () => {
    assert.isAbove(await attack.messages(INPUTS), INPUTS / 6)
    await attack.check()
  })

  for (const [name, entrance] of Object.entries(entrances)) {
    it(`${name}, generated ${TIMES} times, end their connection, or do not`, { timeout: 60_000 }, async () => {
      await entrance(attack, TIMES)
      await attack.check()
    })
  }

  it("who was closed was closed within a second, and the others had their answer", () => {
    // Of 6,000. A busy machine may hold one or the other up.
    assert.isAtMost(attack.lateness.length, 30)
  })

  it("nothing of it is left, and nothing of it was a bug", { timeout: 90_000 }, async () => {
    const { bugs, memory, sessions } = await attack.rest()
    assert.deepStrictEqual(bugs, [])
    assert.strictEqual(sessions, 1)
    assert.isBelow(memory - before.memory, 8_000_000)
    await attack.check()
  })

  // Servers with all features keep something for their clients for minutes, within bounds that other tests have.
  for (const [name, entrance] of Object.entries(featureEntrances)) {
    it(`${name}, generated ${TIMES} times, harm nobody`, { timeout: 60_000 }, async () => {
      await entrance(attack, TIMES)
      await attack.check()
    })
  }

  it("nobody of these is left, and nothing of it was a bug", { timeout: 90_000 }, async () => {
    const { bugs, sessions } = await attack.rest()
    assert.deepStrictEqual(bugs, [])
    assert.strictEqual(sessions, 1)
  })
})

describe("clients of this library", () => {
  it(
    `live with a server that sends ${VISITS} times what was generated, and have answers from the next one`,
    {
      timeout: 120_000
    },
    async () => {
      assert.isAtLeast(await visited(1, VISITS), VISITS)
    }
  )
})
