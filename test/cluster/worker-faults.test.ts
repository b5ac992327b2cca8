/**
 * Workers that are killed, end, or hang, as processes under a primary of this library.
 */
import { afterEach, assert, describe, it } from "@effect/vitest"

import { until } from "../support/redisServer.ts"
import { type Cluster, type Node, startClient, startCluster } from "./nodes.ts"
import { sleep } from "./wire.ts"

/**
 * A killed worker is known to the others within milliseconds. On a busy machine it takes longer; without a primary of this library it
 * takes 10 seconds.
 */
const AT_ONCE = 1_000

let cluster: Cluster | undefined

const start = async (kinds: Parameters<typeof startCluster>[0]["kinds"]): Promise<ReadonlyArray<Node>> => {
  cluster = await startCluster({ adapter: "cluster", kinds, primary: "ours" })
  return cluster.nodes
}

afterEach(async () => {
  await cluster?.stop()
  cluster = undefined
})

const timed = async <A>(promise: Promise<A>): Promise<readonly [value: A, milliseconds: number]> => {
  const begun = performance.now()
  const value = await promise
  return [value, performance.now() - begun]
}

describe("a worker that is killed", { timeout: 60_000 }, () => {
  it("is missing in a question that waits for it, as soon as it is dead", async () => {
    const [asker, other, victim] = (await start(["ours", "ours", "ours"])) as [Node, Node, Node]
    const clients = await Promise.all([asker, other, victim].map((node, n) => startClient(node, { name: `c${n}` })))
    victim.signal("SIGSTOP")
    const fetching = asker.call("fetchSockets", {})
    const asking = asker.call("serverSideEmitWithAck", { event: "ask", args: [1] })
    await sleep(200)
    const killing = victim.kill()
    const [{ missing, sockets }, duration] = await timed(fetching)
    assert.isBelow(duration, AT_ONCE)
    assert.strictEqual(missing, 1)
    assert.lengthOf(sockets, 2)
    const { error, responses } = await asking
    assert.match(error!, /1 server has not answered/)
    assert.lengthOf(responses, 1)
    await killing
    assert.strictEqual((await asker.call("fetchSockets", {})).missing, 0)
    for (const { socket } of clients) socket.disconnect()
  })

  it("is known to official workers, too", async () => {
    const [official, , victim] = (await start(["official", "official", "official"])) as [Node, Node, Node]
    await victim.kill()
    const [, duration] = await timed(
      until("the death", async () => (await official.call("serverCount", {})).count === 2 || undefined)
    )
    assert.isBelow(duration, AT_ONCE)
    assert.lengthOf((await official.call("fetchSockets", {})).sockets, 0)
  })
})

describe("a worker that ends in good order", { timeout: 60_000 }, () => {
  it("is missing nowhere", async () => {
    const [asker, , leaver] = (await start(["ours", "official", "ours"])) as [Node, Node, Node]
    const questions = async () => {
      let missing = 0
      while (leaver.exit === undefined) missing += (await asker.call("fetchSockets", {})).missing!
      return missing
    }
    const missing = questions()
    leaver.signal("SIGTERM")
    assert.strictEqual(await missing, 0)
    assert.deepStrictEqual(await asker.call("serverCount", {}), { count: 2 })
  })
})

describe("a worker that hangs", { timeout: 60_000 }, () => {
  it("is missing in questions meanwhile, and misses nothing itself", async () => {
    const [asker, hung] = (await start(["ours", "ours"])) as [Node, Node]
    const client = await startClient(hung, { name: "c" })
    hung.signal("SIGSTOP")
    const [{ missing }, duration] = await timed(asker.call("fetchSockets", {}))
    assert.strictEqual(missing, 1)
    assert.isBelow(duration, 4_500)
    await asker.call("flood", { event: "n", count: 500, perTurn: 10, pad: "x".repeat(1_000) })
    hung.signal("SIGCONT")
    await until("all messages", () => client.heard.length === 500 || undefined, { timeout: 10_000 })
    assert.deepStrictEqual(
      client.heard.map(([, { n }]) => n),
      Array.from({ length: 500 }, (_, n) => n + 1)
    )
    assert.strictEqual((await asker.call("fetchSockets", {})).missing, 0)
    client.socket.disconnect()
  })
})
