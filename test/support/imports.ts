/**
 * Import circles, and imports of another floor's internals.
 */
import { posix } from "node:path"

import { filesBelow, importsOf, read } from "./sources.ts"

/** The files that each file imports, types included, by path. */
export type Imports = ReadonlyMap<string, ReadonlyArray<string>>

/** The imports among some files. Imports of packages, and of files that are not given, are left out. */
export const importsAmong = (sources: ReadonlyMap<string, string>): Imports => {
  const imports = new Map<string, ReadonlyArray<string>>()
  for (const [path, source] of sources) {
    const targets = importsOf(source)
      .filter((specifier) => specifier.startsWith("."))
      .map((specifier) => posix.join(posix.dirname(path), specifier))
    imports.set(path, Array.from(new Set(targets.filter((target) => sources.has(target)))))
  }
  return imports
}

/** The imports among the TypeScript files below a folder of the repository. */
export const importsBelow = (folder: string): Imports => {
  const paths = filesBelow(folder).filter((path) => path.endsWith(".ts"))
  return importsAmong(new Map(paths.map((path) => [path, read(path)])))
}

/** The sets of files that import each other, directly or not: the strongly connected components (Tarjan). */
export const circlesOf = (imports: Imports): ReadonlyArray<ReadonlyArray<string>> => {
  const circles: Array<ReadonlyArray<string>> = []
  const order = new Map<string, number>()
  const lowest = new Map<string, number>()
  const path: Array<string> = []
  const visit = (file: string): void => {
    order.set(file, order.size)
    lowest.set(file, order.get(file)!)
    path.push(file)
    for (const target of imports.get(file) ?? []) {
      if (!order.has(target)) visit(target)
      if (path.includes(target)) lowest.set(file, Math.min(lowest.get(file)!, lowest.get(target)!))
    }
    if (lowest.get(file) !== order.get(file)) return
    const circle = path.splice(path.indexOf(file))
    if (circle.length > 1 || imports.get(file)?.includes(file)) circles.push(circle.toSorted())
  }
  for (const file of imports.keys()) if (!order.has(file)) visit(file)
  return circles
}

/** The imports of a file below an `internal` folder by a file that is not below that folder's parent. */
export const foreignInternals = (imports: Imports): ReadonlyArray<string> => {
  const foreign: Array<string> = []
  for (const [path, targets] of imports) {
    for (const target of targets) {
      const at = target.indexOf("/internal/")
      if (at < 0) continue
      // The internals at the root of the sources are those of all floors.
      const owner = target.slice(0, at)
      if (owner.includes("/") && !path.startsWith(`${owner}/`)) foreign.push(`${path} imports ${target}`)
    }
  }
  return foreign
}
