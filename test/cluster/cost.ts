/**
 * The cost of a broadcast for the node that sends it and a node that gets it, of official nodes and this library's in turn:
 *
 *     node test/cluster/cost.ts --adapter redis,sharded,streams --rounds 5
 *     node test/cluster/cost.ts --adapter redis --growth
 *
 * With `--growth`: one, two and three nodes under growing load. It prints tables; `--json` appends all figures to a file.
 */
import { appendFileSync } from "node:fs"
import { parseArgs } from "node:util"

import { until } from "../support/redisServer.ts"
import { LightClient } from "./lightClient.ts"
import { type AdapterName, type Cluster, type Environment, type Kind, type Node, startCluster } from "./nodes.ts"
import { sleep } from "./wire.ts"

const { values } = parseArgs({
  options: {
    adapter: { type: "string", default: "redis,sharded,streams" },
    kinds: { type: "string", default: "official,ours" },
    rounds: { type: "string", default: "5" },
    count: { type: "string", default: "20000" },
    "per-turn": { type: "string", default: "10" },
    bytes: { type: "string", default: "100" },
    masters: { type: "string", default: "0" },
    env: { type: "string", default: "{}" },
    growth: { type: "boolean", default: false },
    rates: { type: "string", default: "1000,2000,5000,10000,20000" },
    json: { type: "string" }
  }
})

const kinds = values.kinds.split(",") as Array<Kind>
const adapters = values.adapter.split(",") as Array<AdapterName>
const env = JSON.parse(values.env) as Environment
const pad = "x".repeat(Number(values.bytes))
const perTurn = Number(values["per-turn"])

const record = (line: unknown): void => {
  if (values.json !== undefined) appendFileSync(values.json, `${JSON.stringify(line)}\n`)
}

const median = (numbers: ReadonlyArray<number>): number => {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted.length === 0 ? NaN : sorted[Math.floor(sorted.length / 2)]!
}

/** Processor time so far, in microseconds. */
const cpuOf = async (node: Node): Promise<number> => {
  const { system, user } = await node.call("usage")
  return user + system
}

// ---------------------------------------------------------------- per broadcast

/** Rooms by their members at the receiver. */
const rooms = [
  { room: "one", members: 1, share: 1 },
  { room: "ten", members: 10, share: 0.5 },
  { room: "hundred", members: 100, share: 0.1 },
  { room: "unknown", members: 0, share: 1 }
] as const

interface Bench {
  readonly kind: Kind
  readonly cluster: Cluster
  readonly clients: ReadonlyArray<LightClient>
}

/** A publisher without members, and a receiver. */
const open = async (kind: Kind, adapter: AdapterName): Promise<Bench> => {
  const alone = adapter === "memory"
  const cluster = await startCluster({
    adapter,
    kinds: alone ? [kind] : [kind, kind],
    masters: Number(values.masters),
    env,
    primary: kind
  })
  const receiver = cluster.nodes.at(-1)!
  const clients: Array<LightClient> = []
  for (let n = 0; n < 100; n++) {
    const joined = rooms.filter(({ members }) => n < members).map(({ room }) => room)
    clients.push(await LightClient.connect(receiver, ["all", ...joined]))
  }
  return { kind, cluster, clients }
}

interface Cost {
  /** Microseconds of processor time for a broadcast. */
  readonly publisher: number
  readonly receiver: number
}

/** The cost of a broadcast without other nodes: to nobody, and to one client of the same node. */
const floodLocally = async ({ clients, cluster }: Bench, count: number): Promise<Cost> => {
  const [publisher, receiver] = [cluster.nodes[0]!, cluster.nodes.at(-1)!]
  const input = { local: true, count, perTurn, pad }
  const before = await cpuOf(publisher)
  await publisher.call("flood", { ...input, to: ["unknown"] }, 120_000)
  const toNobody = (await cpuOf(publisher)) - before
  const client = clients[0]!
  const due = client.heard + count
  const receiverBefore = await cpuOf(receiver)
  await receiver.call("flood", { ...input, to: ["one"] }, 120_000)
  await until("the flood to arrive", () => client.heard >= due || undefined, { timeout: 60_000 })
  return { publisher: toNobody / count, receiver: ((await cpuOf(receiver)) - receiverBefore) / count }
}

/** Floods a room, until all of it has come. */
const flood = async (
  { clients, cluster }: Bench,
  { members, room }: (typeof rooms)[number],
  count: number
): Promise<Cost> => {
  const publisher = cluster.nodes[0]!
  const receiver = cluster.nodes.at(-1)!
  const before = clients.map(({ heard }) => heard)
  const [publisherBefore, receiverBefore] = [await cpuOf(publisher), await cpuOf(receiver)]
  await publisher.call("flood", { to: [room], count, perTurn, pad }, 120_000)
  // The last word to all shows that the receiver has come to the end also where nobody is in the room.
  await publisher.call("emit", { event: "end", to: ["all", room] })
  const isComplete = () =>
    clients.every(({ heard }, index) => heard - before[index]! >= (index < members ? count + 1 : 1)) || undefined
  await until("the flood to arrive", isComplete, { timeout: 60_000, every: 20 })
  return {
    publisher: ((await cpuOf(publisher)) - publisherBefore) / count,
    receiver: ((await cpuOf(receiver)) - receiverBefore) / count
  }
}

const compare = async (adapter: AdapterName): Promise<void> => {
  const benches: Array<Bench> = []
  try {
    for (const kind of kinds) benches.push(await open(kind, adapter))
    const costs = new Map<string, Array<Cost>>()
    const keep = (bench: Bench, room: string, round: number, cost: Cost): void => {
      record({ adapter, kind: bench.kind, room, round, ...cost })
      const key = `${bench.kind} ${room}`
      costs.set(key, [...(costs.get(key) ?? []), cost])
    }
    for (const bench of benches) await flood(bench, rooms[0], 5_000)
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const bench of benches) keep(bench, "local", round, await floodLocally(bench, Number(values.count)))
      for (const row of rooms) {
        for (const bench of benches) {
          keep(bench, row.room, round, await flood(bench, row, Math.round(Number(values.count) * row.share)))
        }
      }
    }
    const of = (kind: Kind, room: string, side: keyof Cost): ReadonlyArray<number> =>
      costs.get(`${kind} ${room}`)!.map((cost) => cost[side])
    /** The addition of a cluster to the cost of the same broadcast on one node. */
    const added = (kind: Kind, side: keyof Cost): ReadonlyArray<number> =>
      of(kind, "one", side).map((cost, round) => cost - of(kind, "local", side)[round]!)
    const columnsOf = (kind: Kind): ReadonlyArray<ReadonlyArray<number>> => [
      of(kind, "local", "publisher"),
      of(kind, "one", "publisher"),
      added(kind, "publisher"),
      of(kind, "local", "receiver"),
      of(kind, "one", "receiver"),
      added(kind, "receiver"),
      ...["ten", "hundred", "unknown"].map((room) => of(kind, room, "receiver"))
    ]
    for (const kind of kinds) {
      const cells = columnsOf(kind).map((column) => median(column).toFixed(1))
      console.log(`| ${adapter} | ${kind} | ${cells.join(" | ")} |`)
    }
    if (kinds.length !== 2) return
    // Of runs side by side, as the machine's speed changes meanwhile.
    const [first, second] = kinds.map(columnsOf)
    const ratios = second!.map((column, index) => median(column.map((cost, round) => cost / first![index]![round]!)))
    console.log(`| ${adapter} | ratio | ${ratios.map((ratio) => `× ${ratio.toFixed(2)}`).join(" | ")} |`)
  } finally {
    await close(benches)
  }
}

const close = async (benches: ReadonlyArray<Bench>): Promise<void> => {
  for (const { clients, cluster } of benches) {
    for (const client of clients) client.close()
    await cluster.stop()
  }
}

// ---------------------------------------------------------------- under growing load

const SECONDS = 3

/** Nodes take equal parts of the load; every node has a member of the room, so each broadcast has as many deliveries as there are nodes. */
const grow = async (adapter: AdapterName, size: number): Promise<void> => {
  const benches: Array<Bench> = []
  try {
    for (const kind of kinds) {
      const cluster = await startCluster({
        adapter,
        kinds: Array.from({ length: size }, () => kind),
        masters: Number(values.masters),
        env,
        primary: kind
      })
      const clients: Array<LightClient> = []
      benches.push({ kind, cluster, clients })
      for (const node of cluster.nodes) clients.push(await LightClient.connect(node, ["room"], true))
    }
    for (const rate of values.rates.split(",").map(Number)) {
      for (const { clients, cluster, kind } of benches) {
        const { nodes } = cluster
        const each = Math.round(rate / size)
        const id = `${rate}`
        const ticker = { id, to: ["room"], pad }
        for (const client of clients) {
          client.heard = 0
          client.delays.length = 0
        }
        const before = await Promise.all(nodes.map(cpuOf))
        await Promise.all(nodes.map((node) => node.call("ticker", { ...ticker, hz: each })))
        await sleep(SECONDS * 1000)
        const sents = await Promise.all(nodes.map((node) => node.call("ticker", { ...ticker, hz: 0 })))
        const sent = sents.reduce((sum, { sent = 0 }) => sum + sent, 0)
        await until("the rest", () => clients.every(({ heard }) => heard >= sent) || undefined, {
          timeout: 10_000
        }).catch(() => {})
        const after = await Promise.all(nodes.map(cpuOf))
        const cpu = after.map((time, index) => (time - before[index]!) / (SECONDS * 1e4))
        const heard = clients.reduce((sum, client) => sum + client.heard, 0)
        const delays = clients.flatMap(({ delays }) => delays).toSorted((a, b) => a - b)
        const at = (share: number) => delays[Math.floor(delays.length * share)] ?? NaN
        const line = { adapter, kind, size, rate, sent, heard, cpu, p50: at(0.5), p99: at(0.99) }
        record(line)
        const percent = cpu.map((share) => `${share.toFixed(0)} %`).join(", ")
        const lost = sent * size - heard
        console.log(
          `| ${adapter} | ${size} | ${rate} | ${kind} | ${percent} | ${line.p50} | ${line.p99} | ${lost === 0 ? "0" : lost} |`
        )
      }
    }
  } finally {
    await close(benches)
  }
}

if (values.growth) {
  console.log("| adapter | nodes | broadcasts/s | kind | processor of each node | delay, median, ms | 99 % | lost |")
  console.log("|---|---|---|---|---|---|---|---|")
  for (const adapter of adapters) for (const size of [1, 2, 3]) await grow(adapter, size)
} else {
  console.log(`µs of processor time for a broadcast of ${pad.length} bytes to a room, ${perTurn} in each turn\n`)
  const columns = [
    "publisher alone",
    "publisher",
    "added",
    "receiver alone",
    "receiver",
    "added",
    "10 members",
    "100",
    "room unknown"
  ]
  console.log(`| adapter | kind | ${columns.join(" | ")} |\n|---|---|${"---|".repeat(columns.length)}`)
  for (const adapter of adapters) await compare(adapter)
}
