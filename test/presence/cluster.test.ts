/**
 * The presence of several servers, over a bus in trouble: partitions, lines that are cut, processes that hang or die.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { Seeded } from "../../src/testing/internal/seeded.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import { count } from "../support/extent.ts"
import * as Bus from "../support/memoryBus.ts"
import { down, follow, forget, listOf, type Node, normal, period, start, type Tracked } from "./nodes.ts"

const rooms = ["red", "blue"]

/** The members that a test has made, as each server must list them. */
class Truth {
  private readonly members = new Map<
    Tracked,
    { readonly node: Node; readonly room: string; readonly key: string; n: number }
  >()

  add(tracked: Tracked, node: Node, room: string, key: string, n: number): void {
    this.members.set(tracked, { node, room, key, n })
  }

  update(tracked: Tracked, n: number): void {
    this.members.get(tracked)!.n = n
  }

  remove(tracked: Tracked): void {
    this.members.delete(tracked)
  }

  of(node: Node): ReadonlyArray<Tracked> {
    return Array.from(this.members).flatMap(([tracked, member]) => (member.node === node ? [tracked] : []))
  }

  list(room: string, nodes: ReadonlyArray<Node>): string {
    const keys = new Map<string, Array<number>>()
    for (const { key, n, node, room: its } of this.members.values()) {
      if (its !== room || !nodes.includes(node)) continue
      const numbers = keys.get(key)
      if (numbers === undefined) keys.set(key, [n])
      else numbers.push(n)
    }
    return normal(keys)
  }
}

/** One random change on a server. */
const change = Effect.fnUntraced(function* (truth: Truth, node: Node, random: Seeded, n: number) {
  const own = truth.of(node)
  const one = own[random.below(Math.max(1, own.length))]
  const kind = random.below(4)
  if (one === undefined || kind < 2) {
    const room = rooms[random.below(2)]!
    const key = `k${random.below(6)}`
    truth.add(yield* node.track(room, key, n), node, room, key, n)
  } else if (kind === 2) {
    truth.update(one, n)
    yield* Effect.orDie(one.update({ n }))
  } else {
    truth.remove(one)
    yield* one.end
  }
})

/** The lists of all servers, and the changes that their readers have followed, are the truth. */
const assertTruth = Effect.fnUntraced(function* (
  truth: Truth,
  nodes: ReadonlyArray<Node>,
  members: ReadonlyArray<Node>,
  when: string
) {
  for (const node of nodes) {
    for (const room of rooms) {
      assert.strictEqual(yield* listOf(node, room), truth.list(room, members), `${node.server.name} ${room} ${when}`)
    }
  }
})

const startThree = Effect.fnUntraced(function* (seed: number) {
  const bus = yield* Bus.make({ seed, latency: [1, 20] })
  const nodes = [yield* start(bus, "a"), yield* start(bus, "b"), yield* start(bus, "c")]
  return { bus, nodes }
})

const partitions = Effect.gen(function* () {
  const { seed } = yield* Simulation.Simulation
  const random = new Seeded(seed, 26)
  const { bus, nodes } = yield* startThree(seed)
  const truth = new Truth()
  const followers = yield* Effect.forEach(nodes, (node) =>
    Effect.map(
      Effect.forEach(rooms, (room) => Effect.map(follow(node, room), (follower) => ({ room, follower }))),
      (each) => ({ node, each })
    )
  )
  for (let round = 0; round < 4; round++) {
    const unlucky = nodes[random.below(3)]!
    const trouble = random.below(4)
    if (trouble === 0) unlucky.server.cut(random.below(2) === 0 ? "keep" : "drop")
    else if (trouble === 1) unlucky.server.pause()
    else if (trouble === 2) {
      const others = nodes.filter((node) => node !== unlucky)
      bus.partition(
        [unlucky.server],
        others.map(({ server }) => server)
      )
    }
    // Shorter than `down`, or longer.
    const until = bus.now + [500, 3_000, 12_000][random.below(3)]!
    for (let n = 0; bus.now < until; n++) {
      const node = nodes[random.below(3)]!
      if (node !== unlucky || trouble !== 1) yield* change(truth, node, random, round * 1_000 + n)
      yield* Effect.sleep(random.below(400))
    }
    for (const { server } of nodes) {
      server.restore()
      server.resume()
    }
    bus.heal()
    yield* Effect.sleep(2 * period)
    yield* assertTruth(truth, nodes, nodes, `after round ${round} with trouble ${trouble}`)
    for (const { online } of nodes) {
      for (const server of yield* online.servers) assert.isTrue(server.isComplete && !server.isDown)
    }
    yield* Effect.sleep(2 * period)
    for (const { each, node } of followers) {
      for (const { follower, room } of each) assert.strictEqual(follower.list, yield* listOf(node, room))
    }
  }
  for (const { each } of followers) {
    for (const { follower } of each) {
      assert.deepStrictEqual(follower.problems, [])
      assert.strictEqual(follower.snapshots, 1)
    }
  }
})

const death = Effect.gen(function* () {
  const { seed } = yield* Simulation.Simulation
  const random = new Seeded(seed, 27)
  const { nodes } = yield* startThree(seed)
  const truth = new Truth()
  for (let n = 0; n < 30; n++) {
    yield* change(truth, nodes[random.below(3)]!, random, n)
    yield* Effect.sleep(random.below(200))
  }
  yield* Effect.sleep(2 * period)
  yield* assertTruth(truth, nodes, nodes, "before a death")
  const [dead, ...alive] = nodes as [Node, ...Array<Node>]
  dead.server.kill()
  yield* Effect.sleep(down - period)
  yield* assertTruth(truth, alive, nodes, "while it may come back")
  const followers = yield* Effect.forEach(alive, (node) => follow(node, "red"))
  yield* Effect.sleep(2 * period)
  yield* assertTruth(truth, alive, alive, "after a death")
  for (const follower of followers) assert.strictEqual(follower.list, truth.list("red", alive))
  yield* Effect.sleep(forget)
  for (const { online } of alive) assert.lengthOf(yield* online.servers, 1)
})

/** A server ends and starts again, and its members are tracked anew: each leaves once, and joins once. */
const restart = (isClean: boolean) =>
  Effect.gen(function* () {
    const { seed } = yield* Simulation.Simulation
    const random = new Seeded(seed, 28)
    const { bus, nodes } = yield* startThree(seed)
    const [first, second] = nodes as [Node, Node]
    const keys = Array.from({ length: 5 }, (_, i) => `k${i}`)
    for (const key of keys) yield* first.track("red", key, 1)
    yield* Effect.sleep(2 * period + random.below(period))
    const follower = yield* follow(second, "red")
    yield* Effect.sleep(100)
    if (isClean) yield* first.stop
    else first.server.kill()
    yield* Effect.sleep(random.below(period))
    const again = yield* start(bus, "a2")
    for (const key of keys) {
      yield* again.track("red", key, 2)
      yield* Effect.sleep(random.below(100))
    }
    yield* Effect.sleep(down + 2 * period)
    assert.strictEqual(yield* listOf(second, "red"), normal(keys.map((key) => [key, [2]])))
    for (const key of keys) {
      assert.strictEqual(follower.joins.get(key), 1, "joins")
      assert.strictEqual(follower.leaves.get(key), 1, "leaves")
    }
    assert.deepStrictEqual(follower.problems, [])
  })

describe("presence on three servers", () => {
  const seeds = count(200, 15)
  it.live(
    "is the same within two periods after partitions, cut lines and pauses",
    () => Simulation.check({ seeds }, partitions),
    60_000
  )

  it.live("has no ghosts of a dead server after down and a period", () => Simulation.check({ seeds }, death), 60_000)

  for (const isClean of [true, false]) {
    it.live(
      `has one leave and one join of a member whose server ${isClean ? "restarts" : "dies and starts again"}`,
      () => Simulation.check({ seeds }, restart(isClean)),
      60_000
    )
  }
})
