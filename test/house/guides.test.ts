/**
 * The guides: what they show compiles, and what they say of options is so.
 */
import { existsSync } from "node:fs"

import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"

import { resolve as resolveEngine } from "../../src/engine/EngineOptions.ts"
import { resolve as resolveServer } from "../../src/server/ServerOptions.ts"
import { filesBelow, read, root } from "../support/sources.ts"
import { diagnosticsOfAll } from "../support/typecheck.ts"

const guides = Object.fromEntries(filesBelow("examples/guides").map((path) => [path, read(path)]))

const { scripts } = JSON.parse(read("package.json"))

const defaults: Readonly<Record<string, unknown>> = Object.assign(
  {},
  ...((await Effect.runPromise(Effect.all([resolveEngine({}), resolveServer({})]))) as ReadonlyArray<object>)
)

describe("the guides", () => {
  it("have code that compiles", async () => {
    const sources = Object.entries(guides).map(([path, text]) => {
      const blocks = Array.from(text.matchAll(/```ts\n([^]*?)```/g), (match) => match[1]!)
      return [path, blocks.join("\n")] as const
    })
    assert.isNotEmpty(sources)
    const diagnostics = await diagnosticsOfAll(Object.fromEntries(sources))
    for (const [path] of sources) assert.deepStrictEqual(diagnostics[path], [], path)
  })

  it("name files and scripts that are there", () => {
    for (const text of Object.values(guides)) {
      for (const [, path] of text.matchAll(/`(?:node )?((?:src|test|examples)\/[\w./-]*)`/g)) {
        assert.isTrue(existsSync(root + path!), path)
      }
      for (const [, script] of text.matchAll(/npm run ([\w:]+)/g)) assert.property(scripts, script!)
    }
  })

  it("tell the limits as they are", () => {
    const rows = Array.from(
      guides["examples/guides/security.md"]!.matchAll(/^\| `(\w+)` \| (none|[\d,]+)( seconds)? \|/gm)
    )
    for (const [, option, number, unit] of rows) {
      const value = Number(number!.replaceAll(",", "")) * (unit === undefined ? 1 : 1_000)
      assert.strictEqual(defaults[option!], number === "none" ? undefined : value, option)
    }
    // Whatever bounds something is there.
    const told = new Set(rows.map(([, option]) => option))
    for (const option of Object.keys(defaults).filter((name) => /^max|Timeout$|rateLimit/.test(name))) {
      if (option !== "drainTimeout") assert.isTrue(told.has(option), option)
    }
  })
})
