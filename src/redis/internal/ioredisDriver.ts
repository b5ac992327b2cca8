/**
 * Connections of the package `ioredis` (version 5 and later).
 */
import {
  collect,
  errorOf,
  guardOf,
  parseAddress,
  toArguments,
  type Address,
  type Connection,
  type ConnectionEvents,
  type Driver,
  type NodeAddress
} from "./driver.ts"

type Subscribe = (...names: ReadonlyArray<string>) => Promise<unknown>

/** The members of a client that are used. */
interface Client {
  readonly options: { readonly host?: string; readonly port?: number }
  readonly duplicate: (overrides: object) => Client
  readonly connect: () => Promise<unknown>
  readonly disconnect: () => void
  readonly on: (event: string, listener: (...values: ReadonlyArray<never>) => void) => unknown
  readonly off: (event: string, listener: (...values: ReadonlyArray<never>) => void) => unknown
  readonly call: (command: string, args: ReadonlyArray<string | Buffer>) => Promise<unknown>
  readonly callBuffer: Client["call"]
  readonly subscribe: Subscribe
  readonly psubscribe: Subscribe
  readonly ssubscribe: Subscribe
  readonly unsubscribe: Subscribe
  readonly punsubscribe: Subscribe
  readonly sunsubscribe: Subscribe
  readonly stream?: { readonly cork?: () => void; readonly uncork?: () => void; readonly destroy?: () => void }
}

interface Cluster {
  readonly status: string
  readonly options?: {
    readonly natMap?: Readonly<Record<string, NodeAddress>> | ((address: string) => NodeAddress | null) | null
  }
  readonly connect: () => Promise<unknown>
  readonly nodes: (role?: "all") => ReadonlyArray<Client>
  readonly on: Client["on"]
  readonly off: Client["off"]
}

/**
 * A connection of ours lives once, waits for nothing and has no time limits: its holder sees to
 * all of that.
 */
const settings = (address: Address | undefined): object => ({
  lazyConnect: true,
  protocol: 2,
  keyPrefix: "",
  retryStrategy: null,
  reconnectOnError: null,
  sentinelRetryStrategy: null,
  maxRetriesPerRequest: null,
  enableOfflineQueue: false,
  enableAutoPipelining: false,
  autoResubscribe: false,
  autoResendUnfulfilledCommands: false,
  commandTimeout: undefined,
  socketTimeout: undefined,
  blockingTimeout: undefined,
  stringNumbers: false,
  readOnly: false,
  monitor: false,
  ...(address === undefined ? {} : { ...parseAddress(address), path: undefined })
})

const methods = {
  channel: { subscribe: "subscribe", unsubscribe: "unsubscribe" },
  pattern: { subscribe: "psubscribe", unsubscribe: "punsubscribe" },
  sharded: { subscribe: "ssubscribe", unsubscribe: "sunsubscribe" }
} as const

const connect = (template: Client, address: Address | undefined, events: ConnectionEvents): Connection => {
  const client = template.duplicate(settings(address))
  let activity = 0
  let hasEnded = false
  const onActivity = () => {
    activity++
  }
  const end = (cause?: unknown) => {
    if (hasEnded) return
    hasEnded = true
    events.onEnd(cause)
    client.disconnect()
    // It would wait for the server to close, too.
    client.stream?.destroy?.()
  }
  const on = (kind: "channel" | "sharded") => (channel: Uint8Array, message: Uint8Array) => {
    activity++
    const name = channel.toString()
    events.onMessage(kind, name, name, message)
  }
  client.on("error", end)
  client.on("close", () => end())
  client.on("end", () => end())
  client.on("moved", () => events.onMoved())
  client.on("messageBuffer", on("channel"))
  client.on("smessageBuffer", on("sharded"))
  client.on("pmessageBuffer", (pattern: Uint8Array | string, channel: Uint8Array, message: Uint8Array) => {
    activity++
    events.onMessage("pattern", pattern.toString(), channel.toString(), message)
  })
  const onConnected = () => {
    if (!hasEnded) events.onReady()
  }
  client.connect().then(onConnected, end)
  return {
    get activity() {
      return activity
    },
    send(commands, bytes, done) {
      const { reject, resolve } = collect(commands.length, onActivity, done)
      // Between cork and uncork, what the library writes is collected: this costs half of a
      // pipeline of its own.
      const { stream } = client
      stream?.cork?.()
      try {
        for (const command of commands) {
          const [name, ...args] = toArguments(command)
          const reply = bytes ? client.callBuffer(String(name), args) : client.call(String(name), args)
          reply.then(resolve, reject)
        }
      } finally {
        stream?.uncork?.()
      }
    },
    subscribe(kind, names, done) {
      const succeed = () => done()
      const fail = (cause: unknown) => done(errorOf(cause))
      client[methods[kind].subscribe](...names).then(succeed, fail)
    },
    unsubscribe(kind, names) {
      client[methods[kind].unsubscribe](...names).then(undefined, () => {})
    },
    destroy: () => end()
  }
}

export const single = (value: unknown): Driver => {
  const client = value as Client
  return { open: (address, events) => connect(client, address, events), guard: guardOf(client) }
}

export const cluster = (value: unknown): Driver => {
  const cluster = value as Cluster
  let template: Client | undefined
  const map = cluster.options?.natMap
  return {
    open(address, events) {
      if (cluster.status === "wait") cluster.connect().catch(() => {})
      template ??= cluster.nodes("all")[0]
      if (template !== undefined) return connect(template, address, events)
      queueMicrotask(() => events.onEnd(new Error("the Redis Cluster has not told its servers yet")))
      return { activity: 0, send() {}, subscribe() {}, unsubscribe() {}, destroy() {} }
    },
    seeds: () => cluster.nodes("all").map(({ options }) => `${options.host}:${options.port}`),
    mapAddress(address) {
      const mapped = typeof map === "function" ? map(address) : map?.[address]
      return mapped === undefined || mapped === null ? address : `${mapped.host}:${mapped.port}`
    },
    guard: guardOf(cluster)
  }
}
