/**
 * Servers as processes of their own.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

import { within } from "./RawClient.ts"

const program = (name: string) => fileURLToPath(new URL(name, import.meta.url))

export interface RunningWorker {
  readonly pid: number
  readonly url: string
  /** Its output until now. */
  readonly output: string
  /** Resolves when it has ended. */
  readonly closed: Promise<void>
  stop(): Promise<void>
  /** Ends it as it is (SIGKILL), or in good order (SIGTERM). */
  kill(signal: "SIGKILL" | "SIGTERM"): Promise<void>
}

/** Starts the test application on a free port, with flags of Node, and waits until it listens. */
export const startWorker = (...flags: ReadonlyArray<string>): Promise<RunningWorker> =>
  start([...flags, program("proxy-worker.ts")])

/** Starts a server that passes requests on to the others of its folder; without a folder it does not. */
export const startRoutedWorker = (folder: string, port = 0): Promise<RunningWorker> =>
  start([program("routed-worker.ts")], { DIRECTORY: folder, PORT: String(port) })

/** A program takes long to start on a busy machine. */
const STARTING = 60_000

const start = async (args: ReadonlyArray<string>, env: Record<string, string> = {}): Promise<RunningWorker> => {
  const child = spawn(process.execPath, args, { stdio: "pipe", env: { ...process.env, ...env } })
  let output = ""
  let errors = ""
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk
  })
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()))
  const port = await within(
    "port of a worker",
    new Promise<number>((resolve, reject) => {
      child.stdout.on("data", (chunk: Buffer) => {
        output += chunk
        // Flags may have it print more.
        const line = /^(\d+)\n/m.exec(output)
        if (line !== null) resolve(Number(line[1]))
      })
      void closed.then(() => reject(new Error(`a worker has ended: ${errors}`)))
    }),
    STARTING
  )
  return {
    pid: child.pid!,
    url: `http://127.0.0.1:${port}`,
    get output() {
      return output
    },
    closed,
    stop: () => {
      child.stdin.end()
      return within("end of a worker", closed)
    },
    kill: (signal) => {
      child.kill(signal)
      return within("end of a worker", closed)
    }
  }
}
