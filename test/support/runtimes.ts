/**
 * The test application on each of the runtimes, in a process of its own.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

import { within } from "./RawClient.ts"
import type { Answer, Command } from "./runtimeHost.ts"
import { type Edge, type Runtime, type RuntimeName, runtimes } from "./runtimePrograms.ts"
import { root } from "./sources.ts"
import type { RunningServer, TestServerOptions } from "./TestServer.ts"

/** Starts a script of this folder on a runtime. It ends with its standard input. */
export const startOn = (
  { command }: Runtime,
  script: string,
  env: Record<string, string> = {},
  more: ReadonlyArray<string> = []
): ChildProcess => {
  const [program, ...args] = command
  return spawn(program!, [...args, fileURLToPath(new URL(script, import.meta.url)), ...more], {
    stdio: ["pipe", "pipe", "inherit"],
    cwd: root,
    env: { ...process.env, ...env }
  })
}

/** A process that runs servers on a runtime. */
export class RuntimeHost {
  readonly child: ChildProcess
  private readonly edge: Edge
  private readonly waiting = new Map<number, (answer: Answer) => void>()
  private ids = 0
  private failure: Error | undefined

  constructor(runtime: Runtime) {
    this.edge = runtime.edge
    this.child = startOn(runtime, "runtimeHost.ts")
    createInterface({ input: this.child.stdout! }).on("line", (line) => {
      const answer = JSON.parse(line) as Answer
      this.waiting.get(answer.id)?.(answer)
      this.waiting.delete(answer.id)
    })
    this.child.once("error", (error) => {
      this.failure = error
    })
    this.child.once("close", (code) => {
      this.failure ??= new Error(`${runtime.name} has ended with ${code}`)
      for (const [id, resolve] of this.waiting) resolve({ id, error: this.failure.message })
    })
    // The tests end without waiting for it, and it ends with them.
    this.child.unref()
    for (const stream of [this.child.stdin, this.child.stdout]) (stream as unknown as { unref(): void }).unref()
  }

  private async ask(
    command:
      | { readonly start: Extract<Command, { start: unknown }>["start"] }
      | { readonly stop: number }
      | { readonly memory: true }
  ) {
    if (this.failure !== undefined) throw this.failure
    const id = ++this.ids
    const answered = new Promise<Answer>((resolve) => this.waiting.set(id, resolve))
    this.child.stdin!.write(`${JSON.stringify({ id, ...command })}\n`)
    const answer = await within("answer of a runtime", answered)
    if ("error" in answer) throw new Error(answer.error)
    return answer
  }

  /** The memory of the process, in bytes. */
  async memory(): Promise<number> {
    const answer = await this.ask({ memory: true })
    if (!("memory" in answer)) throw new Error("no memory")
    return answer.memory
  }

  /** Ends the process. */
  async end(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.child.once("close", () => resolve()))
    this.child.stdin!.end()
    await within("end of a runtime", ended)
  }

  async start(options: Omit<TestServerOptions, "page"> = {}): Promise<RunningServer> {
    const answer = await this.ask({ start: { ...options, edge: this.edge } })
    if (!("port" in answer)) throw new Error("no port")
    const { id, port } = answer
    return {
      url: `http://127.0.0.1:${port}`,
      port,
      stop: async () => void (await this.ask({ stop: id }))
    }
  }
}

const hosts = new Map<RuntimeName, RuntimeHost>()

/** Starts the test application on a runtime; servers of one runtime share its process. */
export const startOnRuntime = (name: RuntimeName, options: TestServerOptions = {}): Promise<RunningServer> => {
  let host = hosts.get(name)
  if (host === undefined) hosts.set(name, (host = new RuntimeHost(runtimes[name])))
  return host.start(options)
}
