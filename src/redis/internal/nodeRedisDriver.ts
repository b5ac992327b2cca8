/**
 * Connections of the package `redis` (versions 5 and 6).
 */
import type { SubscriptionKind } from "../RedisCommand.ts"
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

type Listener = (message: Uint8Array, channel: Uint8Array | string) => void
type Subscribe = (names: ReadonlyArray<string>, listener: Listener, buffers: true) => Promise<unknown>

/** The members of a client that are used. */
interface Client {
  readonly options?: { readonly socket?: object } | undefined
  readonly duplicate: (overrides: object) => Client
  readonly connect: () => Promise<unknown>
  readonly destroy: () => void
  readonly on: (event: string, listener: (value: unknown) => void) => unknown
  readonly off: (event: string, listener: (value: unknown) => void) => unknown
  readonly sendCommand: (args: ReadonlyArray<string | Buffer>, options?: object) => Promise<unknown>
  readonly subscribe: Subscribe
  readonly pSubscribe: Subscribe
  readonly sSubscribe: Subscribe
  readonly unsubscribe: Subscribe
  readonly pUnsubscribe: Subscribe
  readonly sUnsubscribe: Subscribe
}

interface Node {
  readonly address: string
}

interface Cluster {
  readonly masters: ReadonlyArray<Node>
  readonly nodeByAddress: ReadonlyMap<string, unknown>
  readonly isOpen: boolean
  readonly connect: () => Promise<unknown>
  readonly nodeClient: (node: Node) => Client | Promise<Client>
  readonly on: Client["on"]
  readonly off: Client["off"]
  readonly _options?: {
    readonly nodeAddressMap?: Readonly<Record<string, NodeAddress>> | ((address: string) => NodeAddress | undefined)
  }
}

/** The type of strings of bytes in the protocol of Redis, `$`. */
const BLOB_STRING = 36

/** The options of a command whose reply is bytes. Version 5 takes them with the command alone. */
const AS_BYTES = { typeMapping: { [BLOB_STRING]: Buffer } }

/**
 * A connection of ours lives once, waits for nothing and has no time limits: its holder sees to
 * all of that.
 */
const settings = (client: Client, address: Address | undefined): object => ({
  RESP: 2,
  maintNotifications: "disabled",
  clientSideCache: undefined,
  emitInvalidate: undefined,
  keyPrefix: undefined,
  readonly: undefined,
  pingInterval: undefined,
  disableOfflineQueue: true,
  commandsQueueMaxLength: undefined,
  commandOptions: { timeout: undefined },
  ...(address === undefined ? {} : { url: undefined }),
  socket: {
    ...client.options?.socket,
    ...(address === undefined ? {} : parseAddress(address)),
    reconnectStrategy: false,
    socketTimeout: undefined
  }
})

const methods = {
  channel: { subscribe: "subscribe", unsubscribe: "unsubscribe" },
  pattern: { subscribe: "pSubscribe", unsubscribe: "pUnsubscribe" },
  sharded: { subscribe: "sSubscribe", unsubscribe: "sUnsubscribe" }
} as const

const connect = (template: Client, address: Address | undefined, events: ConnectionEvents): Connection => {
  const client = template.duplicate(settings(template, address))
  let activity = 0
  let hasEnded = false
  const onActivity = () => {
    activity++
  }
  const end = (cause: unknown) => {
    if (hasEnded) return
    hasEnded = true
    events.onEnd(cause)
    client.destroy()
  }
  const listenerOf = (kind: "channel" | "sharded"): Listener => {
    return (message, channel) => {
      activity++
      const name = channel.toString()
      events.onMessage(kind, name, name, message)
    }
  }
  const byKind = { channel: listenerOf("channel"), sharded: listenerOf("sharded") }
  /** The library does not say which pattern has matched, so each has a listener of its own. */
  const byPattern = new Map<string, Listener>()
  const listenersOf = (
    kind: SubscriptionKind,
    names: ReadonlyArray<string>
  ): Array<[ReadonlyArray<string>, Listener]> =>
    kind !== "pattern"
      ? [[names, byKind[kind]]]
      : names.map((pattern) => {
          let listener = byPattern.get(pattern)
          if (listener === undefined) {
            listener = (message, channel) => {
              activity++
              events.onMessage("pattern", pattern, channel.toString(), message)
            }
            byPattern.set(pattern, listener)
          }
          return [[pattern], listener]
        })
  client.on("error", end)
  client.on("end", end)
  client.on("sharded-channel-moved", () => events.onMoved())
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
      const options = bytes ? AS_BYTES : undefined
      // The library itself writes once per turn of the event loop.
      for (const command of commands) client.sendCommand(toArguments(command), options).then(resolve, reject)
    },
    subscribe(kind, names, done) {
      const calls = listenersOf(kind, names).map(([group, listener]) =>
        client[methods[kind].subscribe](group, listener, true)
      )
      const succeed = () => done()
      const fail = (cause: unknown) => done(errorOf(cause))
      Promise.all(calls).then(succeed, fail)
    },
    unsubscribe(kind, names) {
      for (const [group, listener] of listenersOf(kind, names)) {
        client[methods[kind].unsubscribe](group, listener, true).then(undefined, () => {})
      }
      if (kind === "pattern") for (const name of names) byPattern.delete(name)
    },
    destroy: () => end(undefined)
  }
}

export const single = (value: unknown): Driver => {
  const client = value as Client
  return { open: (address, events) => connect(client, address, events), guard: guardOf(client) }
}

/** A connection that is not there yet, as the client to copy has to be made first. */
const later = (make: () => Promise<Connection>, events: ConnectionEvents): Connection => {
  let connection: Connection | undefined
  let hasEnded = false
  const onMade = (made: Connection) => {
    connection = made
    if (hasEnded) made.destroy()
  }
  const onFailed = (cause: unknown) => {
    if (!hasEnded) events.onEnd(cause)
    hasEnded = true
  }
  make().then(onMade, onFailed)
  return {
    get activity() {
      return connection?.activity ?? 0
    },
    send: (commands, bytes, done) => connection!.send(commands, bytes, done),
    subscribe: (kind, names, done) => connection!.subscribe(kind, names, done),
    unsubscribe: (kind, names) => connection!.unsubscribe(kind, names),
    destroy() {
      if (connection !== undefined) connection.destroy()
      else if (!hasEnded) events.onEnd(undefined)
      hasEnded = true
    }
  }
}

export const cluster = (value: unknown): Driver => {
  const cluster = value as Cluster
  let template: Client | undefined
  /** A client of any node: those of all nodes have the same settings. */
  const findTemplate = async (): Promise<Client> => {
    if (template !== undefined) return template
    if (!cluster.isOpen) await cluster.connect()
    const node = cluster.masters[0]
    if (node === undefined) throw new Error("the Redis Cluster has not told its servers yet")
    template = await cluster.nodeClient(node)
    return template
  }
  const map = cluster._options?.nodeAddressMap
  return {
    open: (address, events) =>
      template === undefined
        ? later(async () => connect(await findTemplate(), address, events), events)
        : connect(template, address, events),
    seeds: () => [...cluster.nodeByAddress.keys()],
    mapAddress(address) {
      const mapped = typeof map === "function" ? map(address) : map?.[address]
      return mapped === undefined ? address : `${mapped.host}:${mapped.port}`
    },
    guard: guardOf(cluster)
  }
}
