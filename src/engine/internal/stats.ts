import * as Context from "effect/Context"
import * as Metric from "effect/Metric"

import type { SessionCloseReason } from "../../DisconnectReason.ts"
import * as EngineMetrics from "../EngineMetrics.ts"

/** The counters of a transport. */
export interface TransportStats {
  readonly name: string
  readonly bytesReceived: number
  readonly bytesSent: number
}

/** A session, as it is counted until it has released everything. */
export interface SessionStats {
  readonly isOpen: boolean
  /**
   * Its transport; missing once that has released everything, because its bytes are counted by
   * then.
   */
  readonly stats: TransportStats | undefined
  readonly buffered: number
}

/** The counters of the servers of a metric registry: plain numbers, for the message path. */
export class EngineStats {
  opened = 0
  packetsReceived = 0
  packetsSent = 0
  /** The number of pauses of reading from clients. */
  readPauses = 0
  private closedInAll = 0
  private readonly context: Context.Context<never>
  private readonly closed = new Map<SessionCloseReason, number>()
  private readonly refused = new Map<number, number>()
  /** Messages that outboxes have dropped, by policy. */
  private readonly dropped = new Map<string, { packets: number; bytes: number }>()
  /** The bytes of transports that have released everything, by name. */
  private readonly released = new Map<string, { received: number; sent: number }>()
  /**
   * The sessions of running servers, and of ended ones whose connections are still being cut.
   */
  private readonly servers = new Map<ReadonlyMap<string, SessionStats>, { ended: boolean }>()

  constructor(context: Context.Context<never>) {
    this.context = context
    this.counter(EngineMetrics.connectionsOpened, {}, () => this.opened)
    this.counter(EngineMetrics.packetsReceived, {}, () => this.packetsReceived)
    this.counter(EngineMetrics.packetsSent, {}, () => this.packetsSent)
    this.counter(EngineMetrics.readPauses, {}, () => this.readPauses)
    this.gauge(EngineMetrics.outboxBytes, {}, () => this.sum((session) => session.buffered))
  }

  /** Counts sessions and bytes of the transports with this name from now on. */
  addTransport(transport: string): void {
    if (this.released.has(transport)) return
    const released = { received: 0, sent: 0 }
    this.released.set(transport, released)
    const sum = (count: (session: SessionStats, stats: TransportStats) => number) =>
      this.sum((session) => (session.stats?.name === transport ? count(session, session.stats) : 0))
    const open = () => sum(({ isOpen }) => (isOpen ? 1 : 0))
    const received = () => released.received + sum((_, { bytesReceived }) => bytesReceived)
    const sent = () => released.sent + sum((_, { bytesSent }) => bytesSent)
    this.gauge(EngineMetrics.connections, { transport }, open)
    this.counter(EngineMetrics.bytesReceived, { transport }, received)
    this.counter(EngineMetrics.bytesSent, { transport }, sent)
  }

  /** Counts the sessions of a running server. Returns the function to call when it has ended. */
  add(sessions: ReadonlyMap<string, SessionStats>): () => void {
    const state = { ended: false }
    this.servers.set(sessions, state)
    return () => {
      state.ended = true
      if (sessions.size === 0) this.servers.delete(sessions)
    }
  }

  onClosed(reason: SessionCloseReason): void {
    this.closedInAll++
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

  /** A transport has released everything: its bytes are kept. */
  onTransportReleased({ bytesReceived, bytesSent, name }: TransportStats): void {
    const released = this.released.get(name)
    if (released === undefined) return
    released.received += bytesReceived
    released.sent += bytesSent
  }

  traffic(): EngineMetrics.EngineTraffic {
    const { closedInAll: closed, opened, packetsReceived, packetsSent } = this
    return { opened, closed, packetsReceived, packetsSent }
  }

  /** The bytes of all transports. It takes time for each session. */
  bytes(): EngineMetrics.EngineBytes {
    let [bytesReceived, bytesSent] = [0, 0]
    for (const { received, sent } of this.released.values()) {
      bytesReceived += received
      bytesSent += sent
    }
    this.sum(({ stats }) => {
      if (stats !== undefined) {
        bytesReceived += stats.bytesReceived
        bytesSent += stats.bytesSent
      }
      return 0
    })
    return { bytesReceived, bytesSent }
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

/** The counters of a context's metric registry. */
export const statsOf = (context: Context.Context<never>): EngineStats => {
  const registry = Context.get(context, Metric.MetricRegistry)
  let stats = byRegistry.get(registry)
  if (stats === undefined) byRegistry.set(registry, (stats = new EngineStats(context)))
  return stats
}
