/**
 * Thousands of clients that come and go, or a hundred in a short run.
 */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"

import { costly } from "../support/extent.ts"
import { root } from "../support/sources.ts"

const CYCLES = costly(10_000, 150, 100)

describe(`${CYCLES} clients that connect and disconnect`, () => {
  it("leave no fiber, timer, listener, socket or request behind", { timeout: 300_000 }, async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--expose-gc", `${root}test/client/soak.ts`, String(CYCLES)],
      { timeout: 290_000 }
    )
    const { after, before, cycles, during, stopped } = JSON.parse(stdout)
    assert.strictEqual(cycles, CYCLES)
    // The counted things are there while there are clients.
    for (const kind in before) assert.isAbove(during[kind], kind === "sockets" ? 0 : before[kind], kind)
    const { sockets, ...rest } = after
    const { sockets: socketsBefore, ...restBefore } = before
    assert.deepStrictEqual(rest, restBefore)
    // Idle connections of fetch are not the client's; their number goes up and down.
    assert.isAtMost(sockets, socketsBefore + 250)
    assert.strictEqual(stopped.sockets, 0)
    assert.isAtMost(stopped.timers, before.timers)
  })
})
