/**
 * Frames that another server can send: the side of one server alone, without a clock and a line.
 */
import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "fast-check"

import { Cluster, type ClusterOptions } from "../../src/presence/internal/cluster.ts"
import type { Entry, Frame } from "../../src/presence/internal/frames.ts"
import { Rooms } from "../../src/presence/internal/members.ts"
import { count } from "../support/extent.ts"

const defaults: ClusterOptions = { period: 1_000, down: 5_000, forget: 60_000, maxTotal: 100_000, maxBytes: 1_024 }

const start = (id: string, options: Partial<ClusterOptions> = {}) => {
  const rooms = new Rooms(defaults.period)
  const cluster = new Cluster(id, rooms, { ...defaults, ...options }, (encoded) =>
    typeof encoded["n"] === "number" ? { meta: { n: encoded["n"] }, encoded: { n: encoded["n"] } } : undefined
  )
  cluster.start(0)
  const outbox = () => cluster.outbox.splice(0)
  const connections = (room: string) => rooms.get(room)?.connections ?? 0
  const add = (room: string, key: string, n: number) => {
    const member = cluster.own.add(room, key, cluster.own.version({ n }, { n }))
    rooms.show(member)
    return member
  }
  return { cluster, rooms, outbox, connections, add }
}

const entry = (id: number, n: unknown = 0, key = `k${id}`): Entry => [id, 0, "red", key, { n }]

const delta = (clock: number, set: ReadonlyArray<Entry>, gone: ReadonlyArray<number> = [], from = "b"): Frame => ({
  type: "delta",
  from,
  clock,
  set,
  gone
})

describe("frames of another server", () => {
  it("bring its members, which it alone decides about", () => {
    const { cluster, connections, rooms } = start("a")
    cluster.receive(delta(1, [entry(0), entry(1)]), 0)
    cluster.receive(delta(2, [entry(2)], [0]), 0)
    assert.strictEqual(connections("red"), 2)
    assert.deepStrictEqual(Array.from(rooms.get("red")!.keys.keys()), ["k1", "k2"])
    cluster.receive({ type: "bye", from: "b" }, 0)
    assert.strictEqual(connections("red"), 0)
    assert.deepStrictEqual([cluster.states, cluster.refused], [[], 0])
  })

  it("count once, however often they come", () => {
    const { cluster, connections } = start("a")
    for (let i = 0; i < 3; i++) cluster.receive(delta(1, [entry(0)]), 0)
    cluster.receive(delta(2, [], [0]), 0)
    cluster.receive(delta(1, [entry(0)]), 0)
    assert.strictEqual(connections("red"), 0)
  })

  it("make this server ask for all after a gap, but not more than once in a period", () => {
    const { cluster, outbox } = start("a")
    cluster.receive(delta(1, [entry(0)]), 0)
    assert.deepStrictEqual(outbox(), [{ type: "want", from: "a", of: "*" }])
    for (let clock = 3; clock < 20; clock++) cluster.receive(delta(clock, [entry(clock)]), 10)
    assert.deepStrictEqual(outbox(), [{ type: "want", from: "a", of: "b" }])
    cluster.receive({ type: "beat", from: "b", clock: 30 }, 1_011)
    assert.deepStrictEqual(outbox(), [{ type: "want", from: "a", of: "b" }])
    assert.isFalse(cluster.states[0]!.isComplete)
  })

  it("carry all members in parts, and deltas go on from there", () => {
    const [one, two] = [start("a"), start("b")]
    const members = Array.from({ length: 1_201 }, (_, i) => one.add("red", `k${i}`, i))
    one.cluster.tick(2_000)
    one.outbox()
    one.cluster.receive({ type: "want", from: "b", of: "a" }, 2_000)
    one.cluster.tick(2_250)
    const frames = one.outbox()
    assert.deepStrictEqual(
      frames.map((frame) => (frame.type === "state" ? [frame.part, frame.isLast, frame.set.length] : frame.type)),
      [
        [0, false, 500],
        [1, false, 500],
        [2, true, 201]
      ]
    )
    for (const frame of frames) two.cluster.receive(JSON.parse(JSON.stringify(frame)), 0)
    assert.strictEqual(two.connections("red"), 1_201)
    assert.isTrue(two.cluster.states[0]!.isComplete)
    one.rooms.hide(members[7]!, 2_500)
    one.cluster.own.remove(members[7]!)
    one.cluster.tick(4_000)
    for (const frame of one.outbox()) two.cluster.receive(frame, 0)
    assert.strictEqual(two.connections("red"), 1_200)
  })

  it("carry many members in several turns, while these change", () => {
    const [one, two] = [start("a"), start("b")]
    const members = new Set(Array.from({ length: 12_100 }, (_, i) => one.add("red", `k${i}`, i)))
    const take = (count: number) => Array.from(members).filter((_, i) => i % Math.ceil(members.size / count) === 0)
    // Two members that this server does not have any more, as the other one knows it.
    two.cluster.receive(delta(1, [entry(20_000), entry(20_001)], [], "a"), 0)
    two.cluster.receive({ type: "beat", from: "a", clock: 2 }, 0)
    one.cluster.receive({ type: "want", from: "b", of: "a" }, 0)
    const turns: Array<number> = []
    for (let now = 250; turns.length < 4; now += 250) {
      one.cluster.tick(now)
      const frames = one.outbox()
      turns.push(frames.filter(({ type }) => type === "state").length)
      for (const frame of frames) two.cluster.receive(JSON.parse(JSON.stringify(frame)), now)
      for (const member of take(50)) {
        one.rooms.hide(member)
        one.cluster.own.remove(member)
        members.delete(member)
      }
      for (const member of take(60)) {
        one.cluster.own.changed(member)
        one.rooms.show(member, one.cluster.own.version({ n: -now }, { n: -now }, member))
      }
      for (let i = 0; i < 70; i++) members.add(one.add("red", `new ${now}`, i))
    }
    assert.deepStrictEqual(turns, [10, 10, 5, 0])
    one.cluster.tick(10_000)
    for (const frame of one.outbox()) two.cluster.receive(JSON.parse(JSON.stringify(frame)), 1_250)
    assert.isTrue(two.cluster.states[0]!.isComplete)
    const listOf = ({ rooms }: typeof one) =>
      Array.from(
        rooms.get("red")!.keys,
        ([key, present]) =>
          `${key}: ${Array.from(present, ({ version }) => JSON.stringify(version))
            .toSorted()
            .join()}`
      ).toSorted()
    assert.deepStrictEqual(listOf(two), listOf(one))
    assert.strictEqual(two.connections("red"), members.size)
  })

  it("of a state with a missing part make this server ask again, and keep what it has", () => {
    const { cluster, connections, outbox } = start("a")
    const part = (part: number, round: number, id = part): Frame => ({
      type: "state",
      from: "b",
      clock: 7,
      round,
      part,
      isLast: part === 2,
      set: [entry(id)]
    })
    for (const frame of [part(0, 0, 9), part(1, 0, 8), part(2, 0, 7)]) cluster.receive(frame, 0)
    assert.strictEqual(connections("red"), 3)
    cluster.receive({ type: "beat", from: "b", clock: 9 }, 0)
    outbox()
    const again = (part_: number, round: number): Frame => ({ ...part(part_, round), clock: 9 }) as Frame
    for (const frame of [again(0, 1), again(2, 1), again(1, 1)]) cluster.receive(frame, 2_000)
    assert.isFalse(cluster.states[0]!.isComplete)
    assert.deepStrictEqual(outbox(), [{ type: "want", from: "a", of: "b" }])
    assert.isAtLeast(connections("red"), 3)
    for (const frame of [again(0, 2), again(1, 2), again(2, 2)]) cluster.receive(frame, 2_000)
    assert.isTrue(cluster.states[0]!.isComplete)
    assert.strictEqual(connections("red"), 3)
  })

  it("of a state that stop coming make this server ask again", () => {
    const { cluster, outbox } = start("a")
    cluster.tick(0)
    outbox()
    cluster.receive({ type: "state", from: "b", clock: 1, round: 0, part: 0, isLast: false, set: [] }, 0)
    for (let now = 250; now <= 1_000; now += 250) {
      cluster.tick(now)
      assert.isEmpty(outbox().filter(({ type }) => type === "want"))
    }
    cluster.tick(1_250)
    assert.deepStrictEqual(
      outbox().filter(({ type }) => type === "want"),
      [{ type: "want", from: "a", of: "b" }]
    )
  })

  it("are not needed to find others alive while this process sleeps", () => {
    const { cluster, connections } = start("a")
    cluster.tick(0)
    cluster.receive(delta(1, [entry(0)]), 0)
    // Its timers run late, and before what has come meanwhile.
    cluster.tick(20_000)
    assert.strictEqual(connections("red"), 1)
    cluster.receive({ type: "beat", from: "b", clock: 1 }, 20_000)
    for (let now = 20_250; now <= 25_000; now += 250) cluster.tick(now)
    assert.strictEqual(connections("red"), 1)
    for (let now = 25_250; now <= 26_000; now += 250) cluster.tick(now)
    assert.strictEqual(connections("red"), 0)
    cluster.receive({ type: "beat", from: "b", clock: 1 }, 26_000)
    assert.strictEqual(connections("red"), 1)
  })
})

describe("frames of a server that does harm", () => {
  it("bring no more members than maxTotal", () => {
    const { cluster, connections } = start("a", { maxTotal: 3 })
    cluster.receive(
      delta(
        1,
        Array.from({ length: 10 }, (_, i) => entry(i))
      ),
      0
    )
    assert.strictEqual(connections("red"), 3)
    assert.strictEqual(cluster.refused, 7)
    assert.isTrue(cluster.isFull)
    cluster.receive(delta(2, [], [0, 1, 2]), 0)
    assert.isFalse(cluster.isFull)
  })

  it("bring no more servers than 1,000", () => {
    const { cluster } = start("a")
    for (let i = 0; i < 1_500; i++) cluster.receive({ type: "beat", from: `s${i}`, clock: 0 }, 0)
    assert.lengthOf(cluster.states, 1_000)
    assert.strictEqual(cluster.refused, 500)
  })

  it("do not fill the memory with states that do not end", () => {
    const { cluster } = start("a", { maxTotal: 2_000 })
    for (let server = 0; server < 10; server++) {
      for (let part = 0; part < 100; part++) {
        const set = Array.from({ length: 500 }, (_, i) => entry(part * 500 + i))
        cluster.receive({ type: "state", from: `s${server}`, clock: 1, round: 0, part, isLast: false, set }, 0)
      }
    }
    assert.strictEqual(cluster.size, 2_000)
    // Of members that were refused not even the ids are kept.
    const servers = Array.from(cluster["servers"].values(), ({ reception }) => reception?.ids.size ?? 0)
    assert.strictEqual(
      servers.reduce((sum, ids) => sum + ids),
      2_000
    )
  })

  it("with members that are too large, or of another schema, bring the others", () => {
    const { cluster, rooms } = start("a")
    cluster.receive(delta(1, [entry(0, "x"), entry(1, 1, "k".repeat(2_000)), entry(2, 2)]), 0)
    assert.deepStrictEqual(Array.from(rooms.get("red")!.keys.keys()), ["k2"])
    assert.strictEqual(cluster.refused, 2)
    // Names that this server refuses to its own members.
    cluster.receive(delta(2, [entry(3, 0, ""), entry(4, 0, "__proto__"), entry(5, 5)]), 0)
    assert.deepStrictEqual(Array.from(rooms.get("red")!.keys.keys()), ["k2", "k5"])
    assert.strictEqual(cluster.refused, 4)
    // An update that is refused ends the member: its earlier metadata are not true any more.
    cluster.receive(delta(3, [[2, 1, "red", "k2", { n: "x" }]], [5]), 0)
    assert.isUndefined(rooms.get("red"))
  })

  it("are refused if they are none, or too long", () => {
    const { cluster, outbox } = start("a")
    outbox()
    for (const wrong of [
      undefined,
      null,
      7,
      "delta",
      [],
      {},
      { type: "delta" },
      { type: "beat", from: "", clock: 1 },
      { type: "beat", from: "x".repeat(100), clock: 1 },
      { type: "beat", from: "b", clock: -1 },
      { type: "beat", from: "b", clock: 2 ** 60 },
      { ...delta(1, []), set: [[1, 2, 3, 4, 5]] },
      delta(
        1,
        Array.from({ length: 501 }, (_, i) => entry(i))
      ),
      delta(
        1,
        [],
        Array.from({ length: 501 }, (_, i) => i)
      )
    ]) {
      cluster.receive(wrong, 0)
    }
    assert.strictEqual(cluster.refused, 14)
    assert.deepStrictEqual([cluster.states, outbox()], [[], []])
  })

  it("of any form change nothing and throw nothing", () => {
    const { cluster, connections } = start("a")
    const server = FastCheck.constantFrom("b", "c", "a", "*")
    const counter = FastCheck.constantFrom(0, 1, 2, 3, 500)
    const entries = FastCheck.array(
      FastCheck.tuple(
        counter,
        counter,
        FastCheck.constantFrom("red", "__proto__"),
        FastCheck.constantFrom("ada", "__proto__", "constructor"),
        FastCheck.oneof(
          FastCheck.record({ n: counter }),
          FastCheck.dictionary(FastCheck.string(), FastCheck.anything())
        )
      ),
      { maxLength: 4 }
    )
    const frame = FastCheck.oneof(
      FastCheck.anything(),
      FastCheck.record(
        {
          type: FastCheck.constantFrom("delta", "beat", "want", "state", "bye"),
          from: server,
          of: server,
          clock: counter,
          round: counter,
          part: counter,
          isLast: FastCheck.boolean(),
          set: entries,
          gone: FastCheck.array(counter, { maxLength: 3 })
        },
        { requiredKeys: ["type", "from"] }
      )
    )
    FastCheck.assert(
      FastCheck.property(FastCheck.array(frame, { maxLength: 20 }), (frames) => {
        for (const value of frames) cluster.receive(value, 0)
        let members = 0
        for (const state of cluster.states) members += state.members
        assert.strictEqual(cluster.size, members)
        for (const room of ["red", "__proto__"]) assert.isAtMost(connections(room), members)
      }),
      { numRuns: count(5_000, 500) }
    )
    cluster.receive({ type: "bye", from: "b" }, 0)
    cluster.receive({ type: "bye", from: "c" }, 0)
    cluster.receive({ type: "bye", from: "*" }, 0)
    assert.strictEqual(cluster.size, 0)
    assert.deepStrictEqual([connections("red"), connections("__proto__")], [0, 0])
  })
})
