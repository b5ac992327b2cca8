/**
 * The sources and what they import.
 */
import { readdirSync, readFileSync } from "node:fs"
import { posix } from "node:path"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("../..", import.meta.url))

/** The files below a folder of the repository, as paths from its root. */
export const filesBelow = (folder: string): ReadonlyArray<string> =>
  readdirSync(`${root}${folder}`, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.join(entry.parentPath, entry.name).slice(root.length))
    .toSorted()

export const read = (path: string): string => readFileSync(root + path, "utf8")

const withoutComments = (source: string): string =>
  source.replaceAll(/\/\*[^]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "")

/** The modules that a module imports and exports from, types included. */
export const importsOf = (source: string): ReadonlyArray<string> => {
  const code = withoutComments(source)
  const found: Array<string> = []
  const statements = /^\s*(?:import|export)\b(?:[^"';]*?\bfrom)?\s*["']([^"']+)["']/gm
  const calls = /\bimport\s*\(\s*["']([^"']+)["']/g
  for (const pattern of [statements, calls]) for (const match of code.matchAll(pattern)) found.push(match[1]!)
  return found
}
