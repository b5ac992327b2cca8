/**
 * The architecture: a file imports from its own floor or a lower one, and each floor knows only what it may know.
 */
import { posix } from "node:path"
import { assert, describe, it } from "@effect/vitest"

import { filesBelow, importsOf, read } from "../support/sources.ts"

/** Floors by folder of `src`; the contracts are the files at its root. */
const floors: Record<string, number> = {
  protocol: 1,
  "": 1,
  internal: 1,
  engine: 2,
  adapter: 3,
  recovery: 3,
  idempotency: 3,
  streams: 3,
  server: 4,
  client: 4,
  atom: 5,
  node: 5,
  admin: 5,
  cluster: 5,
  cli: 5,
  redis: 5,
  rpc: 5,
  presence: 5,
  testing: 5,
  web: 5
}

/** Folders that a folder may not import, though its floor would allow it. The folders of the highest floor know nothing of each other. */
const strangers: Record<string, ReadonlyArray<string>> = {
  protocol: ["", "internal"],
  adapter: ["engine", "recovery"],
  recovery: ["engine"],
  server: ["client"],
  client: ["server"],
  atom: ["server", "adapter", "recovery"],
  cli: ["engine", "adapter", "recovery", "server", "client"],
  admin: ["client"],
  redis: ["client"],
  presence: ["client"]
}

const isStranger = (folder: string, other: string): boolean =>
  strangers[folder]?.includes(other) === true || (floors[folder] === 5 && floors[other] === 5 && folder !== other)

/** The folders that run in Node alone. */
const edges = new Set(["node", "admin", "cluster", "cli"])

/** The modules of Effect that the wire formats may use: small, and without a runtime. */
const pure = new Set([
  "effect/Data",
  "effect/Predicate",
  "effect/Result",
  "effect/Option",
  "effect/Function",
  "effect/encoding/Base64"
])

/** Optional dependencies, each in the one module that needs it: who does without that module does without them. */
const optional: Record<string, ReadonlyArray<string>> = {
  "src/cli/internal/main.ts": ["@effect/platform-node/NodeRuntime", "@effect/platform-node/NodeServices"],
  "src/protocol/MsgpackParser.ts": ["@msgpack/msgpack"],
  "src/node/NodeSocketIoHttp.ts": ["@effect/platform-node/NodeHttpServer", "@effect/platform-node/NodeServices"],
  "src/redis/NodeRedisClient.ts": ["@effect/platform-node/NodeRedis", "redis"]
}

const folderOf = (path: string): string => {
  const [, first, ...rest] = path.split("/")
  return rest.length === 0 ? "" : first!
}

/** The wrong imports of a file of `src`. */
const violations = (path: string, source: string): ReadonlyArray<string> => {
  const folder = folderOf(path)
  const floor = floors[folder]
  if (floor === undefined) return [`${path}: the folder ${folder} stands on no floor`]
  const wrong: Array<string> = []
  for (const specifier of importsOf(source)) {
    const complain = (why: string) => wrong.push(`${path} imports ${specifier}: ${why}`)
    if (specifier.startsWith(".")) {
      const target = posix.join(posix.dirname(path), specifier)
      const other = folderOf(target)
      if (!target.startsWith("src/")) complain("it is not a source")
      else if (floors[other] === undefined) complain("it stands on no floor")
      else if (floors[other]! > floor) complain("it stands on a higher floor")
      else if (isStranger(folder, other)) complain(`${folder} knows nothing of it`)
      else if (target in optional) complain("its dependency is optional")
      if (/(^|\/)index\.ts$/.test(target) && !path.endsWith("index.ts")) complain("it is a barrel")
      continue
    }
    if (optional[path]?.includes(specifier)) continue
    if (specifier === "effect" || /^effect\/[a-z-]+$/.test(specifier)) complain("it is a barrel")
    if (folder === "protocol" && !pure.has(specifier)) complain("the wire formats have no runtime")
    const edge = /^(node:|ws$)/.test(specifier)
    if (edge && !edges.has(folder)) complain("only the edges of Node know Node")
    if (!edge && !specifier.startsWith("effect/")) complain("it is no dependency")
  }
  return wrong
}

describe("the floors", () => {
  const sources = filesBelow("src").filter((path) => path.endsWith(".ts"))

  it("are there", () => {
    assert.isAbove(sources.length, 20)
    assert.isAbove(sources.flatMap((path) => importsOf(read(path))).length, 100)
  })

  it("import downwards only", () => {
    assert.deepStrictEqual(
      sources.flatMap((path) => violations(path, read(path))),
      []
    )
  })

  for (const [path, source, why] of [
    ["src/engine/A.ts", 'import { x } from "../server/B.ts"', "higher floor"],
    ["src/engine/A.ts", 'import type { x } from "../server/B.ts"', "higher floor"],
    ["src/Event.ts", 'export * from "./server/B.ts"', "higher floor"],
    ["src/engine/A.ts", 'const x = await import("../node/B.ts")', "higher floor"],
    ["src/adapter/A.ts", 'import {\n  x,\n  y\n} from "../engine/B.ts"', "knows nothing"],
    ["src/server/internal/a.ts", 'import { x } from "../../client/B.ts"', "knows nothing"],
    ["src/protocol/A.ts", 'import * as Schema from "effect/Schema"', "no runtime"],
    ["src/protocol/A.ts", 'import { x } from "../Event.ts"', "knows nothing"],
    ["src/protocol/A.ts", 'import { Encoder } from "@msgpack/msgpack"', "no dependency"],
    ["src/protocol/index.ts", 'export * as MsgpackParser from "./MsgpackParser.ts"', "optional"],
    ["src/server/A.ts", 'import { msgpack } from "../protocol/MsgpackParser.ts"', "optional"],
    ["src/protocol/MsgpackParser.ts", 'import "ws"', "no runtime"],
    ["src/node/MsgpackParser.ts", 'import { Encoder } from "@msgpack/msgpack"', "no dependency"],
    ["src/server/A.ts", 'import { Effect } from "effect"', "barrel"],
    ["src/server/A.ts", 'import { HttpRouter } from "effect/http"', "barrel"],
    ["src/server/A.ts", 'import { x } from "../engine/index.ts"', "barrel"],
    ["src/server/A.ts", 'import * as Fs from "node:fs"', "edge"],
    ["src/engine/A.ts", 'import "ws"', "edge"],
    ["src/node/A.ts", 'import x from "express"', "no dependency"],
    ["src/node/A.ts", 'import * as X from "@effect/platform-node/NodeHttpServer"', "no dependency"],
    ["src/node/A.ts", 'const x = await import("@effect/platform-node/NodeHttpServer")', "no dependency"],
    ["src/redis/A.ts", 'import { createClient } from "redis"', "no dependency"],
    ["src/redis/A.ts", 'import type { Redis } from "ioredis"', "no dependency"],
    ["src/redis/A.ts", 'import { x } from "../node/B.ts"', "knows nothing"],
    ["src/redis/A.ts", 'import { layer } from "./NodeRedisClient.ts"', "optional"],
    ["src/node/index.ts", 'export * as NodeSocketIoHttp from "./NodeSocketIoHttp.ts"', "optional"],
    ["src/testing/A.ts", 'import * as Fs from "node:fs"', "edge"],
    ["src/testing/A.ts", 'import { x } from "../node/B.ts"', "knows nothing"],
    ["src/web/A.ts", 'import * as Net from "node:net"', "edge"],
    ["src/web/A.ts", 'import { x } from "../node/B.ts"', "knows nothing"],
    ["src/node/A.ts", 'import { x } from "../web/B.ts"', "knows nothing"],
    ["src/server/A.ts", 'import { x } from "../testing/B.ts"', "higher floor"],
    ["src/cellar/A.ts", "", "no floor"],
    ["src/server/A.ts", 'import x from "../../test/support/x.ts"', "not a source"]
  ] as const) {
    it(`do not allow ${source === "" ? path : source.replaceAll("\n", " ")} in ${folderOf(path) || "a contract"}`, () => {
      assert.match(violations(path, source).join(), new RegExp(why))
    })
  }

  it("do not mind what stands in comments", () => {
    assert.deepStrictEqual(
      violations("src/engine/A.ts", '// import "ws"\n/* import "ws"\n*/\n * import x from "ws"'),
      []
    )
  })
})
