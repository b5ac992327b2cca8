/**
 * README, the index of the examples and the guides: their code compiles, their links lead somewhere, and their statements about
 * options, files and scripts are true.
 */
import { existsSync } from "node:fs"
import { posix } from "node:path"

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { resolve as resolveEngine } from "../../src/engine/EngineOptions.ts"
import { resolve as resolveServer } from "../../src/server/ServerOptions.ts"
import { resolve as resolveStreams } from "../../src/streams/StreamLog.ts"
import { filesBelow, read, root } from "../support/sources.ts"
import { diagnosticsOfAll } from "../support/typecheck.ts"

const guides = filesBelow("examples/guides").filter((path) => path.endsWith(".md"))
const paths = ["README.md", "examples/README.md", ...guides]
const texts = Object.fromEntries(paths.map((path) => [path, read(path)]))

const { scripts } = JSON.parse(read("package.json"))

const linesOf = (text: string): number => text.trimEnd().split("\n").length

/** The code of a page, in the order of its blocks. A block in a comment (`<!--ts … -->`) is checked and not shown. */
const codeOf = (text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(/^(?:```ts\n([^]*?)^```$|<!--ts\n([^]*?)^-->$)/gm), ([, shown, hidden]) => shown ?? hidden!)

const withoutCode = (text: string): string => text.replaceAll(/^```[^]*?^```$/gm, "").replaceAll(/`[^`\n]*`/g, "code")

/** The anchors of a page's headings, as GitHub makes them. */
const anchorsOf = (text: string): ReadonlySet<string> => {
  const anchors = new Set<string>()
  for (const [, heading] of text.replaceAll(/^```[^]*?^```$/gm, "").matchAll(/^#+ (.*)$/gm)) {
    const anchor = heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-")
    let unique = anchor
    for (let i = 1; anchors.has(unique); i++) unique = `${anchor}-${i}`
    anchors.add(unique)
  }
  return anchors
}

/** The links and images of a page that stay in the repository. */
const linksOf = (text: string): ReadonlyArray<string> =>
  Array.from(withoutCode(text).matchAll(/\]\(([^)\s]+)[^)]*\)/g), ([, target]) => target!).filter(
    (target) => !/^[a-z]+:/.test(target)
  )

describe("README and the guides", () => {
  it("have code that compiles", async () => {
    // The blocks of a page build on one another, as a reader takes them.
    const sources = Object.fromEntries(paths.map((path) => [path, codeOf(texts[path]!).join("\n")]))
    assert.isAtLeast(codeOf(texts["README.md"]!).length, 3)
    assert.isAtLeast(codeOf(texts["examples/guides/security.md"]!).length, 3)
    assert.deepStrictEqual(await diagnosticsOfAll(sources), Object.fromEntries(paths.map((path) => [path, []])))
  }, 120_000)

  it("have no TypeScript that is not checked", () => {
    const checked = new Set(["", "ts", "sh", "html", "json", "nginx", "yaml"])
    for (const path of paths) {
      // Every second fence ends a block.
      const fences = Array.from(texts[path]!.matchAll(/^ *```(.*)$/gm), ([, language]) => language!)
      assert.deepStrictEqual(
        fences.filter((language, i) => (i % 2 === 0 ? !checked.has(language) || language === "" : language !== "")),
        [],
        path
      )
      assert.strictEqual(
        texts[path]!.match(/```ts$|<!--ts$/gm)?.length ?? 0,
        codeOf(texts[path]!).length,
        `${path}: a block is indented, or has no end`
      )
    }
  })

  it("name files and scripts that are there", () => {
    for (const path of paths) {
      for (const [, file] of texts[path]!.matchAll(/(?:`|npx )(?:node )?((?:src|test|examples)\/[\w./-]*)`?/g)) {
        assert.isTrue(existsSync(root + file!), `${path}: ${file}`)
      }
      for (const [, script] of texts[path]!.matchAll(/npm run ([\w:]+)/g)) assert.property(scripts, script!, path)
    }
  })

  it("have links whose targets are there, with the headings that they mean", () => {
    let links = 0
    for (const path of paths) {
      for (const link of linksOf(texts[path]!)) {
        links++
        const [target, anchor] = link.split("#") as [string, string | undefined]
        const file = target === "" ? path : posix.join(posix.dirname(path), target)
        assert.isTrue(existsSync(root + file), `${path}: ${link}`)
        if (anchor !== undefined) assert.isTrue(anchorsOf(read(file)).has(anchor), `${path}: ${link}`)
      }
    }
    assert.isAtLeast(links, 30)
  })

  it("are short enough to be read in one go", () => {
    assert.isAtMost(linesOf(texts["README.md"]!), 200)
    for (const path of paths) assert.isAtMost(linesOf(texts[path]!), 220, path)
  })

  it("can be found: README and the index lead to every guide, the index to every example", () => {
    const targetsOf = (path: string) =>
      new Set(linksOf(texts[path]!).map((link) => posix.join(posix.dirname(path), link.split("#")[0]!)))
    const [readme, index] = [targetsOf("README.md"), targetsOf("examples/README.md")]
    for (const guide of guides) {
      assert.isTrue(readme.has(guide), `README.md: ${guide}`)
      assert.isTrue(index.has(guide), `examples/README.md: ${guide}`)
    }
    for (const example of filesBelow("examples").filter((path) => /^examples\/[^/]+\.ts$/.test(path))) {
      assert.isTrue(index.has(example), example)
    }
  })

  it("tell the limits as they are", async () => {
    const resolved = await Effect.runPromise(Effect.all([resolveEngine({}), resolveServer({}), resolveStreams({})]))
    const defaults: Readonly<Record<string, unknown>> = Object.assign({}, ...(resolved as ReadonlyArray<object>))
    const rows = Array.from(
      texts["examples/guides/limits.md"]!.matchAll(/^\| `([\w.]+)` \| (none|[\d,]+)( seconds)? \|/gm)
    )
    assert.isAtLeast(rows.length, 22)
    // The names of those that are not in the group `limits`, once the defaults are filled in.
    const names: Readonly<Record<string, string>> = {
      "heartbeat.pingTimeout": "pingTimeout",
      "handshake.timeout": "handshakeTimeout",
      "reading.pauseAt": "pauseReadingAt",
      "reading.pauseTimeout": "pauseTimeout",
      "upgrade.timeout": "upgradeTimeout"
    }
    const nameOf = (option: string): string => names[option] ?? option
    for (const [, option, number, unit] of rows) {
      const value = Number(number!.replaceAll(",", "")) * (unit === undefined ? 1 : 1_000)
      assert.strictEqual(defaults[nameOf(option!)], number === "none" ? undefined : value, option)
    }
    // Every option that bounds something has a row.
    const told = new Set(rows.map(([, option]) => nameOf(option!)))
    for (const option of Object.keys(defaults).filter((name) => /^max|Timeout$|rateLimit/.test(name))) {
      if (option !== "drainTimeout") assert.isTrue(told.has(option), option)
    }
  })
})
