/**
 * The messages of connections that have closed: they take turns, and what they may take is bounded.
 */
import { assert, describe, it } from "@effect/vitest"

import { type ClosedConnection, LastMessages } from "../../src/engine/internal/lastMessages.ts"
import { takeTurn } from "../../src/internal/sharedTurns.ts"
import { within } from "../support/RawClient.ts"

const MiB = 1024 * 1024

/** The time that a message takes, in milliseconds. */
const spend = (millis: number) => {
  const end = performance.now() + millis
  while (performance.now() < end) continue
}

const until = async (isSo: () => boolean) => {
  while (!isSo()) await new Promise<void>((resolve) => setImmediate(resolve))
}

describe("the messages of closed connections", () => {
  it("take turns: a connection with few of them does not wait for one with many", async () => {
    const all = new LastMessages()
    const order: Array<string> = []
    const close = (name: string, count: number) => {
      let left = count
      const connection: ClosedConnection = all.take(1_000, (most) => {
        const taken = Math.min(most, left)
        left -= taken
        order.push(name)
        if (left === 0) connection.end()
        return taken
      })!
      connection.enter()
      return () => left === 0
    }
    const ends = [close("many", 1_000), close("few", 30), close("more", 1_000)]
    await within(
      "end",
      until(() => ends.every((isOver) => isOver()))
    )
    assert.strictEqual(order.filter((name) => name === "few").length, 2)
    assert.isBelow(order.lastIndexOf("few"), 10)
  })

  it("take at most half of the memory that is left, for each connection", () => {
    const all = new LastMessages()
    const ignore = () => 0
    // One connection alone is always taken.
    const alone = all.take(100 * MiB, ignore)!
    assert.isUndefined(all.take(1, ignore))
    alone.end()
    const taken: Array<ClosedConnection> = []
    for (let next = all.take(4 * MiB, ignore); next !== undefined; next = all.take(4 * MiB, ignore)) taken.push(next)
    assert.strictEqual(taken.length, 6)
    // A small one finds room.
    assert.isDefined(all.take(1_000, ignore))
    for (const connection of taken) connection.end()
    assert.isDefined(all.take(15 * MiB, ignore))
  })
})

describe("the turns of connections that send too much", () => {
  it("are a few in a turn of the event loop, in their order, however many there are", async () => {
    const seen: Array<number> = []
    let turns = 0
    let isOver = false
    const count = () => {
      turns++
      if (!isOver) setImmediate(count)
    }
    setImmediate(count)
    for (let i = 0; i < 20; i++) {
      takeTurn(() => {
        seen.push(i)
        spend(0.5)
        // The next turn of the same one is no part of this turn.
        if (i === 0 && seen.length === 1) takeTurn(() => seen.push(99), 0)
      }, 0)
    }
    await within(
      "turns",
      until(() => seen.length === 21)
    )
    isOver = true
    assert.deepStrictEqual(seen, [...Array.from({ length: 20 }, (_, i) => i), 99])
    assert.isAtLeast(turns, 9)
  })
})
