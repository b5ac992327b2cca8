/**
 * The errors of the library: they have one base, tagged reasons, and one table in the guides.
 */
import { assert, describe, it } from "@effect/vitest"

import { TypeId } from "../../src/SocketIoError.ts"
import { filesBelow, read, root } from "../support/sources.ts"

interface ErrorClass {
  readonly name: string
  readonly path: string
  readonly hasReason: boolean
  /** The tags of its reasons. */
  readonly tags: ReadonlyArray<string>
}

const tagsIn = (code: string): ReadonlyArray<string> =>
  Array.from(code.matchAll(/(?:_tag: |TaggedStruct\()"(\w+)"/g), ([, tag]) => tag!)

/** A class, on one line or up to the brace that closes it. */
const CLASS = /^export class (\w+)[^{]*?\bTagged(?:Error|Refusal)\b(?:.*\{\}$|[^]*?^\}(?:[>)]+ \{\})?$)/gm

/** The error classes that a module exports. */
const errorsOf = (path: string): ReadonlyArray<ErrorClass> => {
  const source = read(path)
  return Array.from(source.matchAll(CLASS), ([body, name]) => {
    const [, alias] = /\breason(?:\(\))?: (\w+Reason)\b/.exec(body) ?? []
    // A type of several lines ends before the next empty line.
    const [type = ""] =
      alias === undefined ? [] : (new RegExp(`^export type ${alias} =[^]*?\\n\\n`, "m").exec(source) ?? [])
    return { name: name!, path, hasReason: /\breason(\(\))?:/.test(body), tags: [...tagsIn(type), ...tagsIn(body)] }
  })
}

const errors = filesBelow("src")
  .filter((path) => path.endsWith(".ts") && !path.includes("/internal/"))
  .flatMap(errorsOf)

describe("the errors of the library", () => {
  it("are there", () => {
    assert.isAtLeast(errors.length, 25)
    assert.isAtLeast(errors.filter(({ hasReason }) => hasReason).length, 10)
  })

  it("have one base, but for that of the codecs, which nothing fails with", async () => {
    const others: Array<string> = []
    for (const { name, path } of errors) {
      const { prototype } = (await import(root + path))[name]
      if (prototype[TypeId] !== true) others.push(name)
    }
    assert.deepStrictEqual(others, ["ProtocolError"])
  })

  it("have tagged reasons", () => {
    for (const { hasReason, name, tags } of errors) {
      if (!hasReason) assert.deepStrictEqual(tags, [], name)
      else assert.isAtLeast(tags.length, 2, name)
    }
  })

  it("stand in a table of the guides, with their reasons", () => {
    const guide = read("examples/guides/troubleshooting.md")
    const rows = guide.split("\n").filter((line) => line.startsWith("| `"))
    for (const { name, tags } of errors) {
      if (name === "ProtocolError") continue
      const row = rows.find((line) => new RegExp(`^\\| (\`\\w+\`, )?\`${name}\``).test(line))
      assert.isDefined(row, name)
      // Those of acknowledgements have a table of their own.
      const text = name === "AckError" ? rows.join("\n") : row!
      for (const tag of tags) assert.include(text, `\`${tag}\``, name)
    }
  })
})
