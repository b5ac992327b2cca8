/**
 * The examples of the docstrings, as programs. An example says what is new to its reader, so it may leave out the imports of well-known
 * names and the declarations around it.
 */
import { contexts, declarations } from "./docContexts.ts"
import { filesBelow, read, root } from "./sources.ts"

export interface DocExample {
  /** The file and the title. */
  readonly name: string
  readonly title: string
  readonly code: string
}

/** The blocks of TypeScript in the comments of a source. */
const examplesOf = (path: string): ReadonlyArray<DocExample> => {
  const found: Array<DocExample> = []
  for (const [comment] of read(path).matchAll(/\/\*\*[^]*?\*\//g)) {
    const text = comment.replaceAll(/^ *\* ?/gm, "")
    for (const { 1: code, index } of text.matchAll(/^```ts\n([^]*?)^```$/gm)) {
      const titles = Array.from(text.slice(0, index).matchAll(/^\*\*Example\*\* \((.*)\)$/gm))
      const title = titles.at(-1)?.[1] ?? `without a title, number ${found.length + 1}`
      found.push({ name: `${path}: ${title}`, title, code: code! })
    }
  }
  return found
}

export const docExamples: ReadonlyArray<DocExample> = filesBelow("src")
  .filter((path) => path.endsWith(".ts"))
  .flatMap(examplesOf)

/** The modules of the library's entries, by their names. */
const ownModules: ReadonlyArray<readonly [name: string, entry: string]> = filesBelow("src")
  .filter((path) => /^src\/([a-z]+\/)?index\.ts$/.test(path))
  .flatMap((path) =>
    Array.from(read(path).matchAll(/^export \* as (\w+) from/gm), ([, name]) => {
      const folder = path.split("/").slice(1, -1).join("/")
      return [name!, folder === "" ? "effect-socket.io" : `effect-socket.io/${folder}`] as const
    })
  )

const inModule = (module: string, ...names: ReadonlyArray<string>) => names.map((name) => [name, module] as const)

/** Names that an example need not import. */
const known: ReadonlyMap<string, string> = new Map([
  ...inModule(
    "effect",
    "Clock",
    "Config",
    "Console",
    "Context",
    "DateTime",
    "Duration",
    "Effect",
    "Fiber",
    "Layer",
    "Option",
    "PubSub",
    "Redacted",
    "Schedule",
    "Schema",
    "Stream"
  ),
  ...inModule("effect/http", "HttpRouter", "HttpServerResponse"),
  ...inModule("effect/rpc", "Rpc", "RpcClient", "RpcGroup", "RpcServer"),
  ...inModule("effect/persistence", "KeyValueStore", "Persistence"),
  ...inModule("effect/reactivity", "Atom"),
  ...inModule("effect/observability", "OtlpTracer"),
  ...inModule("@effect/platform-node", "NodeRuntime"),
  ...inModule("@effect/vitest", "assert", "it"),
  ...inModule("node:fs", "writeFileSync"),
  ...inModule("node:crypto", "randomBytes"),
  ...inModule("socket.io-client", "io"),
  ...inModule("redis", "createClient"),
  ...inModule("effect-socket.io/AsyncApi", "AsyncApi"),
  ...inModule("effect-socket.io/node/NodeSocketIoHttp", "NodeSocketIoHttp"),
  ...inModule("effect-socket.io/redis/NodeRedisClient", "NodeRedisClient"),
  ...ownModules
])

const isDeclared = (name: string, code: string): boolean =>
  new RegExp(`\\b(class|const|type|interface) ${name}\\b|^import .*\\b${name}\\b.* from`, "m").test(code)

/** Whether code that is not a string or a comment has the name. */
const uses = (name: string, code: string): boolean =>
  new RegExp(`(?<![.\\w])${name}\\b(?!:)`).test(
    code.replaceAll(/"[^"\n]*"|(?<=\w)`[^`\n]*`|\/\/.*$/gm, (found) => (found.startsWith("/") ? "" : '""'))
  )

/** The declarations of names that the code uses and does not declare. Each uses only those before it. */
const declarationsFor = (code: string): string => {
  let all = code
  let added = ""
  for (const [name, declaration] of Object.entries(declarations).toReversed()) {
    if (!uses(name, all) || isDeclared(name, all)) continue
    added = `${declaration}\n${added}`
    all = `${declaration}\n${all}`
  }
  return added
}

/** The example as a module, with its imports and the declarations around it. */
export const programOf = ({ code, title }: DocExample): string => {
  const linked = code.replaceAll('"./contract.ts"', `"${root}examples/chat/contract.ts"`)
  const own = Array.from(linked.matchAll(/^import .*$/gm), ([line]) => line).join("\n")
  const rest = linked.replaceAll(/^import .*\n/gm, "")
  const context = contexts[title] ?? ""
  const around = `${declarationsFor(`${own}\n${context}\n${rest}`)}\n${context}`
  // An expression of its own is inside of an `Effect.gen`.
  const isInside = /^(?:.* )?\(?yield\* /m.test(rest.replaceAll(/^ .*$/gm, "").replaceAll(/function\*.*$/gm, ""))
  const body = isInside ? `Effect.gen(function* () {\n${rest}})` : rest
  const all = `${own}\n${around}\n${body}`
  const imports = Array.from(known).flatMap(([name, module]) => {
    if (!uses(name, all) || isDeclared(name, all)) return []
    return [`import ${module.endsWith(`/${name}`) ? `* as ${name}` : `{ ${name} }`} from "${module}"`]
  })
  return `${imports.join("\n")}\n${all}\nexport {}\n`
}
