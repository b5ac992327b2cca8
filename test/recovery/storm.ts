/**
 * Clients that are cut off again and again while every node counts aloud, and nodes that are killed meanwhile. What do clients lose, with
 * and without being told, and how often are they recovered where they could be?
 */
import { setTimeout as pause } from "node:timers/promises"

import { type AdapterName, type Cluster, type Node, startCluster } from "../cluster/nodes.ts"
import { entriesOf, killConnections } from "./stormRedis.ts"
import { type Cut, eventually, type Way } from "./clients.ts"
import { makeRandom } from "./random.ts"
import type { Kind } from "./servers.ts"
import { type Sent, startCounter, type Verdict } from "./tally.ts"

/** Times in milliseconds. */
export interface StormOptions {
  readonly kind: Kind
  readonly adapter: AdapterName
  readonly nodes?: number
  /** Official nodes beside. Every second client stays away from them: their own losses are told apart. */
  readonly officials?: number
  /** Of both kinds: two in three are official ones. */
  readonly clients?: number
  readonly transport?: Way | "both"
  readonly duration: number
  /** Broadcasts of each node in a second. */
  readonly hz?: number
  readonly cuts?: ReadonlyArray<Cut>
  /** The mean time between two cuts of a client. */
  readonly every?: number
  /** The longest time without a connection. */
  readonly down?: number
  /** Clients come back to any node. */
  readonly hop?: boolean
  /** A node is killed and replaced every so often; 0: never. */
  readonly kill?: number
  /** Some connections of Redis are killed every so often, whosever they are; 0: never. */
  readonly strike?: number
  readonly seed?: number
  readonly maxDisconnection?: number
  readonly env?: Readonly<Record<string, string>>
}

export interface Outcome {
  recovered: number
  refused: number
}

/**
 * Its figures are those of the nodes of the kind, and of the clients that were nowhere else. What never came into the log of the servers
 * is not among what was lost.
 */
export interface StormReport extends Verdict {
  readonly kind: Kind
  readonly adapter: AdapterName
  /** The clients that have lost something in silence. */
  readonly clientsThatLost: number
  /** How each of them did. */
  readonly losers: ReadonlyArray<Loser>
  /** Of the clients that were also at official nodes. */
  readonly atOfficials: Verdict
  /** The numbers that never came into the log, those that the nodes have counted as dropped, and the connections of Redis that were killed. */
  readonly unlogged: number
  readonly dropped: number
  readonly struck: number
  /** The cuts by how the client was cut, and where it came back. */
  readonly outcomes: Readonly<Record<string, Outcome>>
  /** Those after which the client could be recovered: the session is where the client came back. */
  readonly recoverable: Outcome
}

/** A client that has lost something in silence. */
export interface Loser {
  readonly client: number
  /** What it has lost between numbers that it has heard, and after all of them. */
  readonly between: number
  readonly after: number
  /** Whether it was connected in the end. If it was not, nothing has told it that it was recovered. */
  readonly isConnected: boolean
  /** For each of its connections whether it was recovered. */
  readonly comings: ReadonlyArray<boolean>
}

/** Whether sessions are where every node finds them, and survive their nodes. */
const keepsSessions = (adapter: AdapterName): boolean => adapter === "streams"

export const runStorm = async ({
  adapter,
  clients: number = 12,
  cuts = ["reset", "close", "stall"],
  down = 800,
  duration,
  env = {},
  every = 1_500,
  hop = false,
  hz = 50,
  kill = 0,
  kind,
  maxDisconnection = 30_000,
  nodes = adapter === "memory" ? 1 : 3,
  officials = 0,
  seed = 1,
  strike = 0,
  transport = "websocket"
}: StormOptions): Promise<StormReport> => {
  const { below, next, pick } = makeRandom(seed)
  const cluster: Cluster = await startCluster({
    adapter,
    kinds: [
      ...Array.from({ length: nodes }, () => kind),
      ...Array.from({ length: officials }, () => "official" as const)
    ],
    env: { RECOVERY_MS: String(maxDisconnection), PING_INTERVAL: "2000", PING_TIMEOUT: "1500", ...env }
  })
  const alive = (): ReadonlyArray<Node> => cluster.nodes.filter(({ exit }) => exit === undefined)
  /** The one that is being killed. */
  let doomed: Node | undefined
  const usable = (): ReadonlyArray<Node> => alive().filter((node) => node !== doomed)
  /** Whether a client keeps to the nodes of the kind. */
  const keepsTo = (index: number): boolean => officials > 0 && index % 2 === 0
  const goesTo = (index: number) => (node: Node) => !keepsTo(index) || node.kind === kind
  const outcomes: Record<string, Outcome> = {}
  const recoverable: Outcome = { recovered: 0, refused: 0 }
  const count = (node: Node) => node.call("ticker", { id: node.name, to: ["all"], hz })

  const ways = (index: number): ReadonlyArray<Way> =>
    transport === "both" ? [index % 2 === 0 ? "websocket" : "polling"] : [transport]

  const begin = async (index: number) => {
    const node = pick(alive().filter(goesTo(index)))
    const counter = await startCounter(index % 3 === 2 ? "ours" : "official", node.ready.port, {
      rooms: ["all"],
      transports: ways(index)
    })
    return { ...counter, node, index }
  }

  const killed = Promise.withResolvers<void>()
  const later: Array<() => void> = []
  const over = new AbortController()
  const isOver = () => over.signal.aborted

  /** One client's life. Gives how it comes back if its connection has ended since. */
  const live = async ({ client, index, node: first }: Awaited<ReturnType<typeof begin>>) => {
    let node: Node | undefined = first
    const backToLast = async () => {
      if (client.connected) return
      // Its node may have been killed while it came back.
      if (node?.exit !== undefined) node = pick(usable().filter(goesTo(index)))
      await client.back(() => void (client.relay.target = node!.ready.port))
    }
    while (!isOver()) {
      const until = performance.now() + next() * 2 * every
      // Ends early if its node is killed.
      while (performance.now() < until && client.connected && !isOver()) await pause(20)
      // The last kill may come after the end.
      if (isOver()) await killed.promise
      if (isOver() && client.connected && node?.exit === undefined) return backToLast
      const how = pick(cuts)
      later.push(await client.cut(how))
      const before: Node | undefined = node
      await pause(below(down))
      const isKilled = () => before!.exit !== undefined || before === doomed
      const recovered = await client.back(() => {
        const candidates = usable().filter(goesTo(index))
        node = !hop && !isKilled() ? before : candidates.length === 0 ? undefined : pick(candidates)
        if (node !== undefined) client.relay.target = node.ready.port
      })
      const isElsewhere = node !== before
      const name = isKilled() ? "node killed" : how + (isElsewhere ? ", then another node" : "")
      const outcome = (outcomes[name] ??= { recovered: 0, refused: 0 })
      const result = recovered ? "recovered" : "refused"
      outcome[result]++
      const isOurs = officials === 0 || keepsTo(index)
      if (isOurs && (!isElsewhere || keepsSessions(adapter))) recoverable[result]++
    }
    return backToLast
  }

  const killNodes = async () => {
    if (kill === 0) return
    for (let left = duration - kill; left > 0; left -= kill) {
      await pause(kill)
      if (isOver()) return
      doomed = pick(alive())
      await doomed.kill()
      await count(await cluster.start(doomed.kind))
    }
  }

  let struck = 0
  /** So often as the time has room for, also on a busy machine: the storm goes on until then. */
  const strikeRedis = async () => {
    for (let left = strike === 0 ? 0 : Math.floor(duration / strike) - 1; left > 0; left--) {
      await pause(strike)
      struck += await killConnections(cluster.redis!, next)
    }
  }

  try {
    const all = await Promise.all(Array.from({ length: number }, (_, index) => begin(index)))
    await Promise.all(alive().map(count))
    await eventually("the first numbers", () => all.every(({ tally }) => tally.heard.size > 0))
    const strikes = strikeRedis()
    // Whoever waits for the lives hears of an error.
    const end = () => void strikes.catch(() => {}).finally(() => over.abort())
    const timer = setTimeout(end, duration)
    // Servers that were not told of a cut hear of it late.
    const telling = setInterval(() => {
      for (const finish of later.splice(0, Math.max(0, later.length - number))) finish()
    }, 500)
    let comeBack: ReadonlyArray<() => Promise<void>>
    try {
      const lives = Promise.all(all.map(live))
      await Promise.all([killNodes().finally(killed.resolve), strikes, lives])
      comeBack = await lives
    } finally {
      clearTimeout(timer)
      clearInterval(telling)
      over.abort()
    }
    const sent: Sent & Map<string, number> = new Map()
    for (const node of cluster.nodes) {
      if (node.kind !== kind) {
        if (node.exit === undefined) await node.call("ticker", { id: node.name })
        continue
      }
      const counted = node.exit === undefined ? (await node.call("ticker", { id: node.name })).sent : undefined
      // Of a node that has ended: what somebody has heard.
      const heard = Math.max(0, ...all.map(({ tally }) => tally.heard.get(node.name) ?? 0))
      if ((counted ?? heard) > 0) sent.set(node.name, counted ?? heard)
    }
    const droppedSoFar = async () => {
      const nodes = cluster.nodes.filter((node) => node.kind === kind && node.exit === undefined)
      const statuses = await Promise.all(nodes.map((node) => node.call("status")))
      return statuses.reduce((sum, { dropped = 0 }) => sum + dropped, 0)
    }
    // Without a log, everything counts that was sent.
    let logged = strike > 0 ? await entriesOf(cluster.redis!) : undefined
    const wasSent = (id: string, n: number) => logged === undefined || logged.get(id)?.has(n) === true
    const missing = () => {
      let count = 0
      for (const [id, last] of sent) for (let n = 1; n <= last; n++) if (!wasSent(id, n)) count++
      return count
    }
    let unlogged = missing()
    let dropped = await droppedSoFar()
    // A node whose connection was killed at the end has events that wait for the next one.
    for (const end = performance.now() + 5_000; unlogged > dropped && performance.now() < end;) {
      await pause(50)
      logged = await entriesOf(cluster.redis!)
      unlogged = missing()
      dropped = await droppedSoFar()
    }
    // On a busy machine, a heartbeat may end a connection that nobody cuts any more. A client that is away has not been told that it has
    // missed nothing: only when it is back.
    await Promise.all(comeBack.map((back) => back()))
    await eventually("the last numbers", () => all.every(({ tally }) => tally.hasAll(sent)), 3_000).catch(() => {})
    const judge = (isOurs: boolean) => {
      const those = all.filter(({ index }) => (officials === 0 || keepsTo(index)) === isOurs)
      return those.map(({ client, index, tally }) => ({ client, index, verdict: tally.verdict(sent, wasSent) }))
    }
    const judged = judge(true)
    const losers = judged.flatMap(({ client: { comings, connected }, index, verdict: { lostInSilence, lostSince } }) =>
      lostInSilence === 0
        ? []
        : [{ client: index, between: lostInSilence - lostSince, after: lostSince, isConnected: connected, comings }]
    )
    await Promise.all(all.map(({ client }) => client.end()))
    return {
      kind,
      adapter,
      ...sumOf(judged),
      clientsThatLost: losers.length,
      losers,
      atOfficials: sumOf(judge(false)),
      unlogged,
      dropped,
      struck,
      outcomes,
      recoverable
    }
  } finally {
    await cluster.stop()
  }
}

const sumOf = (judged: ReadonlyArray<{ readonly verdict: Verdict }>): Verdict => {
  const sum = (name: keyof Verdict) => judged.reduce((total, { verdict }) => total + verdict[name], 0)
  return {
    received: sum("received"),
    lost: sum("lost"),
    lostInSilence: sum("lostInSilence"),
    lostSince: sum("lostSince"),
    duplicates: sum("duplicates"),
    disordered: sum("disordered"),
    contradictions: sum("contradictions")
  }
}
