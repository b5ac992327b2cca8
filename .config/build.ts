/**
 * Builds the package in `dist`, ready for `npm pack ./dist` and `npm publish ./dist`.
 *
 * In the repository the package's own entries point at the TypeScript sources, so that examples and tests import
 * `effect-socket.io/server` as users do and run without a build. What is published points at the compiled files: Node
 * does not run TypeScript below `node_modules`.
 */
import { execFileSync } from "node:child_process"
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"

const root = join(import.meta.dirname, "..")
const dist = join(root, "dist")

rmSync(dist, { recursive: true, force: true })
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc")
execFileSync(process.execPath, [tsc, "-p", join(root, ".config", "tsconfig.build.json")], { stdio: "inherit" })

const {
  allowScripts: _,
  bin,
  devDependencies: __,
  exports,
  scarfSettings: ___,
  scripts: ____,
  ...manifest
} = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
/** The place of a source's compiled file in what is published. */
const compiled = (target: string, ending: string) => target.replace("./src/", "./").replace(/\.ts$/, ending)

const published: Record<string, unknown> = {}
for (const [entry, target] of Object.entries<string | null>(exports)) {
  published[entry] =
    target === null || !target.endsWith(".ts")
      ? target
      : { types: compiled(target, ".d.ts"), default: compiled(target, ".js") }
}
const commands = Object.entries<string>(bin).map(([name, target]) => [name, compiled(target, ".js")])
writeFileSync(
  join(dist, "package.json"),
  JSON.stringify({ ...manifest, bin: Object.fromEntries(commands), exports: published }, undefined, 2) + "\n"
)
for (const file of ["README.md", "LICENSE"]) cpSync(join(root, file), join(dist, file))
