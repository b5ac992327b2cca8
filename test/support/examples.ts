/**
 * Runs an example as users do, as a process of its own.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

import { within } from "./RawClient.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

export interface RunningExample {
  readonly url: string
  /** What it has printed so far. */
  readonly output: () => string
  /** Waits until it has printed what matches. */
  readonly printed: (pattern: RegExp) => Promise<void>
  /** Ends it as Ctrl-C does; gives its exit code. */
  readonly stop: () => Promise<number | null>
}

/** Starts `node examples/<name>` on a free port, and waits until it listens. */
export const runExample = async (name: string, env: Record<string, string> = {}): Promise<RunningExample> => {
  const child = spawn(process.execPath, [`examples/${name}`], {
    cwd: root,
    env: { ...process.env, PORT: "0", NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let output = ""
  const listeners = new Set<() => void>()
  const onData = (chunk: Buffer) => {
    output += chunk
    for (const listener of listeners) listener()
  }
  child.stdout.on("data", onData)
  child.stderr.on("data", onData)
  const closed = new Promise<number | null>((resolve) => child.once("close", resolve))
  const printed = (pattern: RegExp) =>
    within(
      `${String(pattern)} in what ${name} prints`,
      new Promise<void>((resolve, reject) => {
        const check = () => {
          if (!pattern.test(output)) return
          listeners.delete(check)
          resolve()
        }
        listeners.add(check)
        check()
        void closed.then((code) => reject(new Error(`${name} has ended with ${code}: ${output}`)))
      })
    )
  const listening = /listening on http:\/\/[^:]*(?:\[::\])?:(\d+)/i
  await printed(listening)
  return {
    url: `http://localhost:${listening.exec(output)![1]}`,
    output: () => output,
    printed,
    stop: async () => {
      child.kill("SIGINT")
      return within(`end of ${name}`, closed)
    }
  }
}
