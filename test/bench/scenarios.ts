/**
 * The scenarios: their parameters, and their rows in the table.
 */

/** The parameters of all scenarios. Times are milliseconds, sizes bytes. */
export const defaults = {
  connections: 100,
  /** Messages that every connection keeps in flight. */
  inFlight: 10,
  /** The time before the measurement, in which the server is under the same load. */
  warmUp: 1500,
  duration: 2500,
  /** The size of binary payloads. */
  size: 1024,
  /** Messages per second over all connections together, in scenarios with a fixed rate. */
  rate: 5000,
  /** Broadcasts in one tick. */
  burst: 1,
  /** Rooms that each connection joins and leaves. */
  rooms: 20,
  /** Connections that are made at the same time. */
  parallel: 64,
  /** Connections that are made and closed before the measurement. */
  warmUpConnections: 500,
  /** Connections that are open when memory is measured. */
  idle: 5000,
  pingInterval: 25_000
}

export type Parameters = Readonly<typeof defaults>

/** The function that makes the load; several scenarios share one. */
export type Kind =
  | "echo"
  | "echoRate"
  | "ack"
  | "binary"
  | "broadcast"
  | "broadcastRate"
  | "polling"
  | "connect"
  | "upgrade"
  | "rooms"
  | "churn"
  | "heartbeat"
  | "growth"

/** A line of the table. In its title `{name}` stands for a parameter. */
export interface Row {
  readonly title: string
  readonly figure: string
  readonly unit: string
  readonly isMoreBetter?: true
  /** It depends on the other load of the machine, so it says nothing about another checkout. */
  readonly isTime?: true
}

export interface Scenario {
  readonly kind: Kind
  readonly parameters: Partial<Parameters>
  readonly rows: ReadonlyArray<Row>
}

const cpu = (title: string, operation: string): Row => ({ title, figure: "cpu", unit: `µs per ${operation}` })

const latency = (title: string): Row => ({
  title: `${title}: median latency`,
  figure: "latency",
  unit: "ms",
  isTime: true
})

export const scenarios: Readonly<Record<string, Scenario>> = {
  echo: { kind: "echo", parameters: {}, rows: [cpu("echo, {inFlight} in flight", "round trip")] },
  "echo-1": { kind: "echo", parameters: { inFlight: 1 }, rows: [cpu("echo, {inFlight} in flight", "round trip")] },
  "echo-rate": {
    kind: "echoRate",
    parameters: { duration: 4000 },
    rows: [cpu("echo, {rate} per second", "round trip"), latency("echo, {rate} per second")]
  },
  ack: { kind: "ack", parameters: {}, rows: [cpu("acknowledgement, {inFlight} in flight", "round trip")] },
  broadcast: {
    kind: "broadcast",
    parameters: { connections: 1000 },
    rows: [cpu("broadcast to {connections}", "delivery")]
  },
  "broadcast-burst": {
    kind: "broadcast",
    parameters: { connections: 1000, burst: 20 },
    rows: [cpu("broadcast to {connections}, {burst} in one tick", "delivery")]
  },
  "broadcast-rate": {
    kind: "broadcastRate",
    parameters: { connections: 1000, rate: 20, duration: 5000 },
    rows: [
      cpu("broadcast to {connections}, {rate} per second", "delivery"),
      latency("broadcast to {connections}, {rate} per second")
    ]
  },
  "binary-1k": { kind: "binary", parameters: {}, rows: [cpu("binary, 1 KiB", "round trip")] },
  "binary-64k": {
    kind: "binary",
    parameters: { connections: 20, inFlight: 4, size: 65_536 },
    rows: [cpu("binary, 64 KiB", "round trip")]
  },
  polling: {
    kind: "polling",
    parameters: { connections: 50, parallel: 16 },
    rows: [cpu("long-polling (a POST and a GET)", "round trip")]
  },
  connect: {
    kind: "connect",
    parameters: { connections: 2000 },
    rows: [
      cpu("connect over WebSocket", "connection"),
      { title: "heap of an idle connection", figure: "heap", unit: "bytes" },
      { title: "RSS of an idle connection", figure: "rss", unit: "bytes" }
    ]
  },
  upgrade: {
    kind: "upgrade",
    parameters: { connections: 500, warmUpConnections: 200, parallel: 32 },
    rows: [
      cpu("upgrade from polling to WebSocket", "connection"),
      {
        title: "upgrades, {parallel} at a time (more is better)",
        figure: "rate",
        unit: "per second",
        isMoreBetter: true
      }
    ]
  },
  rooms: {
    kind: "rooms",
    parameters: { connections: 1000 },
    rows: [cpu("join and leave rooms, acknowledged", "call")]
  },
  churn: {
    kind: "churn",
    parameters: { connections: 1000 },
    rows: [cpu("join and leave rooms, by the server", "call")]
  },
  heartbeat: {
    kind: "heartbeat",
    parameters: { connections: 5000, warmUp: 2000, duration: 10_000, pingInterval: 1000 },
    rows: [cpu("heartbeat of {connections} idle connections", "ping and pong")]
  }
}

/** The title of a row, with the parameters that were used. */
export const titleOf = ({ title }: Row, parameters: Parameters): string =>
  title.replaceAll(/\{(\w+)\}/g, (_, name: keyof Parameters) => parameters[name].toLocaleString("en-US"))

/** The same load for a shorter time and fewer connections: to look at, not to conclude from. */
export const quicker = (parameters: Parameters): Parameters => ({
  ...parameters,
  connections: Math.min(parameters.connections, 500),
  warmUpConnections: Math.min(parameters.warmUpConnections, 100),
  idle: Math.min(parameters.idle, 1000),
  warmUp: Math.min(parameters.warmUp, 300),
  duration: Math.min(parameters.duration, 1000)
})
