/**
 * Runs an example as users do, as a process of its own.
 */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

import { within } from "./RawClient.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** A process that runs an example. */
export interface ExampleProcess {
  /** Its output so far. */
  readonly output: () => string
  /** Waits until it has printed what matches; some start several processes, which takes longer. */
  readonly printed: (pattern: RegExp, millis?: number) => Promise<void>
  /** Types a line. */
  readonly type: (line: string) => void
  /** Waits until it has ended by itself; gives its exit code. */
  readonly ended: () => Promise<number | null>
  /** Ends it as Ctrl-C does; gives its exit code. */
  readonly stop: () => Promise<number | null>
}

/** Starts `node examples/<name>`, or another runtime with it. */
export const startExample = (
  name: string,
  args: ReadonlyArray<string> = [],
  env: Record<string, string> = {},
  [program, ...flags]: ReadonlyArray<string> = [process.execPath]
): ExampleProcess => {
  const child = spawn(program!, [...flags, `examples/${name}`, ...args], {
    cwd: root,
    env: { ...process.env, PORT: "0", NO_COLOR: "1", ...env },
    stdio: ["pipe", "pipe", "pipe"]
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
  return {
    output: () => output,
    printed: (pattern, millis) =>
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
        }),
        millis
      ),
    ended: () => within(`end of ${name}`, closed),
    type: (line) => void child.stdin.write(`${line}\n`),
    stop: async () => {
      child.kill("SIGINT")
      return within(`end of ${name}`, closed)
    }
  }
}

export interface RunningExample extends ExampleProcess {
  readonly url: string
}

/** Starts an example that is a server on a free port, and waits until it listens. */
export const runExample = async (
  name: string,
  env: Record<string, string> = {},
  command?: ReadonlyArray<string>
): Promise<RunningExample> => {
  const running = startExample(name, [], env, command)
  // Bun says it in other words where it serves what a module exports.
  const listening = /(?:listening on|development server:) http:\/\/[^:]*(?:\[::\])?:(\d+)/i
  await running.printed(listening)
  return { ...running, url: `http://localhost:${listening.exec(running.output())![1]}` }
}
