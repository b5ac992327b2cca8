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
  stop(): Promise<void>
}

/** Starts the test application on a free port, and waits until it listens. */
export const startWorker = async (): Promise<RunningWorker> => {
  const child = spawn(process.execPath, [entry], { stdio: "pipe" })
  let errors = ""
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk
  })
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()))
  const port = await within(
    "port of a worker",
    new Promise<number>((resolve, reject) => {
      // One short line arrives in one piece.
      child.stdout.once("data", (line: Buffer) => resolve(Number(String(line))))
      void closed.then(() => reject(new Error(`a worker has ended: ${errors}`)))
    })
  )
  return {
    pid: child.pid!,
    url: `http://127.0.0.1:${port}`,
    stop: () => {
      child.stdin.end()
      return within("end of a worker", closed)
    }
  }
}
