/**
 * The faults of a cluster: of its nodes, of Redis, or of the messages that Redis passes on.
 */
import { createClient } from "redis"

import type { RunningRedis } from "../support/redisServer.ts"
import type { AdapterName, Cluster } from "./nodes.ts"

/** A fault, and its end after a while. */
export interface Fault {
  readonly strike: (target: Target) => unknown
  readonly heal?: (target: Target) => unknown
  /** Whether the victim ends. */
  readonly ends?: boolean
}

export interface Target {
  readonly adapter: AdapterName
  readonly cluster: Cluster
  /** The index of the node that is struck, if a node is. */
  readonly victim: number
  /** Has the asking node ask now. Resolves when the question has been sent. */
  readonly ask: () => Promise<void>
}

const victimOf = ({ cluster, victim }: Target) => cluster.nodes[victim]!

const redisOf = ({ cluster }: Target): RunningRedis => cluster.redis!.server

/** In a Redis Cluster: the master that has the main namespace's channel or the stream, and its replica. */
const ownersOf = async ({ adapter, cluster }: Target) => {
  const { server, servers } = cluster.redis!
  const slot = Number(await server.command("cluster", "keyslot", adapter === "streams" ? "socket.io" : "socket.io#/#"))
  const lines = (await server.command("cluster", "nodes")).split("\n").map((line) => line.split(" "))
  const has = (range: string) => {
    const [from, to] = range.split("-")
    return Number(from) <= slot && slot <= Number(to ?? from)
  }
  const master = lines.find(([, , flags, ...rest]) => flags!.includes("master") && rest.slice(5).some(has))!
  const replica = lines.find(([, , , of]) => of === master[0])!
  const serverOf = ([, address]: ReadonlyArray<string>) => servers.find(({ port }) => address!.includes(`:${port}@`))!
  return { master: serverOf(master), replica: serverOf(replica) }
}

const nil = Buffer.from([0xc0])
/** No value of msgpack starts so. */
const never = Buffer.from([0xc1, 0xff])
const text = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

/** Messages that no node can take, as each adapter would get them. */
const sendMalformed = async ({ adapter, cluster }: Target): Promise<void> => {
  const client = await createClient({ url: cluster.redis!.url }).connect()
  try {
    switch (adapter) {
      case "redis": {
        // ["x", {}] without options, a request that is nil, one without options, and one that is no JSON.
        for (const body of [never, nil, Buffer.from([0x92, 0xa1, 0x78, 0x80])])
          await client.publish("socket.io#/#", body)
        const requests = [nil, never, text({ requestId: "x", uid: "x", type: 5 }), text([]), Buffer.from("{")]
        for (const body of requests) await client.publish("socket.io-request#/#", body)
        await client.publish("socket.io-response#/#", nil)
        break
      }
      case "sharded": {
        const bodies = [nil, never, text({ type: 3, uid: "x", nsp: "/" }), text(null), Buffer.from("{")]
        for (const body of bodies) await client.sPublish("socket.io#/#", body)
        break
      }
      case "streams": {
        const data = JSON.stringify({
          packet: { type: 2, data: ["ok"] },
          opts: { rooms: ["nobody"], except: [], flags: {} }
        })
        const fields = { uid: "x", nsp: "/", type: "3" }
        await client.xAdd("socket.io", "*", { ...fields, data })
        await client.xAdd("socket.io", "*", fields)
        await client.xAdd("socket.io", "*", { ...fields, data: "{" })
        for (const body of [nil, never, text({ type: 3, uid: "x", nsp: "/" })])
          await client.publish("socket.io#/#", body)
        break
      }
      default:
        throw new Error(`no malformed messages for the adapter ${adapter}`)
    }
  } finally {
    await client.close()
  }
}

/** Large bodies that are refused late: at their ends, or for what is deep in them. */
const large = (): ReadonlyArray<Buffer> => {
  const open = '{"type":3,"uid":"x","nsp":"/","data":{"packet":{"type":2,"data":["x",'
  const list = (item: string) => Array.from({ length: 100_000 / (item.length + 1) }, () => item).join(",")
  return [
    list("[]"),
    list("{}"),
    list("1.5e-7"),
    list('"\\u00e9"'),
    "[".repeat(90) + list("1") + "]".repeat(89)
  ].flatMap((data) => [
    Buffer.from(`${open}${data}`),
    Buffer.from(`${open}${data}]},"opts":{"rooms":1,"except":[],"flags":{}}}}`)
  ])
}

/** 10 MB of them in a second, until it is told to end. */
const flood = async ({ adapter, cluster }: Target): Promise<() => Promise<void>> => {
  const client = await createClient({ url: cluster.redis!.url })
    .on("error", () => {})
    .connect()
  const bodies = large()
  let sent = 0
  const timer = setInterval(() => {
    const body = bodies[sent++ % bodies.length]!
    const sending =
      adapter === "sharded"
        ? client.sPublish("socket.io#/#", body)
        : adapter === "redis"
          ? client.publish(sent % 2 === 0 ? "socket.io#/#" : "socket.io-request#/#", body)
          : client.xAdd("socket.io", "*", {
              uid: "x",
              nsp: "/",
              type: "3",
              data: body.subarray(body.indexOf('{"packet'))
            })
    sending.catch(() => {})
  }, 10)
  return async () => {
    clearInterval(timer)
    client.destroy()
  }
}

const floods = new WeakMap<Cluster, () => Promise<void>>()

export const faults = {
  none: { strike: () => {} },
  /** A question is under way when the node dies. */
  "node-kill": {
    strike: async (target) => {
      victimOf(target).signal("SIGSTOP")
      await target.ask()
      // Redis has taken the question before this.
      await target.cluster.redis?.server.command("ping")
      victimOf(target).signal("SIGKILL")
    },
    ends: true
  },
  "node-close": { strike: (target) => victimOf(target).signal("SIGTERM"), ends: true },
  "node-pause": {
    strike: (target) => victimOf(target).signal("SIGSTOP"),
    heal: (target) => victimOf(target).signal("SIGCONT")
  },
  "node-pause-kill": {
    strike: (target) => victimOf(target).signal("SIGSTOP"),
    heal: (target) => victimOf(target).signal("SIGKILL"),
    ends: true
  },
  "redis-kill": { strike: (target) => redisOf(target).kill(), heal: (target) => redisOf(target).start() },
  "redis-pause": { strike: (target) => redisOf(target).pause(), heal: (target) => redisOf(target).resume() },
  "redis-drop-subscribers": { strike: (target) => redisOf(target).command("client", "kill", "type", "pubsub") },
  "redis-drop-all": {
    strike: async (target) => {
      await redisOf(target).command("client", "kill", "type", "pubsub")
      await redisOf(target).command("client", "kill", "type", "normal")
    }
  },
  "master-kill": { strike: async (target) => (await ownersOf(target)).master.kill() },
  "master-failover": { strike: async (target) => (await ownersOf(target)).replica.command("cluster", "failover") },
  malformed: { strike: sendMalformed },
  "malformed-flood": {
    strike: async (target) => void floods.set(target.cluster, await flood(target)),
    heal: ({ cluster }) => floods.get(cluster)!()
  }
} satisfies Record<string, Fault>

export type FaultName = keyof typeof faults
