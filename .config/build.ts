/**
 * Builds the package in `dist`, ready for `npm pack ./dist` and `npm publish ./dist`.
 *
 * In the repository the package's own entries point at the TypeScript sources, so that examples and tests import
 * `effect-socket.io/server` as users do and run without a build. The published `package.json` points at the compiled files: Node
 * does not run TypeScript below `node_modules`.
 */
import { execFileSync } from "node:child_process"
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join, posix, relative, resolve } from "node:path"

const root = join(import.meta.dirname, "..")
const dist = join(root, "dist")

rmSync(dist, { recursive: true, force: true })
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc")
execFileSync(process.execPath, [tsc, "-p", join(root, ".config", "tsconfig.build.json")], { stdio: "inherit" })

// The sources beside the maps, so that editors go to a definition in TypeScript, and debuggers show it.
cpSync(join(root, "src"), join(dist, "src"), { recursive: true })
for (const name of readdirSync(dist, { recursive: true, encoding: "utf8" })) {
  if (!name.endsWith(".map")) continue
  const path = join(dist, name)
  const map = JSON.parse(readFileSync(path, "utf8"))
  const sourceOf = (source: string) => join(dist, relative(root, resolve(dirname(path), source)))
  map.sources = map.sources.map((source: string) => relative(dirname(path), sourceOf(source)).replaceAll("\\", "/"))
  writeFileSync(path, JSON.stringify(map))
}

const {
  allowScripts: _,
  bin,
  devDependencies: __,
  exports,
  overrides: ___,
  private: ____,
  scarfSettings: _____,
  scripts: ______,
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
// Texts have no entry.
published["./src/*"] = published["./examples/*"] = null
const commands = Object.entries<string>(bin).map(([name, target]) => [name, compiled(target, ".js")])
writeFileSync(
  join(dist, "package.json"),
  JSON.stringify({ ...manifest, bin: Object.fromEntries(commands), exports: published }, undefined, 2) + "\n"
)
for (const file of ["README.md", "LICENSE"]) cpSync(join(root, file), join(dist, file))

// The examples and guides, and the guide for coding assistants where they look for it.
cpSync(join(root, "examples"), join(dist, "examples"), { recursive: true })
const agents = readFileSync(join(root, "examples", "guides", "agents.md"), "utf8")
writeFileSync(
  join(dist, "AGENTS.md"),
  agents.replaceAll(/\]\((?![a-z]+:|#)([^)#]+)/g, (_link, target) => `](${posix.join("examples/guides", target)}`)
)
