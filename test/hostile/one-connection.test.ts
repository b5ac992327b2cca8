import { assert, describe, it } from "@effect/vitest"

import { isFull } from "../support/extent.ts"
import { measure, MOST, near } from "./one-connection.ts"

describe("one connection", () => {
  for (const transport of isFull ? (["websocket", "polling"] as const) : (["websocket"] as const)) {
    it(
      `makes the server hold at most ${MOST / 1e6} MB over ${transport}, whatever it leaves there`,
      { timeout: 180_000 },
      async () => {
        const { alone, together } = await measure(transport, undefined, near)
        for (const [name, held] of Object.entries(alone)) assert.isBelow(held, MOST, name)
        assert.isBelow(together, MOST)
        // It has gone as far as it could: to one of the bounds at the least.
        assert.isAbove(Math.max(together, ...Object.values(alone)), 10_000_000)
      }
    )
  }
})
