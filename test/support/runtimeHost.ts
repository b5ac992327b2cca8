/**
 * Runs the test application on the edge of another runtime. Commands come as lines of JSON over the standard input, and answers leave
 * over the standard output. It ends with its input, so that it does not outlive the tests.
 */
import { createInterface } from "node:readline"
import { Effect, Exit, Layer, Logger, Scope } from "effect"

import * as NodeSocketIoServer from "../../src/node/NodeSocketIoServer.ts"
import * as BunSocketIoServer from "../../src/web/BunSocketIoServer.ts"
import * as DenoSocketIoServer from "../../src/web/DenoSocketIoServer.ts"
import * as Application from "./application.ts"
import type { Edge } from "./runtimePrograms.ts"

export type Command =
  | {
      readonly id: number
      readonly start: Application.ApplicationOptions & { readonly port?: number; readonly edge: Edge }
    }
  | { readonly id: number; readonly stop: number }
  | { readonly id: number; readonly memory: true }

export type Answer = { readonly id: number } & (
  | { readonly port: number }
  | { readonly error: string }
  | { readonly stopped: true }
  | { readonly memory: number }
)

const edges = {
  node: NodeSocketIoServer.layer,
  bun: BunSocketIoServer.layer,
  deno: DenoSocketIoServer.layer
}

const scopes = new Map<number, Scope.Closeable>()

const answer = (text: Answer) => console.log(JSON.stringify(text))

const start = async ({ edge, port = 0, ...options }: Extract<Command, { start: unknown }>["start"], id: number) => {
  let listening = ""
  const logger = Logger.make(({ message }) => {
    listening += String(message)
  })
  const server = edges[edge]({ port, host: "127.0.0.1", ...Application.serverOptions(options) })
  const scope = Scope.makeUnsafe()
  scopes.set(id, scope)
  await Effect.runPromise(Layer.buildWithScope(Application.layer(server, options, logger), scope))
  answer({ id, port: Number(/listening on http:\/\/[^/]*:(\d+)\//.exec(listening)![1]) })
}

/** The memory of the process in bytes, with what the platform holds, when what is garbage has gone. */
const memory = async (): Promise<number> => {
  const { Bun, gc } = globalThis as { readonly Bun?: { gc(now: boolean): void }; readonly gc?: () => void }
  let least = Infinity
  for (let i = 0; i < 5; i++) {
    if (Bun === undefined) gc?.()
    else Bun.gc(true)
    await new Promise((resolve) => setTimeout(resolve, 20))
    least = Math.min(least, process.memoryUsage().rss)
  }
  return least
}

const handle = async (command: Command) => {
  if ("memory" in command) return answer({ id: command.id, memory: await memory() })
  if ("start" in command) return start(command.start, command.id)
  await Effect.runPromise(Scope.close(scopes.get(command.stop)!, Exit.void))
  scopes.delete(command.stop)
  answer({ id: command.id, stopped: true })
}

const lines = createInterface({ input: process.stdin })
lines.on("line", (line) => {
  const command = JSON.parse(line) as Command
  handle(command).catch((error) => answer({ id: command.id, error: String(error?.stack ?? error) }))
})
lines.on("close", () => process.exit())
