import { hostname } from "node:os"
import * as Effect from "effect/Effect"

import type { EngineBytes, EngineTraffic } from "../../engine/EngineMetrics.ts"
import type { EngineServer } from "../../engine/EngineServer.ts"
import type { SocketIoServerShape } from "../../server/SocketIoServer.ts"

/** The namespaces that are listed. Clients may open any number of dynamic ones. */
const MAX_NAMESPACES = 1_000

/** The page's names of the counts. */
const TYPES = {
  opened: "rawConnection",
  closed: "rawDisconnection",
  packetsReceived: "packetsIn",
  packetsSent: "packetsOut",
  bytesReceived: "bytesIn",
  bytesSent: "bytesOut"
} as const satisfies Record<keyof EngineTraffic | keyof EngineBytes, string>

/**
 * The pause between two sums of bytes, in milliseconds. They take time for each connection, and the
 * page draws a point for ten seconds.
 */
const BYTES_PAUSE = 10_000

/** How much has been counted between two times. */
const differences = <Counts extends EngineTraffic | EngineBytes>(
  before: Counts,
  now: Counts,
  timestamp: number
): ReadonlyArray<object> =>
  (Object.keys(now) as Array<keyof Counts & keyof typeof TYPES>)
    .map((name) => ({ timestamp, type: TYPES[name], count: Number(now[name]) - Number(before[name]) }))
    .filter(({ count }) => count > 0)

/**
 * The numbers of one server. They are those that the engine counts anyway: nothing is attached to
 * connections, and no message takes longer.
 */
export class ServerStats {
  private readonly server: SocketIoServerShape
  private readonly engine: EngineServer
  private readonly base: { readonly serverId: string; readonly hostname: string; readonly pid: number }
  private traffic: EngineTraffic
  private bytes: EngineBytes
  private bytesAt = 0

  constructor(server: SocketIoServerShape, engine: EngineServer, serverId: string | undefined) {
    const { pid } = process
    this.server = server
    this.engine = engine
    this.base = { serverId: serverId ?? `${hostname()}#${pid}`, hostname: hostname(), pid }
    this.traffic = engine.traffic()
    this.bytes = engine.trafficBytes()
  }

  /** Traffic counts from now on. */
  restart(millis: number): void {
    this.traffic = this.engine.traffic()
    this.bytes = this.engine.trafficBytes()
    this.bytesAt = millis
  }

  /** The numbers now, without traffic. */
  get now(): Effect.Effect<object> {
    return this.with([])
  }

  /** The numbers now, with the traffic since the last time. */
  next(millis: number): Effect.Effect<object> {
    return Effect.suspend(() => {
      const { bytes, engine, traffic } = this
      const timestamp = Math.floor(millis / 1_000) * 1_000
      this.traffic = engine.traffic()
      const events = differences(traffic, this.traffic, timestamp)
      if (millis - this.bytesAt < BYTES_PAUSE) return this.with(events)
      this.bytesAt = millis
      this.bytes = engine.trafficBytes()
      return this.with([...events, ...differences(bytes, this.bytes, timestamp)])
    })
  }

  private with(aggregatedEvents: ReadonlyArray<object>): Effect.Effect<object> {
    const { base, engine, server } = this
    return Effect.gen(function* () {
      const namespaces = []
      for (const { all, name } of (yield* server.namespaces).slice(0, MAX_NAMESPACES)) {
        namespaces.push({ name, socketsCount: yield* all.local.size })
      }
      return {
        ...base,
        uptime: process.uptime(),
        clientsCount: engine.sessionCount,
        pollingClientsCount: engine.sessionsByTransport.get("polling") ?? 0,
        aggregatedEvents,
        namespaces
      }
    })
  }
}
