/**
 * Servers as processes of their own.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

import { within } from "./RawClient.ts"

const entry = fileURLToPath(new URL("proxy-worker.ts", import.meta.url))

export interface RunningWorker {
  readonly pid: number
  readonly url: string
  /** What it has printed until now. */
  readonly output: string
  stop(): Promise<void>
}

/** Starts the test application on a free port, with flags of Node, and waits until it listens. */
export const startWorker = async (...flags: ReadonlyArray<string>): Promise<RunningWorker> => {
  const child = spawn(process.execPath, [...flags, entry], { stdio: "pipe" })
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
    })
  )
  return {
    pid: child.pid!,
    url: `http://127.0.0.1:${port}`,
    get output() {
      return output
    },
    stop: () => {
      child.stdin.end()
      return within("end of a worker", closed)
    }
  }
}
