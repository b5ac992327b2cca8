/**
 * The scripts of the servers that are measured.
 */
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join, resolve } from "node:path"

import { root } from "../support/sources.ts"

const own = resolve(root)

/** The official server, ours, or that of another checkout. */
export type ServerName = "reference" | "ours" | "other"

/**
 * Compiles both servers of a checkout, and all that they import of it: so it is published, and what compiles at run time would be in
 * memory with what is measured. The files are there until this process ends. Packages are the checkout's own, or ours where it has none.
 */
const compile = (checkout: string): string => {
  const project = join(checkout, ".config", "tsconfig.bench.json")
  if (!existsSync(project)) throw new Error(`no checkout of this project: ${checkout}`)
  const packages = join(existsSync(join(checkout, "node_modules")) ? checkout : root, "node_modules")
  // Git does not look there.
  const directory = join(packages, ".cache", `bench-${process.pid}-${checkout === own ? "ours" : "other"}`)
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }))
  mkdirSync(directory, { recursive: true })
  writeFileSync(join(directory, "package.json"), JSON.stringify({ type: "module" }))
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc")
  const types = join(packages, "@types")
  execFileSync(process.execPath, [tsc, "-p", project, "--outDir", directory, "--typeRoots", types], {
    // Standard output is for the tables.
    stdio: ["ignore", 2, 2]
  })
  return join(directory, "test", "bench")
}

const compiled = new Map<string, string>()

/** The script of a server; of the other checkout's, `against` is the folder. */
export const scriptOf = (name: ServerName, against?: string): string => {
  const checkout = name === "other" ? resolve(against!) : own
  let folder = compiled.get(checkout)
  if (folder === undefined) compiled.set(checkout, (folder = compile(checkout)))
  return join(folder, name === "reference" ? "reference.js" : "target.js")
}
