/**
 * Generated input over real connections, on a server with its default options: a hundred thousand requests, and some thousands of what
 * `generated.test.ts` has more of.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

import { Attack, type Census } from "./attack.ts"
import { entrances } from "./entrances.ts"

describe("over real connections", () => {
  let attack: Attack
  let before: Census

  beforeAll(async () => {
    attack = await Attack.start(1)
    // What is made once, and code that is compiled.
    await attack.bodies(300)
    await attack.messages(300)
    before = await attack.rest()
  }, 60_000)

  afterAll(() => attack.stop())

  it(
    "100,000 requests with generated queries, methods and headers are each answered",
    { timeout: 180_000 },
    async () => {
      const statuses = await attack.queries(100_000)
      assert.strictEqual(
        [...statuses.values()].reduce((sum, count) => sum + count, 0),
        100_000
      )
      assert.isAbove(statuses.get(400)!, 50_000)
      await attack.check()
    }
  )

  it("garbage in place of requests, and right behind them, ends its connection", { timeout: 60_000 }, async () => {
    await attack.garbage(500)
    await attack.check()
  })

  it("3,000 generated bodies of requests end their session, or do not", { timeout: 60_000 }, async () => {
    assert.isAbove(await attack.bodies(3_000), 500)
    await attack.check()
  })

  it("3,000 generated messages end their connection, or do not", { timeout: 60_000 }, async () => {
    assert.isAbove(await attack.messages(3_000), 500)
    await attack.check()
  })

  for (const [name, entrance] of Object.entries(entrances)) {
    it(`${name}, generated 50 times, end their connection, or do not`, { timeout: 60_000 }, async () => {
      await entrance(attack, 50)
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
})
