/**
 * The nodes of a cluster, each a process of its own that is told over HTTP what to do (see `control.ts`), and official clients of them.
 */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { io, type Socket } from "socket.io-client"

import { within } from "../support/RawClient.ts"
import { type RunningServers, startRedis, until } from "../support/redisServer.ts"
import type { Operations, Ready } from "./control.ts"
import { parse, stringify } from "./wire.ts"

export type Kind = "official" | "ours"

/** `redis` is the classic adapter; nodes of `cluster` are workers of Node's cluster module. */
export type AdapterName = "memory" | "redis" | "sharded" | "streams" | "cluster"

export type Environment = Readonly<Record<string, string>>

const pathOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

const programs: Record<Kind, string> = { official: pathOf("official.ts"), ours: pathOf("node.ts") }

/** The command for a primary: to start a worker. It answers with {@link Ready} or an error, and tells of its end. */
export interface WorkerOrder {
  readonly name: string
  readonly program: string
  readonly env: Environment
}

/** The messages of a primary. */
export interface WorkerNews {
  readonly name: string
  readonly ready?: Ready
  readonly exit?: string
}

/** Processes write warnings about experiments of Node otherwise. */
const execArgv = ["--disable-warning=ExperimentalWarning"]

/** A process that ends with this one, and the end of what it has written. */
const start = (program: string, env: Environment) => {
  const child = fork(program, [], {
    execArgv,
    env: { ...process.env, NODE_CHANNEL_FD: undefined, NODE_UNIQUE_ID: undefined, ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    serialization: "advanced"
  })
  const output = { text: "" }
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on("data", (chunk: Buffer) => {
      output.text = (output.text + chunk).slice(-8_000)
    })
  }
  return { child, output }
}

/** A node in its process. */
export class Node {
  readonly name: string
  readonly kind: Kind
  readonly ready: Ready
  readonly url: string
  /** The code or signal with which the process has ended. */
  exit: string | undefined = undefined
  readonly ended: Promise<string>
  private readonly output: { readonly text: string }

  constructor(name: string, kind: Kind, ready: Ready, ended: Promise<string>, output: { readonly text: string }) {
    this.name = name
    this.kind = kind
    this.ready = ready
    this.url = `http://127.0.0.1:${ready.port}`
    this.output = output
    this.ended = ended.then((exit) => (this.exit = exit))
  }

  /** The end of what the process has written: its log, and its last words. */
  get log(): string {
    return this.output.text
  }

  /** Has it do something, and gives what it answers. */
  async call<K extends keyof Operations>(
    operation: K,
    ...[input = {}, timeout = 30_000]: [input?: Parameters<Operations[K]>[0], timeout?: number]
  ): Promise<ReturnType<Operations[K]>> {
    const response = await fetch(`http://127.0.0.1:${this.ready.controlPort}/${operation}`, {
      method: "POST",
      body: stringify(input),
      signal: AbortSignal.timeout(timeout)
    })
    const answer = parse(await response.text())
    if (answer.failure !== undefined) throw new Error(`${this.name} ${operation}: ${answer.failure}`)
    return answer
  }

  signal(signal: NodeJS.Signals): void {
    if (this.exit === undefined) process.kill(this.ready.pid, signal)
  }

  /** SIGKILL, and waits for the end. */
  async kill(): Promise<void> {
    try {
      this.signal("SIGKILL")
    } catch {
      // It has just ended.
    }
    await this.ended
  }
}

/** Starts nodes as children of this process. */
const startAlone = async (kind: Kind, name: string, env: Environment): Promise<Node> => {
  const { child, output } = start(programs[kind], { ...env, NODE_NAME: name })
  const ended = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => resolve(signal ?? String(code)))
  })
  const ready = await new Promise<Ready>((resolve, reject) => {
    child.on("message", (message: { readonly ready?: Ready }) => {
      if (message.ready !== undefined) resolve(message.ready)
    })
    void ended.then((exit) => reject(new Error(`node ${name} has ended (${exit}): ${output.text}`)))
  })
  return new Node(name, kind, ready, ended, output)
}

/** A primary of Node's cluster module, a process of its own, that starts nodes as its workers. */
class Primary {
  private readonly child: ChildProcess
  private readonly output: { readonly text: string }
  private readonly waiting = new Map<string, (news: WorkerNews) => void>()

  constructor(kind: Kind) {
    const { child, output } = start(pathOf("primary.ts"), { PRIMARY: kind })
    this.child = child
    this.output = output
    child.on("message", (news: WorkerNews) => this.waiting.get(news.name)?.(news))
    child.once("exit", () => {
      for (const [name, tell] of this.waiting) tell({ name, exit: "its primary has ended" })
    })
  }

  async start(kind: Kind, name: string, env: Environment): Promise<Node> {
    const ended = Promise.withResolvers<string>()
    const ready = await new Promise<Ready>((resolve, reject) => {
      this.waiting.set(name, ({ exit, ready }) => {
        if (ready !== undefined) resolve(ready)
        if (exit === undefined) return
        this.waiting.delete(name)
        ended.resolve(exit)
        reject(new Error(`node ${name} has ended (${exit}): ${this.output.text}`))
      })
      this.child.send({ name, program: programs[kind], env: { ...env, NODE_NAME: name } } satisfies WorkerOrder)
    })
    return new Node(name, kind, ready, ended.promise, this.output)
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => {
      this.child.once("exit", resolve)
    })
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    this.child.kill("SIGTERM")
    await ended
  }
}

export interface ClusterOptions {
  readonly adapter: AdapterName
  readonly kinds: ReadonlyArray<Kind>
  /** A Redis that is there already. */
  readonly redis?: RunningServers | undefined
  /** On a Redis Cluster of so many masters. */
  readonly masters?: number
  readonly replicas?: number
  /** The settings of nodes beside addresses. */
  readonly env?: Environment
  /** The primary of the adapter `cluster`. Default: this library's, if one of the nodes is. */
  readonly primary?: Kind
}

/** A cluster of nodes. */
export interface Cluster {
  readonly redis: RunningServers | undefined
  readonly nodes: ReadonlyArray<Node>
  /** One more node. */
  start(kind: Kind): Promise<Node>
  stop(): Promise<void>
}

const needsRedis = (adapter: AdapterName): boolean => ["redis", "sharded", "streams"].includes(adapter)

/** Starts a cluster, and waits until every node knows of every other. */
export const startCluster = async ({
  adapter,
  env = {},
  kinds,
  masters = 0,
  primary: primaryKind = kinds.includes("ours") ? "ours" : "official",
  redis: given,
  replicas = 0
}: ClusterOptions): Promise<Cluster> => {
  const redis = given ?? (needsRedis(adapter) ? await startRedis({ masters, replicas }) : undefined)
  const primary = adapter === "cluster" ? new Primary(primaryKind) : undefined
  const nodes: Array<Node> = []
  let number = 0
  const next = async (kind: Kind): Promise<Node> => {
    const name = `${kind}${number++}`
    const all = { ADAPTER: adapter, ...(redis !== undefined && { REDIS_URL: redis.url }), ...env }
    return primary === undefined ? startAlone(kind, name, all) : primary.start(kind, name, all)
  }
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.kill()))
    await primary?.stop()
    if (given === undefined) await redis?.stop()
  }
  try {
    const started = await Promise.allSettled(kinds.map(next))
    for (const result of started) if (result.status === "fulfilled") nodes.push(result.value)
    for (const result of started) if (result.status === "rejected") throw result.reason
    if (adapter !== "memory") {
      await until("every node to know of every other", async () => {
        const counts = await Promise.all(nodes.map((node) => node.call("serverCount", {}, 8_000)))
        return counts.every(({ count }) => count === nodes.length) ? true : undefined
      })
    }
  } catch (error) {
    await stop()
    throw error
  }
  return {
    redis,
    nodes,
    async start(kind) {
      const node = await next(kind)
      nodes.push(node)
      return node
    },
    stop
  }
}

/** An official client of a node. It answers `ask` with its name. */
export interface Client {
  readonly name: string
  readonly node: Node
  readonly socket: Socket
  readonly id: string
  /** The events that it has heard, as `[event, ...arguments]`. */
  readonly heard: Array<ReadonlyArray<any>>
  /** The reason of its disconnection. */
  gone: string | undefined
}

export interface ClientOptions {
  readonly name: string
  readonly nsp?: string
  readonly rooms?: ReadonlyArray<string>
  readonly data?: Readonly<Record<string, unknown>>
}

/** Connects a client, and waits until it is in its rooms. */
export const startClient = async (
  node: Node,
  { data, name, nsp = "/", rooms = [] }: ClientOptions
): Promise<Client> => {
  const socket = io(node.url + nsp, {
    transports: ["websocket"],
    forceNew: true,
    reconnection: false,
    auth: { name, rooms, data }
  })
  const heard: Array<ReadonlyArray<unknown>> = []
  const known: { gone: string | undefined } = { gone: undefined }
  socket.onAny((...event: Array<unknown>) => heard.push(event.filter((part) => typeof part !== "function")))
  socket.on("ask", (_, answer: (value: unknown) => void) => answer(name))
  const client = Object.assign(known, { name, node, socket, heard, id: "" })
  socket.on("disconnect", (reason) => {
    client.gone = reason
  })
  await within(
    `connection of ${name}`,
    new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve)
      socket.once("connect_error", reject)
    })
  )
  await socket.timeout(5_000).emitWithAck("sync")
  client.id = socket.id!
  return client
}
