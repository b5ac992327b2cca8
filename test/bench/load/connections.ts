/**
 * Loads of connections that come.
 */
import type { Figures } from "./channel.ts"
import { addressOf, connectUpgrade, pool } from "./connect.ts"
import { measure, sleep, usageOf } from "./measure.ts"
import { connectAll, type Load } from "./messages.ts"
import type { WebSocketPeer } from "./WebSocketPeer.ts"

const destroyAll = (peers: ReadonlyArray<WebSocketPeer>): void => {
  for (const peer of peers) peer.destroy()
}

/** Connections over WebSocket, and the memory that they hold when nothing happens. */
export const connect = async (load: Load): Promise<Figures> => {
  destroyAll(await connectAll(load, load.warmUpConnections))
  await sleep(load.warmUp)
  const before = await usageOf(load.usagePort, true)
  let connected = 0
  const figures = await measure(
    load.usagePort,
    () => connected,
    async () => {
      connected = (await connectAll(load)).length
    }
  )
  await connectAll(load, load.idle - connected)
  await sleep(load.warmUp)
  // Objects that are collected the second time were not held by a connection either.
  const first = await usageOf(load.usagePort, true)
  await sleep(300)
  const second = await usageOf(load.usagePort, true)
  const open = Math.max(load.idle, connected)
  return {
    ...figures,
    heap: (Math.min(first.heapUsed, second.heapUsed) - before.heapUsed) / open,
    rss: (Math.min(first.rss, second.rss) - before.rss) / open
  }
}

/** Connections over polling that upgrade to WebSocket. */
export const upgrade = async (load: Load): Promise<Figures> => {
  const upgradeAll = (count: number) =>
    pool(count, load.parallel, (index) => connectUpgrade(addressOf(load.port, index)))
  destroyAll(await upgradeAll(load.warmUpConnections))
  await sleep(load.warmUp)
  let upgraded = 0
  return measure(
    load.usagePort,
    () => upgraded,
    async () => {
      upgraded = (await upgradeAll(load.connections)).length
    }
  )
}
