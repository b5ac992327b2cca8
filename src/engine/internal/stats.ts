import * as Context from "effect/Context"
import * as Metric from "effect/Metric"

import type { SessionCloseReason } from "../../DisconnectReason.ts"
import * as EngineMetrics from "../EngineMetrics.ts"
import type { TransportName } from "../Transport.ts"

const TRANSPORTS: ReadonlyArray<TransportName> = ["polling", "websocket"]

/** What is counted of a transport. */
export interface TransportStats {
  readonly name: TransportName
  readonly bytesReceived: number
  readonly bytesSent: number
}

/** Of a transport that has been counted already. */
export const NO_STATS: TransportStats = { name: "polling", bytesReceived: 0, bytesSent: 0 }

/** What is looked at of a session that holds something. */
export interface SessionStats {
  readonly isOpen: boolean
  readonly stats: TransportStats
  readonly buffered: number
}

/** What the servers of a metric registry have counted: plain numbers, for the message path. */
export class EngineStats {
  opened = 0
  packetsReceived = 0
  packetsSent = 0
  /** How often reading from a client was paused. */
  readPauses = 0
  private readonly context: Context.Context<never>
  private readonly closed = new Map<SessionCloseReason, number>()
  private readonly refused = new Map<number, number>()
  /** What outboxes have dropped, by policy. */
  private readonly dropped = new Map<string, { packets: number; bytes: number }>()
  /** Bytes of transports that are gone. */
  private readonly received: Record<TransportName, number> = { polling: 0, websocket: 0 }
  private readonly sent: Record<TransportName, number> = { polling: 0, websocket: 0 }
  /** The sessions of the servers that run, and of those that have ended while connections of theirs are still being cut. */
  private readonly servers = new Map<ReadonlyMap<string, SessionStats>, { ended: boolean }>()

  constructor(context: Context.Context<never>) {
    this.context = context
    this.counter(EngineMetrics.connectionsOpened, {}, () => this.opened)
    this.counter(EngineMetrics.packetsReceived, {}, () => this.packetsReceived)
    this.counter(EngineMetrics.packetsSent, {}, () => this.packetsSent)
    this.counter(EngineMetrics.readPauses, {}, () => this.readPauses)
    this.gauge(EngineMetrics.outboxBytes, {}, () => this.sum((session) => session.buffered))
    for (const transport of TRANSPORTS) {
      const on = (count: (session: SessionStats) => number) => () =>
        this.sum((session) => (session.stats.name === transport ? count(session) : 0))
      const live = on(({ isOpen }) => (isOpen ? 1 : 0))
      const received = on(({ stats }) => stats.bytesReceived)
      const sent = on(({ stats }) => stats.bytesSent)
      this.gauge(EngineMetrics.connections, { transport }, live)
      this.counter(EngineMetrics.bytesReceived, { transport }, () => this.received[transport] + received())
      this.counter(EngineMetrics.bytesSent, { transport }, () => this.sent[transport] + sent())
    }
  }

  /** A server runs; gives the function to call when it has ended. */
  add(sessions: ReadonlyMap<string, SessionStats>): () => void {
    const state = { ended: false }
    this.servers.set(sessions, state)
    return () => {
      state.ended = true
      if (sessions.size === 0) this.servers.delete(sessions)
    }
  }

  onClosed(reason: SessionCloseReason): void {
    const count = this.closed.get(reason)
    this.closed.set(reason, (count ?? 0) + 1)
    if (count === undefined) this.counter(EngineMetrics.disconnects, { reason }, () => this.closed.get(reason)!)
  }

  onRefused(code: number): void {
    const count = this.refused.get(code)
    this.refused.set(code, (count ?? 0) + 1)
    if (count === undefined) {
      this.counter(EngineMetrics.refusals, { code: String(code) }, () => this.refused.get(code)!)
    }
  }

  /** A message was dropped from an outbox, or before it got into one. */
  onDropped(policy: string, packets: number, bytes: number): void {
    let count = this.dropped.get(policy)
    if (count === undefined) {
      const first = { packets: 0, bytes: 0 }
      this.dropped.set(policy, (count = first))
      this.counter(EngineMetrics.packetsDropped, { policy }, () => first.packets)
      this.counter(EngineMetrics.bytesDropped, { policy }, () => first.bytes)
    }
    count.packets += packets
    count.bytes += bytes
  }

  /** A transport is gone: its bytes are kept. */
  onTransportGone({ bytesReceived, bytesSent, name }: TransportStats): void {
    this.received[name] += bytesReceived
    this.sent[name] += bytesSent
  }

  private sum(count: (session: SessionStats) => number): number {
    let sum = 0
    for (const [sessions, { ended }] of this.servers) {
      if (ended && sessions.size === 0) this.servers.delete(sessions)
      for (const session of sessions.values()) sum += count(session)
    }
    return sum
  }

  private counter(
    metric: Metric.Counter<number>,
    attributes: Readonly<Record<string, string>>,
    value: () => number
  ): void {
    Metric.registerUnsafe(Metric.withAttributes(metric, attributes), this.context, {
      get: () => ({ count: value(), incremental: true }),
      update() {},
      modify() {}
    })
  }

  private gauge(metric: Metric.Gauge<number>, attributes: Readonly<Record<string, string>>, value: () => number): void {
    Metric.registerUnsafe(Metric.withAttributes(metric, attributes), this.context, {
      get: () => ({ value: value() }),
      update() {},
      modify() {}
    })
  }
}

const byRegistry = new WeakMap<object, EngineStats>()

/** What is counted in a context's metric registry. */
export const statsOf = (context: Context.Context<never>): EngineStats => {
  const registry = Context.get(context, Metric.MetricRegistry)
  let stats = byRegistry.get(registry)
  if (stats === undefined) byRegistry.set(registry, (stats = new EngineStats(context)))
  return stats
}
