/**
 * Redis in a storm, and the entries of its stream in the end.
 */
import { createClient } from "redis"

import type { RunningServers } from "../support/redisServer.ts"

/** Kills each connection with a probability of a third: of readers, subscribers and those that send. Gives how many. */
export const killConnections = async ({ server }: RunningServers, next: () => number): Promise<number> => {
  const list = await server.command("client", "list")
  const ids = Array.from(list.matchAll(/^id=(\d+)/gm), ([, id]) => id!).filter(() => next() < 1 / 3)
  let killed = 0
  for (const id of ids) killed += Number(await server.command("client", "kill", "id", id))
  return killed
}

/** The numbers of the counts in the stream of the servers, by the ids of the counts. */
export const entriesOf = async ({ url }: RunningServers): Promise<ReadonlyMap<string, ReadonlySet<number>>> => {
  const client = await createClient({ url }).connect()
  const counts = new Map<string, Set<number>>()
  try {
    for (let from = "-"; ;) {
      const entries = (await client.xRange("socket.io", from, "+", { COUNT: 1_000 })) ?? []
      for (const { message } of entries) {
        const [event, tick] = dataOf(message["data"])
        if (event !== "tick") continue
        const numbers = counts.get(tick.id) ?? new Set()
        counts.set(tick.id, numbers.add(tick.n))
      }
      if (entries.length < 1_000) return counts
      from = `(${entries.at(-1)!.id}`
    }
  } finally {
    client.destroy()
  }
}

const dataOf = (json: string | undefined): ReadonlyArray<any> => {
  try {
    return JSON.parse(json ?? "").packet.data
  } catch {
    return []
  }
}
