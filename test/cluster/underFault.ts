/**
 * A cluster under one fault. The first node counts aloud to everybody, the second fetches all sockets and counts the servers four times
 * a second, the third is the victim of what befalls nodes; each has a client. What is lost, held up or refused, and for how long?
 */
import { monitorEventLoopDelay } from "node:perf_hooks"

import { until } from "../support/redisServer.ts"
import type { NodeStatus } from "./control.ts"
import {
  type AdapterName,
  type Client,
  type Cluster,
  type Environment,
  type Kind,
  type Node,
  startClient,
  startCluster
} from "./nodes.ts"
import { type Stalls, watchStalls, without } from "./stalls.ts"
import { type Fault, type FaultName, faults, type Target } from "./strikes.ts"
import { sleep } from "./wire.ts"

/** Times in milliseconds. */
export interface Scenario {
  readonly adapter: AdapterName
  readonly fault: FaultName
  /** Between the strike and the healing, of faults that heal. */
  readonly for?: number
  readonly hz?: number
  /** The size of what is sent with each number. */
  readonly pad?: number
  readonly before?: number
  readonly after?: number
  readonly masters?: number
  readonly env?: Environment
}

export interface HeardByClient {
  readonly arrived: number
  readonly lost: number
  /** The longest time without a number. */
  readonly silenceMs: number
  /** The longest time between sending and arrival. */
  readonly latestMs: number
  readonly disordered: number
  readonly repeated: number
  readonly gone: string | undefined
}

export interface FaultReport {
  readonly kind: Kind
  readonly adapter: AdapterName
  readonly fault: FaultName
  readonly sent: number
  /** Of the publishing node itself. */
  readonly own: HeardByClient
  readonly far: HeardByClient
  readonly victim: HeardByClient
  /** How many numbers the clients of surviving nodes have missed of which no node has counted. */
  readonly lostInSilence: number
  /** Nodes that have ended though nobody ended them, with what they said. */
  readonly crashes: ReadonlyArray<string>
  readonly fetches: {
    readonly asked: number
    readonly failed: number
    readonly errors: ReadonlyArray<string>
    readonly longestMs: number
    /** The longest time that one took after the victim had ended; without an end, the longest of all. */
    readonly afterEndMs: number
    /** The longest of those that have to do with no fault: before the strike, or a second after it. */
    readonly calmMs: number
    /** Of those that told that servers are missing: how many, and the fewest sockets. */
    readonly incomplete: number
    readonly fewestIncomplete: number | undefined
    /** The fewest sockets of those that told nothing. */
    readonly fewest: number | undefined
  }
  /** The numbers of servers as they changed: at how many milliseconds after the strike. */
  readonly counts: ReadonlyArray<{ readonly count: number; readonly at: number }>
  readonly statuses: ReadonlyArray<NodeStatus>
  /** The longest delays of the process that measures and of the nodes: on a busy machine figures are no better than that. */
  readonly delayMs: number
  /** The most processor time that one turn of the publishing node's event loop took. */
  readonly turnMs: number
  /** The longest silence of its own client, less the time for which it and the process that measures got no processor. */
  readonly pauseMs: number
}

interface Arrival {
  readonly n: number
  readonly now: number
  readonly late: number
}

interface Fetch {
  readonly at: number
  readonly ms: number
  readonly sockets?: number
  readonly missing?: number
  readonly error?: string
}

/** The numbers of a count that a client hears. */
const watch = ({ socket }: Client, id: string) => {
  const arrivals: Array<Arrival> = []
  const onTick = (tick: { readonly id: string; readonly at: number; readonly n: number }) => {
    const now = Date.now()
    if (tick.id === id) arrivals.push({ n: tick.n, now, late: now - tick.at })
  }
  socket.on("tick", onTick)
  return { arrivals, stop: () => socket.off("tick", onTick) }
}

const heardOf = ({ gone }: Client, arrivals: ReadonlyArray<Arrival>, sent: number): HeardByClient => {
  const numbers = new Set(arrivals.map(({ n }) => n))
  const max = (values: ReadonlyArray<number>) => values.reduce((a, b) => Math.max(a, b), 0)
  return {
    arrived: numbers.size,
    lost: arrivals.length === 0 ? sent : sent - arrivals[0]!.n + 1 - numbers.size,
    silenceMs: max(arrivals.slice(1).map(({ now }, i) => now - arrivals[i]!.now)),
    latestMs: max(arrivals.map(({ late }) => late)),
    disordered: arrivals.filter(({ n }, i) => i > 0 && n < arrivals[i - 1]!.n).length,
    repeated: arrivals.length - numbers.size,
    gone
  }
}

const least = (values: ReadonlyArray<number>): number | undefined =>
  values.length === 0 ? undefined : values.reduce((a, b) => Math.min(a, b))

/** A cluster of three nodes, each with a client: for one fault, or for several in turn. */
export interface Subject {
  readonly kind: Kind
  readonly adapter: AdapterName
  readonly cluster: Cluster
  readonly clients: ReadonlyArray<Client>
  stop(): Promise<void>
}

export const startSubject = async (
  kind: Kind,
  { adapter, env = {}, masters = 0 }: Pick<Scenario, "adapter" | "env" | "masters">
): Promise<Subject> => {
  const kinds = [kind, kind, kind]
  const cluster = await startCluster({ adapter, kinds, masters, replicas: Math.sign(masters), env, primary: kind })
  const clients: Array<Client> = []
  const stop = async () => {
    for (const { socket } of clients) socket.disconnect()
    await cluster.stop()
  }
  try {
    for (const node of cluster.nodes) clients.push(await startClient(node, { name: node.name }))
  } catch (error) {
    await stop()
    throw error
  }
  return { kind, adapter, cluster, clients, stop }
}

/** The event loops of nodes since the last call: their longest delays, and the turns and stalls of the first one. */
const lagOf = async (nodes: ReadonlyArray<Node>): Promise<Stalls & { readonly lagMs: number }> => {
  const usages = await Promise.all(
    nodes.map((node) => node.call("usage", {}, 5_000).catch(() => ({ lagMs: 0, turnMs: 0, stalls: [] })))
  )
  return { ...usages[0]!, lagMs: Math.max(...usages.map(({ lagMs }) => lagMs)) }
}

const statusesOf = (nodes: ReadonlyArray<Node>): Promise<ReadonlyArray<NodeStatus>> =>
  Promise.all(nodes.map((node) => node.call("status", {}, 5_000).catch((): NodeStatus => ({}))))

/** The counts between two statuses. */
const since = (before: NodeStatus, after: NodeStatus): NodeStatus => {
  const difference: Record<string, number> = {}
  for (const name of ["outages", "lost", "dropped", "refused"] as const) {
    if (after[name] !== undefined) difference[name] = after[name] - (before[name] ?? 0)
  }
  return difference
}

/** So long after a strike that ends a node nothing is left to notice, in milliseconds. */
const CALM_AFTER = 1_000

/** Takes a cluster through a fault. Its count has the fault's name, so each fault is for one time. */
export const strikeSubject = async (
  { adapter, clients, cluster, kind }: Subject,
  { after = 8_000, before = 2_000, fault, for: time = 2_000, hz = 100, pad = 0 }: Omit<Scenario, "adapter">
): Promise<FaultReport> => {
  const { ends, heal, strike }: Fault = faults[fault]
  const { nodes } = cluster
  const [publisher, asker, victim] = [nodes[0]!, nodes[1]!, nodes[2]!]
  const watches = clients.map((client) => watch(client, fault))
  const arrivals = watches.map((one) => one.arrivals)
  let struck = Infinity
  let asked = 0
  const fetches: Array<Fetch> = []
  const counts: Array<{ readonly count: number; readonly at: number }> = []
  const ask = async (): Promise<void> => {
    asked++
    const begun = Date.now()
    const settle = (result: Partial<Fetch>) => fetches.push({ at: begun - struck, ms: Date.now() - begun, ...result })
    asker.call("fetchSockets", {}, 40_000).then(
      ({ missing = 0, sockets }) => settle({ sockets: sockets.length, missing }),
      (error: unknown) => settle({ error: error instanceof Error ? error.message : String(error) })
    )
    void asker
      .call("serverCount", {}, 40_000)
      .then(({ count }) => counts.at(-1)?.count !== count && counts.push({ count, at: begun - struck }))
      .catch(() => {})
    // The question leaves at the end of a turn at the latest: after the first answer, and before the second one.
    for (let turn = 0; turn < 2; turn++) await statusesOf([asker])
  }
  // A process that is killed needs its turns to end, too.
  let endedAt = -Infinity
  void victim.ended.then(() => (endedAt = Date.now()))
  const statusesBefore = await statusesOf(nodes)
  const delay = monitorEventLoopDelay({ resolution: 10 })
  // Delays count from the first number on.
  await lagOf(nodes)
  delay.enable()
  const watching = watchStalls()
  await publisher.call("ticker", { id: fault, hz, pad: "x".repeat(pad) })
  await until("the first numbers", () => arrivals.every(({ length }) => length > 0) || undefined)
  const asking = setInterval(() => void ask(), 250)
  try {
    await sleep(before)
    const target: Target = { adapter, cluster, victim: 2, ask }
    struck = Date.now()
    await strike(target)
    if (heal !== undefined) {
      await sleep(time)
      await heal(target)
    }
    await sleep(after)
  } finally {
    clearInterval(asking)
  }
  const last = await publisher.call("ticker", { id: fault }).catch(() => undefined)
  await until("the last fetch", () => fetches.length === asked || undefined, { timeout: 45_000 }).catch(() => {})
  // Messages that are under way may still come.
  await sleep(500)
  // Of a publisher that has ended, what its own client has heard.
  const sent = last?.sent ?? arrivals[0]!.reduce((max, { n }) => Math.max(max, n), 0)
  const { lagMs, stalls, turnMs } = await lagOf([publisher, asker])
  const allStalls = [...stalls, ...watching.take().stalls]
  watching.stop()
  const delayMs = delay.max / 1e6 + lagMs
  delay.disable()
  const heard = clients.map((client, index) => heardOf(client, arrivals[index]!, sent))
  for (const { stop } of watches) stop()
  const statuses = (await statusesOf(nodes)).map((status, index) => since(statusesBefore[index]!, status))
  const counted = (index: number): number => (statuses[index]!.lost ?? 0) + (statuses[0]!.dropped ?? 0)
  const survivors = ends === true ? [1] : [1, 2]
  const crashed = nodes.filter((node) => node.exit !== undefined && (node !== victim || ends !== true))
  const failed = fetches.filter(({ error }) => error !== undefined)
  const incomplete = fetches.filter(({ missing = 0 }) => missing > 0)
  const complete = fetches.filter(({ missing }) => missing === 0)
  const longestOf = (some: ReadonlyArray<Fetch>) => some.reduce((longest, { ms }) => Math.max(longest, ms), 0)
  const socketsOf = (some: ReadonlyArray<Fetch>) => least(some.map(({ sockets }) => sockets!))
  return {
    kind,
    adapter,
    fault,
    sent,
    own: heard[0]!,
    far: heard[1]!,
    victim: heard[2]!,
    lostInSilence: survivors.reduce((sum, index) => sum + Math.max(0, heard[index]!.lost - counted(index)), 0),
    crashes: crashed.map(({ exit, log, name }) => `${name} (${exit}): ${log.slice(-500)}`),
    fetches: {
      asked,
      failed: failed.length,
      errors: [...new Set(failed.map(({ error }) => error!))],
      longestMs: longestOf(fetches),
      afterEndMs: longestOf(fetches.map((one) => ({ ...one, ms: one.ms - Math.max(0, endedAt - struck - one.at) }))),
      calmMs: longestOf(fetches.filter(({ at, ms }) => at + ms < 0 || at >= CALM_AFTER)),
      incomplete: incomplete.length,
      fewestIncomplete: socketsOf(incomplete),
      fewest: socketsOf(complete)
    },
    counts,
    statuses,
    delayMs,
    turnMs,
    pauseMs: arrivals[0]!.reduce(
      (longest, { now }, i, all) => (i === 0 ? 0 : Math.max(longest, without(allStalls, all[i - 1]!.now, now))),
      0
    )
  }
}

/** Takes a new cluster through one fault. */
export const runUnderFault = async (kind: Kind, scenario: Scenario): Promise<FaultReport> => {
  const masters = scenario.masters ?? (scenario.fault.startsWith("master") ? 3 : 0)
  const subject = await startSubject(kind, { ...scenario, masters })
  try {
    return await strikeSubject(subject, scenario)
  } finally {
    await subject.stop()
  }
}
