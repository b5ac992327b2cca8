/**
 * The processes of a measurement: a server, and a load generator on another processor.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"

import type { Figures, Outcome } from "./load/channel.ts"
import { arePinned, loadProcessor, serverProcessor } from "./processors.ts"
import type { Kind, Parameters } from "./scenarios.ts"

const pathOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

export interface Run {
  readonly kind: Kind
  readonly parameters: Parameters
}

/** The time that a run may take beyond those in its parameters. */
const LIMIT = 120_000

/** The open files that a process may have; `undefined` where the system does not say so. */
export const maxOpenFiles = (): number | undefined => {
  try {
    // Node raises the soft limit to the hard one when it starts.
    return Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))![1])
  } catch {
    return undefined
  }
}

/** Starts a script that ends with this process. It hears of that through its channel. */
const start = (
  processor: number | undefined,
  script: string,
  args: ReadonlyArray<string>,
  env: NodeJS.ProcessEnv,
  program: ReadonlyArray<string> = [process.execPath, "--expose-gc"]
): ChildProcess => {
  const command = [...program, script, ...args]
  if (arePinned) command.unshift("taskset", "-c", String(processor))
  return spawn(command[0]!, command.slice(1), {
    // Standard output is for the tables.
    stdio: ["ignore", 2, 2, "ipc"],
    env: { ...process.env, ...env }
  })
}

/** The one message that a process sends before it ends. */
const outcomeOf = (child: ChildProcess, limit: number): Promise<Figures> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL")
      reject(new Error(`no result within ${limit} ms`))
    }, limit)
    child.once("message", (outcome: Outcome) => {
      if ("error" in outcome) reject(new Error(outcome.error))
      else resolve(outcome.figures)
    })
    child.once("error", reject)
    child.once("exit", (code, signal) => {
      clearTimeout(timer)
      reject(new Error(`ended without a result (${signal ?? code})`))
    })
  })

const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = Net.connect(port, "127.0.0.1")
    socket.once("connect", () => {
      socket.destroy()
      resolve(true)
    })
    socket.once("error", () => resolve(false))
  })

/** A free port below the range that outgoing connections get theirs from. */
const freePort = async (): Promise<number> => {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 10_000)
    const isFree = await new Promise<boolean>((resolve) => {
      const probe = Net.createServer()
      probe.once("error", () => resolve(false))
      probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)))
    })
    if (isFree) return port
  }
}

const sleep = (milliseconds: number) =>
  new Promise<void>((resolve) => {
    setTimeout(resolve, milliseconds)
  })

const untilListening = async (server: ChildProcess, port: number): Promise<void> => {
  for (let i = 0; i < 600; i++) {
    if (await isListening(port)) return
    if (server.exitCode !== null || server.signalCode !== null) break
    await sleep(50)
  }
  throw new Error("the server does not listen")
}

/** Ends a process, and waits for its end. */
const end = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => {
    child.once("exit", resolve)
  })
  child.kill("SIGTERM")
  const timer = setTimeout(() => child.kill("SIGKILL"), 15_000)
  await gone
  clearTimeout(timer)
}

/** The ports of a server: its own, and the one that says what its process has used. */
export interface Ports {
  readonly port: number
  readonly usagePort: number
}

/** Starts a server, which a script is, for as long as it is used. `program` is what runs it, by default Node. */
export const withServer = async <A>(
  script: string,
  env: Readonly<Record<string, string>>,
  use: (ports: Ports) => Promise<A>,
  program?: ReadonlyArray<string>
): Promise<A> => {
  const port = await freePort()
  const usagePort = await freePort()
  const variables = {
    NODE_ENV: "production",
    // Native helpers that happen to be installed would be a difference between machines.
    WS_NO_BUFFER_UTIL: "1",
    PORT: String(port),
    USAGE_PORT: String(usagePort),
    ...env
  }
  const server = start(serverProcessor, script, [], variables, program)
  try {
    await untilListening(server, port)
    await untilListening(server, usagePort)
    return await use({ port, usagePort })
  } finally {
    await end(server)
  }
}

/** Runs a load against a fresh server, which a script is. */
export const run = (
  script: string,
  { kind, parameters }: Run,
  env: Readonly<Record<string, string>> = {},
  program?: ReadonlyArray<string>
): Promise<Figures> => {
  const use = async (ports: Ports) => {
    const load = start(
      loadProcessor,
      pathOf("load/main.ts"),
      [JSON.stringify({ kind, load: { ...parameters, ...ports } })],
      {}
    )
    try {
      return await outcomeOf(load, LIMIT + 10 * (parameters.warmUp + parameters.duration))
    } finally {
      await end(load)
    }
  }
  return withServer(script, { PING_INTERVAL: String(parameters.pingInterval), ...env }, use, program)
}

/** Runs a script that measures within its own process, on the server's processor. */
export const runAlone = (script: string, argument: unknown): Promise<Figures> =>
  outcomeOf(start(serverProcessor, pathOf(script), [JSON.stringify(argument)], { NODE_ENV: "production" }), 600_000)
