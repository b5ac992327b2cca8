/**
 * The servers of a Redis Cluster: which of them has a key, and which takes over.
 */
import { keySlot } from "../../src/redis/internal/keySlot.ts"
import { type RunningRedis, type RunningServers, until } from "./redisServer.ts"

/** The server with the master of a key. */
export const ownerOf = async ({ servers }: RunningServers, key: string): Promise<RunningRedis> => {
  for (const server of servers) {
    const lines = (await server.command("cluster", "nodes")).split("\n")
    const own = lines.find((line) => line.includes("myself") && line.includes("master"))
    const ranges = own?.split(" ").slice(8) ?? []
    const slot = keySlot(key)
    if (
      ranges.some((range) => {
        const [from, to] = range.split("-").map(Number)
        return slot >= from! && slot <= (to ?? from!)
      })
    )
      return server
  }
  throw new Error("no server has the slot")
}

/** The server with the replica of a master. */
export const replicaOf = async ({ servers }: RunningServers, master: RunningRedis): Promise<RunningRedis> => {
  const id = await master.command("cluster", "myid")
  // A master may hear of its replica late.
  return until("the replica", async () => {
    const line = await master.command("cluster", "replicas", id)
    return servers.find(({ port }) => line.includes(`:${port}@`))
  })
}
