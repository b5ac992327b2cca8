import { execFileSync } from "node:child_process"
import { existsSync, readdirSync } from "node:fs"

import { assert, describe, it } from "@effect/vitest"

import { filesBelow, read, root } from "../support/sources.ts"

const manifest = JSON.parse(read("package.json"))

/** A longer file has two jobs, or is on the list with its reason. Comments count: they are read, too. */
const MAX_LINES = 400

const outgrown: Readonly<Record<string, string>> = {}

const linesOf = (path: string): number => read(path).trimEnd().split("\n").length

describe("the house", () => {
  it("has nothing at its top level but what belongs there", () => {
    const allowed =
      /^(src|test|examples|package\.json|package-lock\.json|tsconfig\.json|vitest\.config\.ts|README\.md|LICENSE|\..+)$/
    const built = new Set(["node_modules", "dist", "coverage"])
    assert.deepStrictEqual(
      readdirSync(root).filter((name) => !built.has(name) && !allowed.test(name)),
      []
    )
  })

  it("has no file that one cannot read in a sitting", () => {
    const long = filesBelow("src").filter(
      (path) =>
        read(path)
          .split("\n")
          .filter((line) => !/^\s*(\*|\/\*|\/\/|$)/.test(line)).length > 700
    )
    assert.deepStrictEqual(long, [])
  })

  it("has no file that outgrows its room: one file, one question", () => {
    const long = filesBelow("src").filter((path) => path.endsWith(".ts") && linesOf(path) > MAX_LINES)
    assert.deepStrictEqual(
      long.filter((path) => !(path in outgrown)),
      []
    )
    // A file that has been split has no exception.
    assert.deepStrictEqual(
      Object.keys(outgrown).filter((path) => !long.includes(path)),
      []
    )
  })

  it("has comments of at most 100 columns, but for tables and code in them", () => {
    const wide = filesBelow("src")
      .filter((path) => path.endsWith(".ts"))
      .flatMap((path) => {
        const prose = read(path).replaceAll(/^ *\* ```[^]*?^ *\* ```$/gm, "")
        const lines = Array.from(prose.matchAll(/^ *(?:\/\*\*|\*|\/\/) (?!\|).*$/gm), ([line]) => line)
        return lines.filter((line) => line.length > 100).map((line) => `${path}: ${line}`)
      })
    assert.deepStrictEqual(wide, [])
  })

  it("documents every public module and export with the version that it came with", () => {
    const missing: Array<string> = []
    for (const path of filesBelow("src").filter((path) => path.endsWith(".ts") && !path.includes("/internal/"))) {
      const source = read(path)
      if (!source.startsWith("/**")) missing.push(`${path}: no module comment`)
      for (const match of source.matchAll(
        /^export (?:declare )?(?:abstract )?(?:const|class|interface|type|function) (\w+)/gm
      )) {
        const before = source.slice(0, match.index).trimEnd()
        const comment = before.endsWith("*/") ? before.slice(before.lastIndexOf("/**")) : ""
        if (!/@since|@internal/.test(comment)) missing.push(`${path}: ${match[1]}`)
      }
    }
    assert.deepStrictEqual(missing, [])
  })

  it("documents with Details, Gotchas and an Example the exports that users meet first, among others", () => {
    const complete: Array<string> = []
    for (const path of filesBelow("src").filter((path) => path.endsWith(".ts") && !path.includes("/internal/"))) {
      const module = path.slice("src/".length, -".ts".length)
      for (const [, comment, name] of read(path).matchAll(
        /(\/\*\*(?:(?!\*\/)[^])*\*\/)\n(?:export )?(?:const|class|interface|type) (\w+)/g
      )) {
        if (["Details", "Gotchas", "Example"].every((part) => comment!.includes(`**${part}**`))) {
          complete.push(`${module}.${name}`)
        }
      }
    }
    const first = [
      "Event.make",
      "Namespace.make",
      "Namespace.untyped",
      "NamespaceMiddleware.Service",
      "SocketIoError.AckError",
      "client/ClientSocket.ClientSocket",
      "client/SocketIoClient.connect",
      "node/NodeSocketIoServer.serve",
      "server/NamespaceHandle.NamespaceHandle",
      "server/NamespaceLayer.layerNamespace",
      "server/ServerSocket.ServerSocket",
      "server/SocketIoServer.namespace",
      "testing/TestSocketIo.layer"
    ]
    assert.deepStrictEqual(
      first.filter((name) => !complete.includes(name)),
      []
    )
    assert.isAtLeast(complete.length, 40)
  })

  it("documents every overload: editors show that of the one that is called", () => {
    const missing: Array<string> = []
    let overloads = 0
    for (const path of filesBelow("src").filter((path) => path.endsWith(".ts") && !path.includes("/internal/"))) {
      for (const [, name, body] of read(path).matchAll(/^export const (\w+): \{\n([^]*?)^\} = /gm)) {
        for (const { index } of body!.matchAll(/^ {2}[<(]/gm)) {
          overloads++
          if (!body!.slice(0, index).trimEnd().endsWith("*/")) missing.push(`${path}: ${name}`)
        }
      }
    }
    assert.deepStrictEqual(missing, [])
    assert.isAtLeast(overloads, 7)
  })
})

describe("the package", () => {
  const entries = Object.entries<string | null>(manifest.exports)

  for (const [entry, target] of entries) {
    if (target === null || entry.includes("*") || !target.endsWith(".ts")) continue
    it(`resolves ${entry} to modules that load`, async () => {
      assert.isTrue(existsSync(root + target))
      const module = await import(entry.replace(/^\./, "effect-socket.io"))
      assert.isNotEmpty(Object.keys(module))
    })
  }

  it("gives access to single modules, and none to what is internal", async () => {
    assert.strictEqual(
      import.meta.resolve("effect-socket.io/server/SocketIoServer"),
      `file://${root}src/server/SocketIoServer.ts`
    )
    for (const path of ["server/internal/socket", "internal/contractCodec", "engine/internal/timerWheel"]) {
      assert.throws(() => import.meta.resolve(`effect-socket.io/${path}`), /not defined by "exports"/)
    }
  })

  it("has a lock file whose packages come from a registry, not from a machine or a repository", () => {
    const addresses = read("package-lock.json").match(/"resolved": "(?!https:\/\/)[^"]*"/g)
    assert.isNull(addresses)
  })
})

it("tracks no file that a build makes", () => {
  const tracked = execFileSync("git", ["ls-files"], { cwd: root, encoding: "utf8" }).split("\n")
  assert.deepStrictEqual(
    tracked.filter((path) => /^(dist|node_modules|coverage)\//.test(path)),
    []
  )
})
