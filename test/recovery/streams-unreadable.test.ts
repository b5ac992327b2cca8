/**
 * Events that servers would not read from the log: nobody would get them.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Semaphore } from "effect"

import { refused } from "../../src/adapter/Received.ts"
import { StreamLog } from "../../src/redis/internal/streamLog.ts"
import * as StreamsWire from "../../src/redis/internal/streamsWire.ts"
import { requires } from "../support/peers.ts"
import { startRedis } from "../support/redisServer.ts"
import { backTo, StreamServers, withoutMarks } from "./streamServers.ts"

/** A value of so many levels around another one. */
const nested = (levels: number, inner: unknown = 1): unknown => (levels === 0 ? inner : [nested(levels - 1, inner)])

const problemOf = (sent: Promise<unknown>): Promise<string> =>
  sent.then(
    () => "none",
    (defect: unknown) => String(defect)
  )

describe("an event that servers would not read from the log", requires("Redis"), () => {
  let world: StreamServers
  beforeAll(async () => {
    world = new StreamServers(await startRedis())
  })
  afterAll(() => world?.stop())

  it("is refused where it is emitted, and holds up nothing", async () => {
    const [one, two] = await world.start("unreadable", 2, { maxMessageBytes: 10_000 })
    const client = await world.connect(one, ["room"])
    const id = client.id!
    // It is handled when the client is in its rooms.
    await client.call("join", "room")
    // The arguments, the packet and the entry are three levels.
    for (const value of [nested(98), nested(98, Buffer.from("bytes"))]) {
      assert.match(await problemOf(one.direct(id, "e", value)), /nested deeper than 100 levels/)
      assert.match(await problemOf(one.emit({ to: ["room"] }, "e", value)), /nested deeper than 100 levels/)
    }
    for (const value of ["x".repeat(20_000), Buffer.alloc(20_000), { x: Array(10_000).fill(0) }]) {
      assert.match(await problemOf(one.direct(id, "e", value)), /too long.*maxMessageBytes/)
      assert.match(await problemOf(one.emit({}, "e", value)), /too long.*maxMessageBytes/)
    }
    for (const value of [nested(97), "x".repeat(9_000)]) {
      assert.strictEqual(await problemOf(one.direct(id, "e", value)), "none")
      await two.emit({ to: ["room"] }, "e", value)
    }
    assert.strictEqual(await one.question(id, "question"), "answer")
    await world.settle(two, client)
    // The entries of the other server may come before the question, or after it.
    const heard = client.heard.map(([event]) => event).filter((event) => event !== "mark")
    assert.deepStrictEqual(heard.toSorted(), ["e", "e", "e", "e", "question"])
    await client.cut("reset")
    assert.match(await problemOf(one.emit({ to: ["room"] }, "e", nested(98))), /nested deeper/)
    await one.emit({ to: ["room"] }, "e", 5)
    assert.isTrue(await backTo(client, two))
    await world.settle(two, client)
    assert.deepStrictEqual(withoutMarks(client).slice(5), [5])
  })

  it("is over for its sender if it is there all the same", () => {
    const wire = StreamsWire.make({ prefix: "", namespace: "/", uid: "own" })
    const ends: Array<boolean> = []
    let number = 0
    const log = new StreamLog(
      undefined as never,
      "own",
      wire,
      undefined as never,
      undefined as never,
      () => 0,
      Semaphore.makeUnsafe(1),
      () => ++number
    )
    const taken = { _tag: "Taken", sid: "sid", by: "by" } as const
    for (let i = 0; i < 3; i++) log.append(taken, (isRead) => ends.push(isRead))
    const fieldsOf = (entry: object) =>
      Object.fromEntries(Object.entries(entry).map(([name, value]) => [name, Buffer.from(String(value))]))
    const entry = (number: number, uid = "own") =>
      fieldsOf({ uid, nsp: "/", type: "3", data: "{", x: JSON.stringify({ n: number }) })
    const onEntry = (fields: ReturnType<typeof fieldsOf>) => {
      const received = wire.decodeEntry(fields, "1-0", true)
      assert.strictEqual(received._tag, refused("")._tag)
      log.onEntry(received, fields, "1-0")
    }
    onEntry(entry(2, "another"))
    onEntry(fieldsOf({ uid: "own", nsp: "/", type: "3", data: "{" }))
    assert.deepStrictEqual(ends, [])
    onEntry(entry(2))
    onEntry(entry(2))
    assert.deepStrictEqual(ends, [true])
  })
})
