/**
 * Type-checks snippets against the sources, with the project's own options: what users see when they make a mistake.
 */
import { execFile } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { stripVTControlCharacters } from "node:util"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Runs the compiler and gives what it printed. */
export const tsc = (...args: ReadonlyArray<string>): Promise<string> => {
  const bin = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc")
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [bin, "--pretty", "false", ...args], { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error !== null && stdout === "") reject(new Error(`tsc did not run: ${stderr}`))
      else resolve(stdout)
    })
  })
}

/** A line of the source, and what underlines it. */
const FRAME = /^ *(?:\d+ | *~)/

/**
 * The diagnostics of each snippet as editors show them: one line each, explanations and the places that they refer to below, but for the
 * source; all snippets in one run of the compiler, with the project's options or others.
 */
export const diagnosticsOfAll = async (
  sources: Readonly<Record<string, string>>,
  compilerOptions: Readonly<Record<string, unknown>> = {}
): Promise<Record<string, ReadonlyArray<string>>> => {
  // Inside the repository, so that the snippets resolve the package by its own name.
  const cache = join(root, "node_modules", ".cache")
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, "types-"))
  try {
    const names = Object.keys(sources)
    for (const [i, name] of names.entries()) writeFileSync(join(folder, `snippet${i}.ts`), sources[name]!)
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        extends: join(root, "tsconfig.json"),
        compilerOptions: {
          noUnusedLocals: false,
          noUnusedParameters: false,
          rewriteRelativeImportExtensions: false,
          ...compilerOptions
        },
        include: ["*.ts"]
      })
    )
    const diagnostics = names.map((): Array<string> => [])
    let current: Array<string> | undefined
    for (const coloured of (await tsc("--pretty", "true", "-p", folder)).split("\n")) {
      const line = stripVTControlCharacters(coloured)
      const start = /^\S*snippet(\d+)\.ts:.*error TS/.exec(line)
      if (start !== null) current = diagnostics[Number(start[1])]!
      else if (/^\S.*error TS/.test(line)) throw new Error(`unexpected diagnostic: ${line}`)
      else if (/^Found \d+ error/.test(line)) break
      if (line.trim() !== "" && !FRAME.test(line)) current?.push(line)
    }
    return Object.fromEntries(names.map((name, i) => [name, diagnostics[i]!]))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
