/**
 * The programs of the runtimes that the library runs on. npm brings them: they are dependencies of the development.
 */
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

export type Edge = "node" | "bun" | "deno"

export interface Runtime {
  readonly name: string
  readonly edge: Edge
  /** The program and the arguments before a script. */
  readonly command: ReadonlyArray<string>
}

const executable = (path: string): string => fileURLToPath(new URL(`../../node_modules/${path}`, import.meta.url))

const node = (folder: string) => ({ edge: "node", command: [executable(`${folder}/bin/node`)] }) as const

const bun = executable("bun/bin/bun.exe")
const deno = executable("deno/deno")

/** By the value of `SOCKETIO_TARGET`. */
export const runtimes = {
  node22: { name: "Node 22", ...node("node22") },
  node24: { name: "Node 24", ...node("node") },
  node26: { name: "Node 26", ...node("node26") },
  bun: { name: "Bun", edge: "bun", command: [bun] },
  deno: { name: "Deno", edge: "deno", command: [deno, "run", "--allow-all", "--no-prompt", "--v8-flags=--expose-gc"] },
  /** The edge of Node, on the other two. */
  "node-on-bun": { name: "the edge of Node on Bun", edge: "node", command: [bun] },
  "node-on-deno": {
    name: "the edge of Node on Deno",
    edge: "node",
    command: [deno, "run", "--allow-all", "--no-prompt", "--v8-flags=--expose-gc"]
  }
} satisfies Record<string, Runtime>

export type RuntimeName = keyof typeof runtimes

export const isRuntime = (name: string | undefined): name is RuntimeName =>
  name !== undefined && Object.hasOwn(runtimes, name)

export const isInstalled = (name: RuntimeName): boolean => existsSync(runtimes[name].command[0]!)
