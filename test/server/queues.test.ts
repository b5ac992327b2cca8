/**
 * Queues of what clients have sent: they keep nothing that was taken, while more is waiting.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { OutboundMessage } from "../../src/engine/OutboundMessage.ts"
import { Outbox as EngineOutbox } from "../../src/engine/Outbox.ts"
import { Deque } from "../../src/internal/deque.ts"
import { Outbox } from "../../src/redis/internal/outbox.ts"
import type { ResolvedServerOptions } from "../../src/server/ServerOptions.ts"
import type { Backlog } from "../../src/server/internal/backlog.ts"
import { Gate } from "../../src/server/internal/gate.ts"
import { Reader } from "../../src/server/internal/reader.ts"
import { memoryInUse } from "../support/memory.ts"

const LARGE = 1_000_000

const large = (n: number): Uint8Array => new Uint8Array(LARGE).fill(n)

/** Enters 30 large values, of which all but a few are taken, and gives the memory that is held then. */
const held = (enter: (n: number) => void): number => {
  const before = memoryInUse()
  for (let n = 0; n < 30; n++) enter(n)
  return memoryInUse() - before
}

const nothing = { enter: () => {}, leave: () => {}, hold: () => {}, release: () => {}, fits: () => true }
const backlog = nothing as unknown as Backlog

describe("a queue whose head is taken while others wait", () => {
  it("keeps no event that has passed a gate", () => {
    const gate = new Gate(2, backlog)
    const leaves: Array<() => void> = []
    let seen = 0
    const bytes = held((n) => {
      const value = large(n)
      gate.enter(LARGE, (leave) => {
        seen += value.length
        leaves.push(leave)
      })
      // Three wait.
      if (n >= 5) leaves.shift()!()
    })
    assert.strictEqual(seen, 27 * LARGE)
    assert.isBelow(bytes, 8 * LARGE)
    while (leaves.length > 0) leaves.shift()!()
    assert.strictEqual(seen, 30 * LARGE)
  })

  it("keeps no value that a reader's policy has dropped", async () => {
    const options = { maxPendingEvents: 1_000, pauseReadingAt: 100 } as ResolvedServerOptions
    const reader = new Reader("stream", { capacity: 3, overflow: "dropOldest" }, options)
    const connection = { backlog, session: { closeUnsafe: () => assert.fail() } }
    const bytes = held((n) => reader.offer(large(n), LARGE, connection))
    assert.isBelow(bytes, 5 * LARGE)
    const taken: ReadonlyArray<Uint8Array> = await Effect.runPromise(reader.pull)
    assert.deepStrictEqual(
      taken.map(([first]) => first),
      [27, 28, 29]
    )
  })

  it("keeps no command that was sent to Redis", () => {
    const outbox = new Outbox()
    const bytes = held((n) => {
      outbox.push({ command: ["SET", "key", large(n)], key: "key", bytes: LARGE, at: 0, number: n, done: undefined })
      if (n >= 3) assert.strictEqual(outbox.shift()!.number, n - 3)
    })
    assert.isBelow(bytes, 5 * LARGE)
    assert.strictEqual(outbox.length, 3)
  })
})

describe("an outbox that drops the oldest", () => {
  it("keeps as many places as messages, about, however many were dropped for a client that takes none", () => {
    const outbox = new EngineOutbox({ maxOutbox: 50_000, outboxOverflow: "dropOldest" }, { onDropped: () => {} })
    outbox.offer("2", 0)
    for (let n = 0; n < 20_000; n++) outbox.offer(new OutboundMessage(`4${n}`, undefined, false), 0)
    const { entries } = outbox as unknown as { readonly entries: ReadonlyArray<unknown> }
    const waiting = entries.filter((entry) => entry !== undefined).length
    assert.isBelow(entries.length, 2 * waiting + 1_002)
    assert.isAtMost(outbox.bytes, 50_000)
    // The ping is first, and then come the last messages, in their order.
    assert.strictEqual(outbox.shift()!.item, "2")
    const texts = outbox.takeAll().map(({ item }) => (item as OutboundMessage).text)
    assert.deepStrictEqual(
      texts,
      Array.from({ length: texts.length }, (_, i) => `4${20_000 - texts.length + i}`)
    )
    assert.isAbove(texts.length, 100)
  })
})

describe("a deque", () => {
  it("is first in, first out, however much has been taken and put before it", () => {
    const deque = new Deque<number>()
    const model: Array<number> = []
    let next = 0
    for (let step = 0; step < 2_000; step++) {
      const kind = (step * 7_919) % 10
      if (kind < 6) {
        deque.push(next)
        model.push(next++)
      } else if (kind < 9 && model.length > 0) {
        assert.strictEqual(deque.shift(), model.shift())
      } else if (step % 97 === 0) {
        const items = [next++, next++]
        deque.unshift(items)
        model.unshift(...items)
      }
      assert.strictEqual(deque.size, model.length)
      if (model.length > 0) assert.strictEqual(deque.at(model.length - 1), model.at(-1))
    }
    assert.deepStrictEqual(deque.takeAll(), model)
    assert.strictEqual(deque.size, 0)
  })
})
