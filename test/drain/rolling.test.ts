/**
 * A small rolling restart of three processes behind nginx. `npm run drain:rolling` does larger ones.
 */
import { assert, describe, it } from "@effect/vitest"

import { isExhaustive } from "../support/extent.ts"
import { requires } from "../support/peers.ts"
import { roll } from "./rollingRestart.ts"

describe("a rolling restart of processes behind nginx", requires("nginx"), () => {
  it.skipIf(!isExhaustive)(
    "loses no event, handles none twice, and is no outage for clients of this library",
    async () => {
      const report = await roll(
        {
          official: 20,
          ours: 10,
          events: 200,
          broadcasts: 0,
          notice: 200,
          over: 1_000,
          rate: 100,
          retries: 0,
          once: false,
          redis: false,
          env: {}
        },
        () => {}
      )
      const { official, ourOutages, ours, unanswered } = report
      assert.isAbove(official.sent, 200)
      assert.deepStrictEqual(
        { official, ours, ourOutages, unanswered },
        {
          official: { ...official, lost: 0, twice: 0 },
          ours: { ...ours, lost: 0, twice: 0 },
          ourOutages: 0,
          unanswered: 0
        }
      )
      for (const exit of report.exits) assert.isAtMost(exit, 200 + 1_000 + 5_000)
    },
    120_000
  )
})
