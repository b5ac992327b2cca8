/**
 * The control protocol of a cluster's nodes, the side of the node. A node is a process of its own; whoever started it tells it over
 * HTTP what to do: `POST /<operation>` with a JSON object, which a JSON object answers, or `{"failure": text}`.
 */
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { monitorEventLoopDelay } from "node:perf_hooks"

import { type Stalls, watchStalls } from "./stalls.ts"
import { parse, sleep, stringify } from "./wire.ts"

/** Recipients. `from` is the local socket whose `broadcast` is used; `timeout` is in milliseconds. */
export interface Selection {
  readonly nsp?: string
  readonly from?: string
  readonly to?: ReadonlyArray<string>
  readonly except?: ReadonlyArray<string>
  readonly volatile?: boolean
  readonly local?: boolean
  readonly compress?: boolean
  readonly timeout?: number
}

export interface EventInput extends Selection {
  readonly event: string
  readonly args?: ReadonlyArray<unknown>
}

/** Answers that came; with an error where others did not. */
export interface Answers {
  readonly responses: ReadonlyArray<any>
  readonly error?: string
}

export interface FetchedSocket {
  readonly id: string
  readonly rooms: ReadonlyArray<string>
  readonly data: any
  readonly auth: any
}

/** The counts that a node has of the messages of the others; nothing from a node that does not count. */
export interface NodeStatus {
  readonly connected?: boolean
  readonly outages?: number
  readonly lost?: number
  readonly dropped?: number
  readonly refused?: number
}

export interface Usage extends NodeJS.MemoryUsage, Stalls {
  /** Processor time since the start of the process, in microseconds. */
  readonly user: number
  readonly system: number
  /** The longest delay of the event loop since the last call. */
  readonly lagMs: number
}

export interface CountInput extends Selection {
  readonly id: string
  readonly event?: string
  readonly pad?: string
}

export interface FloodInput extends Selection {
  readonly count: number
  readonly perTurn?: number
  readonly event?: string
  readonly pad?: string
}

/** The operations by name: input and answer. */
export interface Operations {
  readonly health: (input: {}) => { readonly pid: number; readonly adapter: string; readonly errors: number }
  readonly emit: (input: EventInput) => {}
  /** Emits one event after the other. */
  readonly emits: (input: { readonly events: ReadonlyArray<EventInput> }) => {}
  readonly emitWithAck: (input: EventInput) => Answers
  readonly fetchSockets: (input: Selection) => {
    readonly sockets: ReadonlyArray<FetchedSocket>
    /** The number of servers that have not answered, if the node knows it. */
    readonly missing?: number
  }
  readonly socketsJoin: (input: Selection & { readonly rooms: ReadonlyArray<string> }) => {}
  readonly socketsLeave: (input: Selection & { readonly rooms: ReadonlyArray<string> }) => {}
  readonly disconnectSockets: (input: Selection & { readonly close?: boolean }) => {}
  readonly serverSideEmit: (input: EventInput) => {}
  readonly serverSideEmitWithAck: (input: EventInput) => Answers
  /** The servers that it knows of, itself too. */
  readonly serverCount: (input: { readonly nsp?: string }) => { readonly count: number }
  readonly status: (input: {}) => NodeStatus
  /** The events of other servers so far. */
  readonly heard: (input: { readonly clear?: boolean }) => { readonly events: ReadonlyArray<Heard> }
  /** Emits `{id, n, at}` with the next number of the count `id`. */
  readonly ticks: (input: CountInput) => { readonly n: number }
  /** Does so `hz` times a second; without `hz` it ends, and tells how many it sent. */
  readonly ticker: (input: CountInput & { readonly hz?: number }) => { readonly sent?: number }
  /** Emits `{n, pad}` so often, `perTurn` times in each turn of the event loop. Answers at the end. */
  readonly flood: (input: FloodInput) => {}
  readonly usage: (input: {}) => Usage
}

export interface Heard {
  readonly event: string
  readonly nsp: string
  readonly args: ReadonlyArray<unknown>
}

/** The part that each kind of node does in its own way. */
export interface Own {
  readonly errors: () => number
  readonly status: () => NodeStatus | Promise<NodeStatus>
  /** Emits an event once for each payload, within one turn. */
  readonly emitEach: (to: Selection, event: string, payloads: ReadonlyArray<unknown>) => void
  readonly operations: {
    readonly [
      K in Exclude<keyof Operations, "health" | "emits" | "status" | "heard" | "ticks" | "ticker" | "flood" | "usage">
    ]: (input: Parameters<Operations[K]>[0]) => Promise<ReturnType<Operations[K]>>
  }
}

const number = (name: string, preset: number): number => Number(process.env[name] ?? preset)

/** The settings of a node by its environment. */
export const settings = {
  name: process.env["NODE_NAME"] ?? "node",
  /** 0 takes a free one. */
  port: number("PORT", 0),
  controlPort: number("CONTROL_PORT", 0),
  adapter: process.env["ADAPTER"] ?? "memory",
  /** Named as the official adapters name them. */
  adapterOptions: JSON.parse(process.env["ADAPTER_OPTIONS"] ?? "{}") as Record<string, any>,
  redisUrls: (process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379").split(","),
  redisClient: process.env["REDIS_CLIENT"] ?? "redis",
  pingInterval: number("PING_INTERVAL", 25_000),
  pingTimeout: number("PING_TIMEOUT", 20_000),
  /** The longest outage after which a client is recovered, in milliseconds; 0 is none. */
  recovery: number("RECOVERY_MS", 0)
} as const

export interface Control {
  readonly server: Server
  /** The events of other servers. */
  readonly heard: Array<Heard>
}

interface Count {
  n: number
  timer?: NodeJS.Timeout
}

const operationsOf = (own: Own, heard: Array<Heard>): Record<string, (input: any) => unknown> => {
  const counts = new Map<string, Count>()
  const countOf = (id: string): Count => {
    const count = counts.get(id) ?? { n: 0 }
    counts.set(id, count)
    return count
  }
  const countOn = (times: number, { event = "tick", id, pad, ...to }: CountInput) => {
    const count = countOf(id)
    const at = Date.now()
    own.emitEach(
      to,
      event,
      Array.from({ length: times }, () => ({ id, n: ++count.n, at, ...(pad !== undefined && { pad }) }))
    )
    return { n: count.n }
  }
  const lag = monitorEventLoopDelay({ resolution: 10 })
  lag.enable()
  const watch = watchStalls()
  return {
    ...own.operations,
    health: () => ({ pid: process.pid, adapter: settings.adapter, errors: own.errors() }),
    async emits({ events }: { readonly events: ReadonlyArray<EventInput> }) {
      for (const event of events) await own.operations.emit(event)
    },
    status: () => own.status(),
    heard: ({ clear }) => ({ events: clear ? heard.splice(0) : heard }),
    ticks: (input) => countOn(1, input),
    ticker({ hz = 0, ...input }) {
      const count = countOf(input.id)
      clearInterval(count.timer)
      if (hz === 0) return { sent: count.n }
      const before = count.n
      const begun = Date.now()
      // As many as are due, so that a busy event loop does not lower the rate.
      const tick = () => {
        const due = Math.floor(((Date.now() - begun) * hz) / 1000) - (count.n - before)
        if (due > 0) countOn(due, input)
      }
      count.timer = setInterval(tick, Math.min(50, Math.max(1, 1000 / hz)))
      return {}
    },
    async flood({ count, event = "flood", pad = "", perTurn = 1, ...to }: FloodInput) {
      for (let n = 0; n < count; n += perTurn) {
        const length = Math.min(perTurn, count - n)
        own.emitEach(
          to,
          event,
          Array.from({ length }, (_, i) => ({ n: n + i + 1, pad }))
        )
        await sleep(0)
      }
    },
    usage() {
      const lagMs = lag.max / 1e6
      lag.reset()
      return { ...process.cpuUsage(), ...process.memoryUsage(), lagMs, ...watch.take() } satisfies Usage
    }
  }
}

const listen = (server: Server, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject)
    // Workers of Node's cluster module would share the port otherwise.
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => resolve((server.address() as AddressInfo).port))
  })

/**
 * Listens for clients, then for the control protocol, and tells the process that has started this one. The node ends with that
 * process.
 */
export const serveControl = async (http: Server, own: Own, heard: Array<Heard>): Promise<Server> => {
  const operations = operationsOf(own, heard)
  const control = createServer((request, response) => {
    // The next message would otherwise find a connection that is being closed.
    response.setHeader("connection", "close")
    let text = ""
    request.setEncoding("utf8")
    request.on("data", (chunk: string) => {
      text += chunk
    })
    request.on("end", () => {
      void Promise.resolve()
        .then(() => {
          const operation = operations[request.url!.slice(1)]
          if (operation === undefined) throw new Error(`no such operation: ${request.url}`)
          return operation(parse(text || "{}"))
        })
        .then(
          (answer) => answer ?? {},
          (error: unknown) => ({ failure: error instanceof Error ? error.message : String(error) })
        )
        .then((answer) => response.end(stringify(answer)))
    })
  })
  const port = await listen(http, settings.port)
  const controlPort = await listen(control, settings.controlPort)
  if (process.send !== undefined) {
    process.send({ ready: { port, controlPort, pid: process.pid } satisfies Ready })
    process.once("disconnect", () => process.exit(0))
  }
  return control
}

/** Where a node listens. */
export interface Ready {
  readonly port: number
  readonly controlPort: number
  readonly pid: number
}
