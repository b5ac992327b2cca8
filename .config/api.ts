/**
 * Writes the API reference to `.api`, from the docstrings. A warning fails it: a broken link, an export that nobody documents.
 *
 *     npm run api
 *
 * TypeDoc uses TypeScript's compiler as a library, which TypeScript 7 does not have. So it gets TypeScript 6, under the name
 * `typescript6`, by a hook of Node's module loader; everything else in the repository uses TypeScript 7.
 */
import { readdirSync, rmSync } from "node:fs"
import { registerHooks } from "node:module"
import { join } from "node:path"
import { parseArgs } from "node:util"

registerHooks({
  resolve: (specifier, context, next) => next(specifier === "typescript" ? "typescript6" : specifier, context)
})

const root = join(import.meta.dirname, "..")

// The first comment of each file is that of its module. TypeDoc knows it by a tag, which nobody else needs.
const { sys } = (await import("typescript6")).default
const { readFile } = sys
sys.readFile = (path, encoding) => {
  const text = readFile(path, encoding)
  return path.startsWith(join(root, "src")) ? text?.replace(/^ \* @since .*$/m, "$& @packageDocumentation") : text
}

const { Application } = await import("typedoc")
const { values } = parseArgs({
  options: {
    out: { type: "string", default: join(root, ".api") },
    /** Looks for warnings, and writes nothing. */
    check: { type: "boolean", default: false }
  }
})

/** Every module is an entry of the package: `effect-socket.io/server/SocketIoServer`. Those that are internal are closed. */
const modules = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter(
  (path) => path.endsWith(".ts") && !/(^|[\\/])(internal[\\/]|index\.ts$)/.test(path)
)
const app = await Application.bootstrap({
  name: "effect-socket.io",
  entryPoints: modules.map((path) => join(root, "src", path)),
  basePath: join(root, "src"),
  displayBasePath: join(root, "src"),
  tsconfig: join(root, ".config", "tsconfig.build.json"),
  // `npm run check` does that.
  skipErrorChecking: true,
  // A clone may have no remote to link to.
  disableSources: true,
  readme: join(root, "README.md"),
  projectDocuments: [join(root, "examples", "guides", "*.md")],
  out: values.out,
  excludeInternal: true,
  excludePrivate: true,
  excludeExternals: true,
  // Helpers of a type stay in their module. A test looks for types of internal modules.
  validation: { notExported: false, notDocumented: true },
  requiredToBeDocumented: ["Module", "Namespace", "Variable", "Class", "Interface", "TypeAlias"],
  highlightLanguages: ["html", "json", "nginx", "shellscript", "typescript", "yaml"],
  treatWarningsAsErrors: true
})
const project = await app.convert()
if (project === undefined) process.exit(1)
app.validate(project)
if (!values.check) {
  rmSync(values.out, { recursive: true, force: true })
  await app.generateOutputs(project)
}
if (app.logger.hasErrors() || app.logger.hasWarnings()) process.exit(1)
