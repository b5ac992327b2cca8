/**
 * The scripts of the servers that are measured.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"

import { root } from "../support/sources.ts"

export type ServerName = "reference" | "ours"

/** Packages are found from here, and git does not look here. */
const directory = join(root, "node_modules", ".cache", `bench-${process.pid}`)

/**
 * Compiles both servers, and all that they import of this project: so it is published, and what compiles at run time would be in memory
 * with what is measured. The files are there until this process ends.
 */
const compile = (): Readonly<Record<ServerName, string>> => {
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }))
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, "package.json"), JSON.stringify({ type: "module" }))
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc")
  const project = join(root, ".config", "tsconfig.bench.json")
  execFileSync(process.execPath, [tsc, "-p", project, "--outDir", directory], { stdio: "inherit" })
  const bench = join(directory, "test", "bench")
  return { reference: join(bench, "reference.js"), ours: join(bench, "target.js") }
}

let compiled: ReturnType<typeof compile> | undefined

/** The script of a server. */
export const scriptOf = (name: ServerName): string => (compiled ??= compile())[name]
