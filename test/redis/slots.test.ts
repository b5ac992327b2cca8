/**
 * The slots of keys, and replies that tell the servers of a Redis Cluster.
 */
import { assert, describe, it } from "@effect/vitest"

import { keySlot } from "../../src/redis/internal/keySlot.ts"
import { readSlots } from "../../src/redis/internal/routes.ts"

describe("A slot", () => {
  it("is that of the reference", () => {
    // CLUSTER KEYSLOT of Redis 7.0.15
    const expected: ReadonlyArray<readonly [string, number]> = [
      ["", 0],
      ["123456789", 12_739],
      ["foo", 12_182],
      ["{user1000}.following", 3_443],
      ["{user1000}.followers", 3_443],
      ["foo{}{bar}", 8_363],
      ["foo{{bar}}zap", 4_015],
      ["ä", 13_929]
    ]
    for (const [key, slot] of expected) assert.strictEqual(keySlot(key), slot, key)
  })

  it("has the server that a reply names, which has the host that was asked if it does not know its own", () => {
    assert.deepStrictEqual(
      readSlots(
        [
          [0, 99, ["10.0.0.1", 7000, "id"], ["10.0.0.2", 7001, "id"]],
          [100, 16_383, ["", 7002, "id"]]
        ],
        "10.0.0.9:7002"
      ),
      [
        { from: 0, to: 99, master: "10.0.0.1:7000" },
        { from: 100, to: 16_383, master: "10.0.0.9:7002" }
      ]
    )
  })

  it("is not known from replies that are something else", () => {
    for (const reply of [null, "x", 1, [1], [[0, 1]], [[0, 1, []]], [["a", 1, ["h", 1]]]]) {
      assert.deepStrictEqual(readSlots(reply, undefined), [])
    }
  })
})
