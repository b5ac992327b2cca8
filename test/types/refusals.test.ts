/**
 * The failures that the compiler allows builders.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"

import { diagnosticsOfAll } from "../support/typecheck.ts"

const preamble = `
import { Effect } from "effect"
import { Namespace, NamespaceMiddleware } from "effect-socket.io"
import { SocketIoServer } from "effect-socket.io/server"

class Main extends Namespace.make("/main") {}
class Rooms extends Namespace.dynamic("/room/:id") {}
const refused = new NamespaceMiddleware.ConnectRefused({ message: "no such user" })
`

const snippets = {
  "a builder that refuses": `SocketIoServer.layerNamespace(Main, () => refused)`,
  "a builder that may refuse": `
    SocketIoServer.layerNamespace(Main, (socket) => (socket.id === "" ? refused : Effect.succeed(Main.of({}))))`,
  "a builder that fails with something else": `
    SocketIoServer.layerNamespace(Main, () => Effect.fail("no database" as const))`,
  "an opening that refuses": `SocketIoServer.layerDynamicNamespace(Rooms, () => refused)`,
  "an opening that fails with something else": `
    SocketIoServer.layerDynamicNamespace(Rooms, () => Effect.fail("no database" as const))`,
  "a builder of dynamic namespaces that fails with something else": `
    SocketIoServer.layerDynamicNamespace(Rooms, () => Effect.succeed(() => Effect.fail("no database" as const)))`
}

describe("the failure of a builder", () => {
  let found: Record<string, ReadonlyArray<string>> = {}

  beforeAll(async () => {
    found = await diagnosticsOfAll(
      Object.fromEntries(Object.entries(snippets).map(([name, snippet]) => [name, preamble + snippet]))
    )
  }, 60_000)

  for (const name of Object.keys(snippets)) {
    const isMistake = name.includes("something else")
    it(`${isMistake ? "is no other than a refusal" : "may be a refusal"}: ${name}`, () => {
      if (!isMistake) return assert.deepStrictEqual(found[name], [])
      assert.include(found[name]!.join("\n"), "no database")
    })
  }
})
