/**
 * A client library as we need it: it opens one connection to one Redis server, which ends when it
 * ends. Everything that lives longer than a connection is ours and the same for all libraries:
 * connecting again, subscriptions, heartbeats, the slots of a Redis Cluster.
 */
import type { Command, Reply, SubscriptionKind } from "../RedisCommand.ts"
import { RedisError } from "../RedisError.ts"

export type Result = Reply | RedisError

export interface ConnectionEvents {
  /** Never called before `open` has returned. */
  readonly onReady: () => void
  /** The connection has ended, or was not made. Called once. */
  readonly onEnd: (cause: unknown) => void
  /** A message; `name` is the pattern, or the channel. */
  readonly onMessage: (kind: SubscriptionKind, name: string, channel: string, message: Uint8Array) => void
  /** The server has ended subscriptions to sharded channels: their slot has moved. */
  readonly onMoved: () => void
}

/** One connection. Its methods never throw. */
export interface Connection {
  /** Grows with each reply and each message: a heartbeat looks at it. */
  readonly activity: number
  /**
   * Sends commands in one write. `done` is called once, later, with a result for each. Strings of
   * replies are buffers if `bytes` says so.
   */
  readonly send: (
    commands: ReadonlyArray<Command>,
    bytes: boolean,
    done: (results: ReadonlyArray<Result>) => void
  ) => void
  /** Subscribes to all names or, if `done` is called with an error, perhaps to none. */
  readonly subscribe: (kind: SubscriptionKind, names: ReadonlyArray<string>, done: (error?: RedisError) => void) => void
  readonly unsubscribe: (kind: SubscriptionKind, names: ReadonlyArray<string>) => void
  /** Ends it at once. */
  readonly destroy: () => void
}

/** The address of a server: `host:port`. */
export type Address = string

/** The address of a server of a Redis Cluster, as the libraries write it. */
export interface NodeAddress {
  readonly host: string
  readonly port: number
}

export interface Driver {
  /** Opens a connection; to the server that the user's client is for if there is no address. */
  readonly open: (address: Address | undefined, events: ConnectionEvents) => Connection
  /** Where servers of a Redis Cluster are at first; `undefined` if it is no Redis Cluster. */
  readonly seeds?: () => ReadonlyArray<Address>
  /** The address to connect to for one that the cluster announces. */
  readonly mapAddress?: (address: Address) => Address
  /**
   * Listens to the errors of the user's client, so that they do not end the process. Gives how to
   * stop.
   */
  readonly guard: (onError: (cause: unknown) => void) => () => void
}

/** The part of a user's client that has the errors. */
export interface ErrorSource {
  readonly on: (event: "error", listener: (cause: unknown) => void) => unknown
  readonly off: (event: "error", listener: (cause: unknown) => void) => unknown
}

const ignore = (): void => {}
const quiet = new WeakSet<ErrorSource>()

/** Listens to the errors of a user's client. */
export const guardOf =
  (client: ErrorSource): Driver["guard"] =>
  (onError) => {
    // For good: libraries also tell the errors of what was under way when the client was closed.
    if (!quiet.has(client)) client.on("error", ignore)
    quiet.add(client)
    client.on("error", onError)
    return () => {
      client.off("error", onError)
    }
  }

export const disconnected = (cause?: unknown): RedisError =>
  new RedisError({ reason: { _tag: "Disconnected" }, message: "there is no connection to Redis", cause })

/** The errors of servers begin with a code: `MOVED 1 127.0.0.1:7000`, `ERR unknown command`. */
const isReply = (message: string): boolean => /^[A-Z][A-Z0-9_]*( |$)/.test(message)

/** A rejection of a client library: an error of the server, or one of the connection. */
export const errorOf = (cause: unknown): RedisError => {
  const message = cause instanceof Error ? cause.message : String(cause)
  return isReply(message) ? new RedisError({ reason: { _tag: "Refused" }, message, cause }) : disconnected(cause)
}

const toBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Client libraries take strings and buffers only. */
export const toArguments = (command: Command): Array<string | Buffer> => {
  const args: Array<string | Buffer> = []
  for (const argument of command) args.push(typeof argument === "string" ? argument : toBuffer(argument))
  return args
}

/** Collects the results of commands that one connection answers in their order. */
export const collect = (
  count: number,
  onResult: () => void,
  done: (results: ReadonlyArray<Result>) => void
): { readonly resolve: (reply: unknown) => void; readonly reject: (cause: unknown) => void } => {
  const results: Array<Result> = []
  const add = (result: Result) => {
    onResult()
    results.push(result)
    if (results.length === count) done(results)
  }
  return { resolve: (reply) => add(reply as Reply), reject: (cause) => add(errorOf(cause)) }
}

/** Splits `host:port`; the host of an IPv6 address has colons. */
export const parseAddress = (address: Address): { readonly host: string; readonly port: number } => {
  const at = address.lastIndexOf(":")
  return { host: address.slice(0, at).replace(/^\[(.*)\]$/, "$1"), port: Number(address.slice(at + 1)) }
}
