/**
 * A cluster under one fault. The first node counts aloud to everybody, the second fetches all sockets and counts the servers four times
 * a second, the third is the victim of what befalls nodes; each has a client. What is lost, held up or refused, and for how long?
 */
import { monitorEventLoopDelay } from "node:perf_hooks"

import { until } from "../support/redisServer.ts"
import type { NodeStatus } from "./control.ts"
import { type AdapterName, type Client, type Environment, type Kind, startClient, startCluster } from "./nodes.ts"
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
    /** Of those that told that servers are missing: how many, and the fewest sockets. */
    readonly incomplete: number
    readonly fewestIncomplete: number | undefined
    /** The fewest sockets of those that told nothing. */
    readonly fewest: number | undefined
  }
  /** The numbers of servers as they changed: at how many milliseconds after the strike. */
  readonly counts: ReadonlyArray<{ readonly count: number; readonly at: number }>
  readonly statuses: ReadonlyArray<NodeStatus>
  /** The longest delay of the process that measures: figures are no better than that. */
  readonly delayMs: number
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

const watch = (client: Client): Array<Arrival> => {
  const arrivals: Array<Arrival> = []
  client.socket.on("tick", ({ at, n }) => {
    const now = Date.now()
    arrivals.push({ n, now, late: now - at })
  })
  return arrivals
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

/** Runs a cluster of three nodes of a kind through a fault. */
export const runUnderFault = async (kind: Kind, scenario: Scenario): Promise<FaultReport> => {
  const { adapter, after = 8_000, before = 2_000, env = {}, fault, hz = 100, pad = 0 } = scenario
  const masters = scenario.masters ?? (fault.startsWith("master") ? 3 : 0)
  const { ends, heal, strike }: Fault = faults[fault]
  const cluster = await startCluster({
    adapter,
    kinds: [kind, kind, kind],
    masters,
    replicas: masters > 0 ? 1 : 0,
    env,
    primary: kind
  })
  const [publisher, asker, victim] = cluster.nodes
  const clients: Array<Client> = []
  const delay = monitorEventLoopDelay({ resolution: 10 })
  let asking: NodeJS.Timeout | undefined
  try {
    for (const node of cluster.nodes) clients.push(await startClient(node, { name: node.name }))
    const arrivals = clients.map(watch)
    let struck = Infinity
    let asked = 0
    const fetches: Array<Fetch> = []
    const counts: Array<{ readonly count: number; readonly at: number }> = []
    const ask = () => {
      asked++
      const begun = Date.now()
      const settle = (result: Partial<Fetch>) => fetches.push({ at: begun - struck, ms: Date.now() - begun, ...result })
      asker!.call("fetchSockets", {}, 40_000).then(
        ({ missing = 0, sockets }) => settle({ sockets: sockets.length, missing }),
        (error: unknown) => settle({ error: error instanceof Error ? error.message : String(error) })
      )
      void asker!
        .call("serverCount", {}, 40_000)
        .then(({ count }) => counts.at(-1)?.count !== count && counts.push({ count, at: begun - struck }))
        .catch(() => {})
    }
    await publisher!.call("ticker", { id: "count", hz, pad: "x".repeat(pad) })
    await sleep(500)
    delay.enable()
    asking = setInterval(ask, 250)
    await sleep(before)
    const target: Target = { adapter, cluster, victim: 2, ask }
    struck = Date.now()
    await strike(target)
    if (heal !== undefined) {
      await sleep(scenario.for ?? 2_000)
      await heal(target)
    }
    await sleep(after)
    clearInterval(asking)
    const last = await publisher!.call("ticker", { id: "count" }).catch(() => undefined)
    await until("the last fetch", () => fetches.length === asked || undefined, { timeout: 45_000 }).catch(() => {})
    // What is under way may still come.
    await sleep(500)
    // Of a publisher that has ended, what its own client has heard.
    const sent = last?.sent ?? arrivals[0]!.reduce((max, { n }) => Math.max(max, n), 0)
    const delayMs = delay.max / 1e6
    const heard = clients.map((client, index) => heardOf(client, arrivals[index]!, sent))
    const statuses = await Promise.all(
      cluster.nodes.map((node) => node.call("status", {}, 2_000).catch((): NodeStatus => ({})))
    )
    const counted = (index: number): number => (statuses[index]!.lost ?? 0) + (statuses[0]!.dropped ?? 0)
    const survivors = ends === true ? [1] : [1, 2]
    const crashed = cluster.nodes.filter((node) => node.exit !== undefined && (node !== victim || ends !== true))
    const failed = fetches.filter(({ error }) => error !== undefined)
    const incomplete = fetches.filter(({ missing = 0 }) => missing > 0)
    const complete = fetches.filter(({ missing }) => missing === 0)
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
        longestMs: fetches.reduce((longest, { ms }) => Math.max(longest, ms), 0),
        incomplete: incomplete.length,
        fewestIncomplete: socketsOf(incomplete),
        fewest: socketsOf(complete)
      },
      counts,
      statuses,
      delayMs
    }
  } finally {
    clearInterval(asking)
    delay.disable()
    for (const { socket } of clients) socket.disconnect()
    await cluster.stop()
  }
}
