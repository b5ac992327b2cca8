/**
 * Redis for a test: real servers on free ports of 127.0.0.1, in a folder of their own that is deleted with them.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { createServer, type AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { Effect, type Scope } from "effect"

import { redisCli, redisServer } from "./peers.ts"

const run = promisify(execFile)

const command = async (port: number, ...args: ReadonlyArray<string>): Promise<string> =>
  (await run(redisCli!, ["-h", "127.0.0.1", "-p", String(port), ...args], { timeout: 5_000 })).stdout.trim()

/** Tries until there is a value other than `undefined`. */
export const until = async <A>(
  what: string,
  attempt: () => A | undefined | Promise<A | undefined>,
  { timeout = 15_000, every = 20 }: { readonly timeout?: number; readonly every?: number } = {}
): Promise<A> => {
  const end = performance.now() + timeout
  let cause: unknown
  for (;;) {
    try {
      const value = await attempt()
      if (value !== undefined) return value
    } catch (error) {
      cause = error
    }
    if (performance.now() > end) throw new Error(`gave up waiting for ${what}`, { cause })
    await new Promise((resolve) => setTimeout(resolve, every))
  }
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

/** One Redis server. */
export class RunningRedis {
  readonly port: number
  /** `redis://127.0.0.1:port` */
  readonly url: string
  private readonly settings: ReadonlyArray<string>
  private child: ChildProcess | undefined

  constructor(port: number, folder: string, args: ReadonlyArray<string>) {
    this.port = port
    this.url = `redis://127.0.0.1:${port}`
    const persistence = ["--save", "", "--appendonly", "no"]
    this.settings = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, ...persistence, ...args]
  }

  /** Starts it, also again after `kill`: on the same port, and empty. Resolves when it answers. */
  async start(): Promise<void> {
    const child = spawn(redisServer!, this.settings, { stdio: ["ignore", "pipe", "pipe"] })
    let log = ""
    const keep = (chunk: Buffer) => {
      log = (log + chunk).slice(-4_000)
    }
    child.stdout.on("data", keep)
    child.stderr.on("data", keep)
    this.child = child
    await until(`redis on ${this.port}`, async () => {
      if (child.exitCode !== null) return true
      return (await this.command("ping")) === "PONG" ? true : undefined
    })
    if (child.exitCode !== null) throw new Error(`redis on ${this.port} has not started: ${log}`)
  }

  /** Runs a command with redis-cli, and gives what it prints. */
  command(...args: ReadonlyArray<string>): Promise<string> {
    return command(this.port, ...args)
  }

  /** SIGKILL. Resolves when the process has ended. */
  async kill(): Promise<void> {
    const { child } = this
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once("exit", resolve))
    child.kill("SIGKILL")
    await ended
  }

  /** SIGSTOP: connections stay, and nothing is answered. */
  pause(): void {
    this.child?.kill("SIGSTOP")
  }

  /** SIGCONT, after `pause`. */
  resume(): void {
    this.child?.kill("SIGCONT")
  }

  /** Ends it without waiting, as the process itself ends. */
  end(): void {
    this.child?.kill("SIGKILL")
  }
}

export interface RedisOptions {
  /** Further arguments of `redis-server`. */
  readonly args?: ReadonlyArray<string>
  /** A Redis Cluster of so many masters; 0, the default, is one server alone. */
  readonly masters?: number
  /** Replicas of each master. */
  readonly replicas?: number
}

/** The servers of a test. */
export interface RunningServers {
  /** All of them; of a Redis Cluster the masters come first. */
  readonly servers: ReadonlyArray<RunningRedis>
  /** The first one. */
  readonly server: RunningRedis
  /** The address of the first one; of a Redis Cluster all addresses with commas. */
  readonly url: string
  stop(): Promise<void>
}

const isClusterReady = async (servers: ReadonlyArray<RunningRedis>): Promise<true | undefined> => {
  for (const server of servers) {
    const info = await server.command("cluster", "info")
    if (!info.includes("cluster_state:ok") || !info.includes(`cluster_known_nodes:${servers.length}`)) return undefined
    // A replica that has never been in step does not take over.
    if ((await server.command("info", "replication")).includes("master_link_status:down")) return undefined
  }
  return true
}

/** Starts one server, or a Redis Cluster, and waits until it can be used. */
export const startRedis = async ({
  args = [],
  masters = 0,
  replicas = 0
}: RedisOptions = {}): Promise<RunningServers> => {
  const root = mkdtempSync(join(tmpdir(), "redis-"))
  const servers: Array<RunningRedis> = []
  const onExit = () => {
    for (const server of servers) server.end()
    rmSync(root, { recursive: true, force: true, maxRetries: 5 })
  }
  process.once("exit", onExit)
  const stop = async () => {
    process.off("exit", onExit)
    await Promise.all(servers.map((server) => server.kill()))
    rmSync(root, { recursive: true, force: true, maxRetries: 5 })
  }
  const clustered = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"]
  const all = masters > 0 ? [...clustered, "--cluster-require-full-coverage", "no", ...args] : args
  try {
    while (servers.length < Math.max(1, masters * (1 + replicas))) {
      const port = await freePort()
      // The servers of a Redis Cluster talk to each other on the port + 10000.
      if (masters > 0 && port > 55_000) continue
      const folder = join(root, String(port))
      mkdirSync(folder)
      const server = new RunningRedis(port, folder, all)
      // The port may have been taken since it was free: then another one is tried.
      try {
        await server.start()
      } catch (error) {
        if (!String(error).includes("Address already in use")) throw error
        continue
      }
      servers.push(server)
    }
    if (masters > 0) {
      const addresses = servers.map(({ port }) => `127.0.0.1:${port}`)
      const create = ["--cluster", "create", ...addresses, "--cluster-replicas", String(replicas), "--cluster-yes"]
      await run(redisCli!, create, { timeout: 30_000 })
      await until("the Redis Cluster", () => isClusterReady(servers), { timeout: 30_000 })
    }
  } catch (error) {
    await stop()
    throw error
  }
  return { servers, server: servers[0]!, url: servers.map(({ url }) => url).join(","), stop }
}

/** Redis until the scope closes. */
export const redis = (options?: RedisOptions): Effect.Effect<RunningServers, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => startRedis(options)),
    (running) => Effect.promise(() => running.stop())
  )
