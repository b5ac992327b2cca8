import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { resolve as resolveEngine } from "../../src/engine/EngineOptions.ts"
import { resolve as resolveServer } from "../../src/server/ServerOptions.ts"
import { measure, MOST } from "./one-connection.ts"

describe("one connection", async () => {
  const defaults = await Effect.runPromise(Effect.all([resolveEngine({}), resolveServer({})]))
  // Without these bounds it is as much as a client likes.
  const isBounded = ["maxAuthBytes", "maxRooms"].every((option) => option in Object.assign({}, ...defaults))

  for (const transport of ["websocket", "polling"] as const) {
    it.skipIf(!isBounded)(
      `makes the server hold at most ${MOST / 1e6} MB over ${transport}, whatever it leaves there`,
      { timeout: 180_000 },
      async () => {
        const { alone, together } = await measure(transport)
        for (const [name, held] of Object.entries(alone)) assert.isBelow(held, MOST, name)
        assert.isBelow(together, MOST)
        // It has gone as far as it could: to one of the bounds at the least.
        assert.isAbove(together, 10_000_000)
      }
    )
  }
})
