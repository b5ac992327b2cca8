import { hostname } from "node:os"
import * as Effect from "effect/Effect"

import type { EngineTraffic } from "../../engine/EngineMetrics.ts"
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
} as const satisfies Record<keyof EngineTraffic, string>

/**
 * The numbers of one server. They are those that the engine counts anyway: nothing is attached to
 * connections, and no message takes longer.
 */
export class ServerStats {
  private readonly server: SocketIoServerShape
  private readonly engine: EngineServer
  private readonly base: { readonly serverId: string; readonly hostname: string; readonly pid: number }
  private last: EngineTraffic

  constructor(server: SocketIoServerShape, engine: EngineServer, serverId: string | undefined) {
    const { pid } = process
    this.server = server
    this.engine = engine
    this.base = { serverId: serverId ?? `${hostname()}#${pid}`, hostname: hostname(), pid }
    this.last = engine.traffic()
  }

  /** Traffic counts from now on. */
  restart(): void {
    this.last = this.engine.traffic()
  }

  /** The numbers now, without traffic. */
  get now(): Effect.Effect<object> {
    return this.with([])
  }

  /** The numbers now, with the traffic since the last time. */
  next(millis: number): Effect.Effect<object> {
    return Effect.suspend(() => {
      const { engine, last } = this
      this.last = engine.traffic()
      const timestamp = Math.floor(millis / 1_000) * 1_000
      const events = (Object.keys(TYPES) as Array<keyof EngineTraffic>).map((name) => ({
        timestamp,
        type: TYPES[name],
        count: this.last[name] - last[name]
      }))
      return this.with(events.filter(({ count }) => count > 0))
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
        pollingClientsCount: engine.sessionsByTransport().get("polling") ?? 0,
        aggregatedEvents,
        namespaces
      }
    })
  }
}
